// Settings: what a gateway process is to do, whichever way it was told: flags of the original (flag_settings.h) or a
// TOML file (toml_settings.h). Plain data; the defaults are the original's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/gateway/link/options.h"
#include "wayport/gateway/route/options.h"

namespace wayport::gateway {

inline constexpr std::size_t kTomlBytesMax = 1 << 20;  // of a configuration file

// Of [link]: the link gateway (gateway/link).
struct LinkSettings {
  // Addresses are whole stacks: "tcp://:4900", "snet+tls://:4901?cert=...".
  std::vector<std::string> client_addresses{"tcp://"};  // any port of any address
  std::vector<std::string> server_addresses{"tcp://"};
  std::string server_auth_key;
  std::string server_auth_key_file;  // empty: none
  link::SwitchOptions switching{};
  Duration transport_handshake_timeout = std::chrono::seconds(10);  // TLS, snet
  std::size_t transport_handshakes_max = 10'000;                    // per address

  // Errors (invalid_argument) name the setting.
  Result<void> validate() const;
  // Bounds of bytes that were not set grow with packet_bytes_max, so that the largest frame fits.
  void fit_queues(bool virtual_bytes_set, bool client_bytes_set, bool server_bytes_set);
};

struct Settings {
  std::optional<LinkSettings> link;       // nullopt: no link gateway
  std::string source;                     // "gateway.toml", for errors; empty: the command line
  std::vector<std::string> route_places;  // of each route, "gateway.toml:12", for errors
  // What of the file takes effect at the start only, as text to compare with: everything but routes.
  std::string fixed;
  std::vector<route::RouteOptions> routes;  // of the route gateway; empty: there is none
  Duration drain = Duration::zero();        // how long SIGTERM waits for connections to end; at most a day

  // Of [admin]. Empty: no admin listener. Without a host: 127.0.0.1.
  std::string admin_address;
  std::size_t admin_connections_max = 64;
  Duration admin_request_timeout = std::chrono::seconds(5);

  // Of [log].
  std::string log_level = "info";
  std::string log_file;        // empty: standard error
  std::string log_error_file;  // warnings and errors; empty: where the rest goes
  bool log_json = false;

  // Of [process].
  std::size_t loops = 0;                     // 0: one for each core that this process may use; at most 256
  std::string pid_file = "fastway.pid";      // empty: none
  std::string command_file = "fastway.cmd";  // read at SIGUSR1; empty: SIGUSR1 is ignored
  std::string profile_prefix = "fastway";    // fastway.cpu.prof ...
  std::optional<std::size_t> pool_bytes;     // free memory kept for frames, all loops together; none: 8 MiB for each
  Duration ready_timeout = std::chrono::seconds(30);  // SIGUSR2: for the new process to be ready

  // What was said and has no effect, for the log.
  std::vector<std::string> notes;

  // What no single value shows. Errors (invalid_argument) name the setting. Addresses are read, nothing is bound.
  Result<void> validate() const;
};

// "host:port", ":port" or "scheme://..." as an address of a stack.
Result<std::string> listen_address(std::string_view text);

}  // namespace wayport::gateway
