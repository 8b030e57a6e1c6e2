#include "wayport/gateway/route/options.h"

#include <algorithm>
#include <limits>

#include "wayport/base/bytes.h"
#include "wayport/framing/route/target.h"
#include "wayport/gateway/route/allow_list.h"
#include "wayport/gateway/route/backend.h"
#include "wayport/transport/address.h"

namespace wayport::route {
namespace {

constexpr Duration kDay = std::chrono::hours(24);
constexpr std::size_t kNameBytesMax = 64;
constexpr std::string_view kUnsignedTokens = "unsafe_accept_unsigned_tokens";  // of the resolver "jwt"
constexpr std::size_t kBytesMost = std::size_t{1} << 30;

bool is_literal(std::string_view resolver) noexcept {
  return resolver == "ipHost" || resolver == "host-ip" || resolver == "origin";
}

bool is_word(std::string_view text, std::string_view also) noexcept {
  return !text.empty() && text.size() <= kNameBytesMax && std::ranges::all_of(text, [also](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || also.contains(c);
  });
}

// Clients name any backend, and nothing vouches for them.
bool anybody_names_backends(const RouteOptions& route) noexcept {
  if (is_literal(route.resolver)) return true;
  const auto found = route.resolver_settings.find(kUnsignedTokens);
  return found != route.resolver_settings.end() && found->second.flag() && *found->second.flag();
}

// Errors of one route.
class Check {
 public:
  explicit Check(std::string_view route) : route_("route \"" + escape(route, kNameBytesMax) + "\": ") {}

  std::unexpected<Error> bad(std::string_view key, std::string_view wrong) const {
    return fail(ErrorCode::invalid_argument, route_ + std::string(key) + " " + std::string(wrong));
  }
  Result<void> count(std::string_view key, std::size_t value, std::size_t least, std::size_t most) const {
    if (value >= least && value <= most) return {};
    return bad(
        key, "is " + std::to_string(value) + "; it has to be " + std::to_string(least) + " to " + std::to_string(most));
  }
  Result<void> time(std::string_view key, Duration value, Duration least, Duration most = kDay) const {
    if (value >= least && value <= most) return {};
    return bad(key, "is " + format_duration(value) + "; it has to be " + format_duration(least) + " to " +
                        format_duration(most));
  }
  template <class T>
  Result<void> inner(std::string_view key, const Result<T>& result) const {
    if (result) return {};
    return bad(key, "is not usable: " + result.error().detail);
  }

 private:
  const std::string route_;
};

Result<void> check_websocket(const Check& check, const WebsocketRouteOptions& options) {
  WAYPORT_TRY(check.count("websocket.message_bytes_max", options.message_bytes_max, 1, kBytesMost));
  WAYPORT_TRY(check.time("websocket.message_timeout", options.message_timeout, Duration::zero(), kDay));
  WAYPORT_TRY(check.count("websocket.header_bytes_max", options.header_bytes_max, 1, kIdentifyBytesMax));
  if (!options.header.empty() && !is_word(options.header, "-_")) {
    return check.bad("websocket.header", "is \"" + escape(options.header, 64) +
                                             "\"; it has to be the name of a header (letters, digits, \"-\", \"_\")");
  }
  if (!options.query.empty() && !is_word(options.query, "-_.")) {
    return check.bad("websocket.query", "is \"" + escape(options.query, 64) +
                                            "\"; it has to be the name of a parameter (letters, digits, \"-\", \"_\")");
  }
  if (!options.subprotocol_prefix.empty() && !is_word(options.subprotocol_prefix, "-_.")) {
    return check.bad("websocket.subprotocol_prefix", "is \"" + escape(options.subprotocol_prefix, 64) +
                                                         "\"; it may have letters, digits, \"-\", \"_\" and \".\"");
  }
  const bool any = !options.header.empty() || !options.query.empty() || !options.subprotocol_prefix.empty();
  if (!any && options.paths.empty()) {
    return check.bad("websocket.header",
                     "and query, subprotocol_prefix, paths are all empty: no client could say what it means");
  }
  for (const auto& [path, identify] : options.paths) {
    if (!path.starts_with('/'))
      return check.bad("websocket.paths", "has \"" + escape(path, 64) + "\"; a path begins with /");
    if (identify.empty() || identify.size() > kIdentifyBytesMax) {
      return check.bad("websocket.paths", "has for \"" + escape(path, 64) + "\" an identify of " +
                                              std::to_string(identify.size()) + " bytes; it has 1 to " +
                                              std::to_string(kIdentifyBytesMax));
    }
  }
  return {};
}

}  // namespace

std::string_view to_string(ProxyProtocol version) noexcept {
  switch (version) {
    case ProxyProtocol::none:
      return "none";
    case ProxyProtocol::v1:
      return "v1";
    case ProxyProtocol::v2:
      return "v2";
  }
  return "unknown";
}

Result<ProxyProtocol> parse_proxy_protocol(std::string_view name) {
  for (const ProxyProtocol version : {ProxyProtocol::none, ProxyProtocol::v1, ProxyProtocol::v2}) {
    if (name == to_string(version)) return version;
  }
  return fail(ErrorCode::invalid_argument,
              "unknown version of the PROXY protocol \"" + escape(name, 32) + "\"; it is one of none, v1, v2");
}

Result<void> RouteOptions::validate(std::span<const std::string> resolvers) const {
  const Check check(name);
  if (!is_word(name, "-_")) {
    return check.bad("name", "has to be 1 to 64 letters, digits, \"-\" or \"_\"");
  }
  if (listen.empty()) return check.bad("listen", "is empty; write for instance \"tcp://:7000\"");
  for (const std::string& text : listen) {
    WAYPORT_TRY(check.inner("listen", transport::Address::parse(text)));
  }
  if (std::ranges::find(resolvers, resolver) == resolvers.end()) {
    std::string list;
    for (const std::string& known : resolvers) list += (list.empty() ? "" : ", ") + known;
    return check.bad("resolver", "is \"" + escape(resolver, 64) + "\"; it is one of " + list);
  }
  const Result<AllowList> rules = AllowList::parse(allow);
  WAYPORT_TRY(check.inner("allow", rules));
  const std::string* const widest = rules->widest_rule();
  if (anybody_names_backends(*this) && widest && !open_relay) {
    return check.bad("allow", "has the rule \"" + escape(*widest, 128) + "\", and resolver \"" + resolver +
                                  "\" dials what any client names: an open relay. Write narrower rules, or set "
                                  "open_relay = true if that is meant");
  }
  WAYPORT_TRY(check.inner("backend_transport", BackendTransport::parse(backend_transport)));
  WAYPORT_TRY(check.count("identify_bytes_max", identify_bytes_max, 1, kIdentifyBytesMax));
  constexpr Duration kLeast = std::chrono::milliseconds(1);
  WAYPORT_TRY(check.time("connect_timeout", connect_timeout, kLeast));
  WAYPORT_TRY(check.time("dial_timeout", dial_timeout, kLeast));
  WAYPORT_TRY(check.count("dial_retry", dial_retry, 0, 100));
  WAYPORT_TRY(check.count("addresses_max", addresses_max, 1, 256));
  WAYPORT_TRY(check.count("the length of success_message", success_message.size(), 0, kSuccessBytesMax));
  WAYPORT_TRY(check.time("idle_timeout", idle_timeout, Duration::zero(), 365 * kDay));
  WAYPORT_TRY(check.time("linger_time", linger_time, Duration::zero(), 365 * kDay));
  WAYPORT_TRY(check.time("refusal_drain_time", refusal_drain_time, Duration::zero(), std::chrono::minutes(1)));
  WAYPORT_TRY(check.count("refusal_drain_bytes", refusal_drain_bytes, 0, kBytesMost));
  WAYPORT_TRY(check.time("refusal_delay", refusal_delay, Duration::zero(), std::chrono::minutes(1)));
  WAYPORT_TRY(check.time("refusal_delay_spread", refusal_delay_spread, Duration::zero(), std::chrono::minutes(1)));
  WAYPORT_TRY(check.count("relay_high_water_bytes", relay_high_water_bytes, 4096, kBytesMost));
  WAYPORT_TRY(check.count("relay_low_water_bytes", relay_low_water_bytes, 0, relay_high_water_bytes - 1));
  WAYPORT_TRY(check_websocket(check, websocket));
  WAYPORT_TRY(check.inner("limits", limits.validate()));
  return {};
}

std::vector<std::string> RouteOptions::warnings() const {
  std::vector<std::string> lines;
  const std::string route = "route \"" + name + "\": ";
  const Result<AllowList> rules = AllowList::parse(allow);
  if (rules && rules->empty()) {
    lines.push_back(route + "allow is empty: every client is refused");
  } else if (const std::string* const widest = rules ? rules->widest_rule() : nullptr) {
    lines.push_back(route +
                    (anybody_names_backends(*this) ? "OPEN RELAY: clients choose what this machine connects to"
                                                   : "the allow list opens (nearly) everything") +
                    ", by rule \"" + escape(*widest, 128) + "\"");
  }
  if (!is_literal(resolver) && anybody_names_backends(*this)) {
    lines.push_back(route + "TOKENS ARE NOT VERIFIED (unsafe_accept_unsigned_tokens)");
  }
  return lines;
}

std::vector<std::string> RouteOptions::notes() const {
  std::vector<std::string> lines;
  if (!zero_copy) return lines;
  const auto copied = [&](const std::string& who, const std::string& scheme) {
    lines.push_back("route \"" + name + "\": zero_copy has no effect on " + who + " over " + scheme +
                    ", which are copied; plain tcp and unix sockets are spliced");
  };
  for (const std::string& text : listen) {
    const Result<transport::Address> address = transport::Address::parse(text);
    const std::string scheme = address ? address->scheme() : text;
    if (scheme != "tcp" && scheme != "unix") copied("clients", scheme);
  }
  const Result<BackendTransport> backend = BackendTransport::parse(backend_transport);
  if (backend && backend->scheme != "tcp") copied("backends", backend->scheme);
  return lines;
}

}  // namespace wayport::route
