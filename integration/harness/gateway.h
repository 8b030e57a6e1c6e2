// Gateway: the wayport-gateway program, run by a test.
//
//   auto gateway = *Gateway::start({.config = R"(
//     [link]
//     client_address = "127.0.0.1:0"
//     server_address = "127.0.0.1:0"
//     server_auth_key = "key"
//   )"});
//   dial(gateway->link_clients().front());
//   ...
//   EXPECT_EQ(*gateway->stop(), 0);
//
// The configuration is that of the program (gateway/README.md), with ports 0 where the test does not care. Where it listens is
// read from its log, so its [log] has no `file`, no `json`, and no level above info. It runs in a directory of its own, which
// goes at the end. Like Program, which it is
// made of: any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/integration/harness/program.h"

namespace wayport::harness {

inline constexpr const char* kGatewayVariable = "WAYPORT_GATEWAY";

struct GatewayOptions {
  std::string config{};                    // TOML
  std::string program{};                   // empty: $WAYPORT_GATEWAY, which wayport_gateway_test() sets
  std::vector<std::string> environment{};  // "KEY=value"
  std::chrono::milliseconds ready_limit = kPatience;
};

// The port of an address as Gateway gives it, such as "127.0.0.1:4900" and "tcp://[::1]:7788"; 0: it has none.
std::uint16_t port_of(std::string_view address);

class Gateway {
 public:
  // Until it serves. An error shows its log. invalid_argument: its log would not tell where it listens.
  static Result<std::unique_ptr<Gateway>> start(const GatewayOptions& options);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Where it listens, in the order of the configuration, with the ports that it got: "127.0.0.1:4900" or as it was configured.
  const std::vector<std::string>& link_clients() const noexcept { return link_clients_; }
  const std::vector<std::string>& link_servers() const noexcept { return link_servers_; }
  // Whole addresses: "tcp://127.0.0.1:7788".
  const std::vector<std::string>& routes() const noexcept { return routes_; }
  // Empty: it has none.
  const std::string& admin() const noexcept { return admin_; }

  Program& program() noexcept { return *program_; }
  std::string log() const { return program_->log(); }
  const std::string& directory() const noexcept { return directory_; }

  // SIGTERM: it drains as configured, and ends; its exit code.
  Result<int> stop(std::chrono::milliseconds limit = kPatience) { return program_->stop(limit); }
  // As if it crashed: the kernel ends its connections at once, by an end or a reset. pause() comes near a host that died.
  void kill();
  // As if its host hung: connections stay, nothing moves.
  void pause();
  void resume();

 private:
  Gateway() = default;

  std::string directory_;
  std::unique_ptr<Program> program_;
  std::vector<std::string> link_clients_, link_servers_, routes_;
  std::string admin_;
};

}  // namespace wayport::harness
