// Backend: one place that a route gateway may dial for a client: a target, and how.
//
//     10.0.0.7:9000                       by the transport of the route
//     tls://orders.svc.local:443?ca=F     by its own
//
// Pure; plain data. A backend is dialed at an address that was checked (allow_list.h), never by its name again;
// dial_address() keeps the name where a layer needs it: for the certificate (tls, wss) and the Host header (ws, wss).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/framing/route/target.h"
#include "wayport/gateway/route/ip_address.h"
#include "wayport/transport/address.h"

namespace wayport::route {

// The stack that reaches a backend: "tcp", "kcp?fec=10,3", "tls?ca=/etc/ca.pem".
struct BackendTransport {
  std::string scheme = "tcp";  // layers joined by "+"
  std::vector<std::pair<std::string, std::string>> parameters{};

  // invalid_argument: no scheme and parameters; "unix", which has no host.
  static Result<BackendTransport> parse(std::string_view text);
  std::string to_string() const;  // values of secrets are "***"
  friend bool operator==(const BackendTransport&, const BackendTransport&) = default;
};

struct Backend {
  Target target{};
  std::optional<BackendTransport> transport{};  // nullopt: that of the route

  static constexpr std::size_t kBytesMax = 2048;

  // invalid_argument says what is wrong.
  static Result<Backend> parse(std::string_view text);
  std::string to_string() const;  // parse gives it back
  std::string to_log() const;     // values of secrets are "***"
  // What is dialed: `address` with the backend's port, by its transport or else by `route_transport`.
  Result<transport::Address> dial_address(const IpAddress& address, const BackendTransport& route_transport) const;
  friend bool operator==(const Backend&, const Backend&) = default;
};

}  // namespace wayport::route
