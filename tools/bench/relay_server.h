// The other processes of the benchmarks of relays, each a child of its own, so that each one's CPU time can be told: the
// backend, route gateways, and a network that loses datagrams.
//
//   load (the parent) --- gateway --- backend                 route, ws
//   load --- gateway ==kcp==[lossy link]== gateway --- backend     kcp
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/tools/bench/child.h"

namespace wayport::tools {

// In the parent. `core` to be pinned to; -1: anywhere.

// A RawBackend (raw_bulk.h).
class BackendChild {
 public:
  static Result<BackendChild> start(std::size_t own_arguments, int core);
  std::uint16_t source_port() const { return static_cast<std::uint16_t>(std::stoi(child_.hello().at("source"))); }
  std::uint16_t echo_port() const { return static_cast<std::uint16_t>(std::stoi(child_.hello().at("echo"))); }
  Result<Usage> usage() const { return child_.usage(); }
  // Bytes that it sent so far: "source_bytes", "echo_bytes".
  Result<std::map<std::string, std::uint64_t>> counters() const { return child_.counters(); }

 private:
  explicit BackendChild(Child child) : child_(std::move(child)) {}
  Child child_;
};

struct GatewayChildOptions {
  std::string listen = "tcp://127.0.0.1:0";
  std::string backend_transport = "tcp";
  bool zero_copy = false;
};

// A route gateway with one loop, to anything on 127.0.0.1 that a client names.
class GatewayChild {
 public:
  static Result<GatewayChild> start(std::size_t own_arguments, int core, const GatewayChildOptions& options);
  std::uint16_t port() const { return static_cast<std::uint16_t>(std::stoi(child_.hello().at("port"))); }
  Result<Usage> usage() const { return child_.usage(); }
  // By the names of route::RouteCounters: "joined", "joined_spliced", "refused".
  Result<std::map<std::string, std::uint64_t>> counters() const { return child_.counters(); }

 private:
  explicit GatewayChild(Child child) : child_(std::move(child)) {}
  Child child_;
};

// A LossyLink (transport/kcp/testing) to a UDP port of 127.0.0.1; each direction loses that part.
class LossyChild {
 public:
  static Result<LossyChild> start(std::size_t own_arguments, int core, std::uint16_t target, double loss);
  std::uint16_t port() const { return static_cast<std::uint16_t>(std::stoi(child_.hello().at("port"))); }

 private:
  explicit LossyChild(Child child) : child_(std::move(child)) {}
  Child child_;
};

// Names the backend to the route gateway at the other end of `fd`, and waits for its answer.
Result<void> ask_for_backend(int fd, std::uint16_t backend_port);

// The first of the arguments that these processes are started with.
inline constexpr const char* kServeRelayArgument = "serve-bench-relay";
// In the child; `arguments` follow kServeRelayArgument. Returns the exit code.
int serve_relay(const std::vector<std::string>& arguments);

}  // namespace wayport::tools
