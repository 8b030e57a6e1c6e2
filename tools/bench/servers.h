// The second process of a benchmark: a raw echo and the server that is compared with it, on every transport.
#pragma once

#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/tools/bench/child.h"
#include "wayport/tools/bench/self_signed.h"
#include "wayport/tools/bench/work_load.h"

namespace wayport::tools {

enum class ServerKind { rpc, packet, work };

struct ServerOptions {
  ServerKind kind = ServerKind::rpc;
  std::vector<std::string> transports;  // "tcp", "unix", "tls"
  int core = -1;                        // to be pinned to; -1: anywhere
  WorkOptions work{};                   // ServerKind::work
};

// In the parent.
class Servers {
 public:
  static Result<Servers> start(std::size_t own_arguments, const ServerOptions& options);

  Result<Usage> usage() const { return child_.usage(); }
  // Where to dial; an error if the server could not listen there.
  Result<std::string> address(const std::string& transport) const;
  // Where connect_raw_echo() finds the echo to compare with: for tls, that of tcp.
  std::string raw_address(const std::string& transport) const;

 private:
  Servers(SelfSigned certificate, Child child) : certificate_(std::move(certificate)), child_(std::move(child)) {}
  SelfSigned certificate_;
  Child child_;
};

// The first of the arguments that the second process is started with.
inline constexpr const char* kServeArgument = "serve-bench";
// In the child; `arguments` follow kServeArgument. Returns the exit code.
int serve_bench(const std::vector<std::string>& arguments);

}  // namespace wayport::tools
