// What a route gateway is to do, route by route, and what bounds it. Plain data; defaults are those of spec/route.md 3.1.
//
// A route is one or several listeners that share a resolver, an allow list and limits: [tcpgate], [kcpgate] and
// [wsgate] of the original are three routes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/framing/route/handshake.h"
#include "wayport/gateway/route/admission.h"
#include "wayport/gateway/route/settings.h"

namespace wayport::route {

// Whether the backend is told first who the client is (the PROXY protocol of HAProxy).
enum class ProxyProtocol : std::uint8_t { none, v1, v2 };
std::string_view to_string(ProxyProtocol version) noexcept;
Result<ProxyProtocol> parse_proxy_protocol(std::string_view name);

// Of routes that listen on ws or wss. The first place that has an identify counts: path, header, subprotocol, query.
struct WebsocketRouteOptions {
  std::size_t message_bytes_max = 1u << 20;  // over: close code 1009
  // From a message's first byte to its last, where length_prefix has it wait for its end; after it close code 1008. 0:
  // no limit.
  Duration message_timeout = std::chrono::seconds(30);
  std::string header = "server-identify";  // whatever its letter case; empty: not looked at
  std::size_t header_bytes_max = kIdentifyBytesMax;
  std::string query = "server-identify";         // parameter of the request target; empty: not looked at
  std::string subprotocol_prefix = "identify.";  // in front of the identify in base64url; empty: not looked at
  std::map<std::string, std::string> paths{};    // "/orders" = an identify: fixed, whatever the client names
  // Each message of the client goes to the backend behind its length (u32, little endian), as the original does it.
  // False: as it is.
  bool length_prefix = true;
};

struct RouteOptions {
  std::string name = "route";         // in logs and metrics: letters, digits, "-" and "_"; unique
  std::vector<std::string> listen{};  // "tcp://:7000", "kcp://:7001?fec=10,3", "wss://:7002/route?cert=F&key=F"
  std::string resolver = "ipHost";    // header_identify of the original
  SettingsTable resolver_settings{};
  std::vector<std::string> allow{};  // allow_list.h; empty: nothing
  // For a literal resolver (ipHost, host-ip, origin), or unsigned tokens, with a rule that opens everything: clients
  // choose what this machine connects to. Without it such a route is an error.
  bool open_relay = false;

  std::string backend_transport = "tcp";  // "kcp?fec=10,3": how backends are dialed that do not say it themselves
  std::size_t identify_bytes_max = kIdentifyBytesMax;
  Duration connect_timeout = std::chrono::seconds(10);  // from accept to the whole identify
  Duration dial_timeout = std::chrono::seconds(5);      // each attempt
  // Attempts after the first: at other backends, or again after a time-out. The original always makes three.
  unsigned dial_retry = 2;
  std::size_t addresses_max = 16;      // of a backend's name, that are dialed
  std::string success_message = "ok";  // bytes; success_resp_message of the original, decoded

  Duration idle_timeout = Duration::zero();  // of a relay; 0: none
  // Of a relay that has ended in one direction, without a byte in the other; 0: none.
  Duration linger_time = std::chrono::seconds(30);
  // How long, and for how many bytes, a refused client is read on, so that the refusal is not lost to a reset.
  Duration refusal_drain_time = std::chrono::seconds(1);
  std::size_t refusal_drain_bytes = 64u << 10;
  // The least time from the identify to a refusal as unauthorized or forbidden, and how far it may grow at random:
  // about what a refused dial takes, so that clients cannot tell these apart by time.
  Duration refusal_delay = std::chrono::milliseconds(1);
  Duration refusal_delay_spread = std::chrono::milliseconds(4);

  ProxyProtocol proxy_protocol = ProxyProtocol::none;
  bool zero_copy = false;
  // Unsent bytes of each direction of a relay: reading stops above the first, goes on below the second.
  std::size_t relay_high_water_bytes = 256u << 10;
  std::size_t relay_low_water_bytes = 64u << 10;
  WebsocketRouteOptions websocket{};
  AdmissionLimits limits{};

  // `resolvers`: names that there are (ResolverRegistry::names()). Errors (invalid_argument) name the route, the key,
  // its value and what it may be. The resolver's own settings are checked when it is made.
  Result<void> validate(std::span<const std::string> resolvers) const;
  // What is allowed and deserves a warning at start, one line each. REQUIRES: validate().
  std::vector<std::string> warnings() const;
  // What was asked for and has no effect, one line each. REQUIRES: validate().
  std::vector<std::string> notes() const;
};

}  // namespace wayport::route
