#include "wayport/gateway/route/route_gateway_route.h"

#include <sys/random.h>

#include <algorithm>
#include <utility>

namespace wayport::route {

using transport::Address;

namespace {

// Above high water a side is still written what its other side had read already, a websocket's whole message, and what
// the gateway says itself.
constexpr std::size_t kReadBytesMax = std::size_t{1} << 20;

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  WAYPORT_ASSERT(::getrandom(&seed, sizeof(seed), 0) == sizeof(seed), "getrandom() gives so few bytes at once");
  return seed;
}

bool same(const SettingsTable& a, const SettingsTable& b);
bool same(const SettingsValue& a, const SettingsValue& b) {
  if (a.text() && b.text()) return *a.text() == *b.text();
  if (a.number() && b.number()) return *a.number() == *b.number();
  if (a.flag() && b.flag()) return *a.flag() == *b.flag();
  if (a.list() && b.list()) {
    return std::ranges::equal(*a.list(), *b.list(),
                              [](const SettingsValue& x, const SettingsValue& y) { return same(x, y); });
  }
  return a.table() && b.table() && same(*a.table(), *b.table());
}
bool same(const SettingsTable& a, const SettingsTable& b) {
  return std::ranges::equal(
      a, b, [](const auto& x, const auto& y) { return x.first == y.first && same(x.second, y.second); });
}

bool same_sources(const AdmissionLimits& a, const AdmissionLimits& b) {
  return a.source_bits_v4 == b.source_bits_v4 && a.source_bits_v6 == b.source_bits_v6;
}

bool is_websocket(const Address& address) {
  return address.layers().front() == "ws" || address.layers().front() == "wss";
}

// Websockets keep their messages, take text as the original does, and agree to what names a backend. Clients that offer
// other sub-protocols get the first one, unless the address names those that there are: browsers give up without.
Result<Address> websocket_address(Address address, const RouteOptions& options) {
  const WebsocketRouteOptions& websocket = options.websocket;
  const bool names_protocols = address.parameter("protocol") != nullptr;
  address.set_parameter("messages", websocket.length_prefix ? "1" : "0");
  address.set_parameter("message", std::to_string(websocket.message_bytes_max));
  if (!address.parameter("text")) address.set_parameter("text", "1");
  if (websocket.subprotocol_prefix.empty()) return address;
  std::string text = address.to_string();
  text.insert(text.find('?') + 1, "protocol=" + websocket.subprotocol_prefix + "%2A&");
  if (!names_protocols) text += "&protocol=%2A";
  return Address::parse(text);
}

}  // namespace

std::string RouteListen::key() const {
  std::string key = address.to_string();
  if (is_datagram()) return key;
  for (const std::size_t bound :
       {stream.high_water_bytes, stream.low_water_bytes, stream.queue_bytes_max, handshakes_max}) {
    key += " " + std::to_string(bound);
  }
  return key + " " + format_duration(handshake_timeout);
}

transport::StreamOptions stream_options_of(const RouteOptions& options) {
  transport::StreamOptions stream;
  stream.high_water_bytes = options.relay_high_water_bytes;
  stream.low_water_bytes = options.relay_low_water_bytes;
  stream.queue_bytes_max = options.relay_high_water_bytes + 2 * options.websocket.message_bytes_max + kReadBytesMax;
  return stream;
}

Result<std::vector<RouteListen>> listens_of(const RouteOptions& options) {
  std::vector<RouteListen> listens;
  for (const std::string& text : options.listen) {
    Result<Address> address = Address::parse(text);
    if (address && is_websocket(*address)) address = websocket_address(*std::move(address), options);
    if (!address) {
      return fail(ErrorCode::invalid_argument, "route \"" + options.name + "\": listen: " + address.error().detail);
    }
    listens.push_back(
        {*std::move(address), stream_options_of(options), options.connect_timeout, options.limits.handshakes_max});
  }
  return listens;
}

Result<std::unique_ptr<ServedRoute>> make_served_route(std::shared_ptr<const RouteEnvironment> environment,
                                                       RouteOptions options, const ServedRoute* earlier) {
  auto route = std::make_unique<ServedRoute>();
  WAYPORT_TRY_ASSIGN(AllowList allow, AllowList::parse(options.allow));
  route->allow = std::make_shared<AllowList>(std::move(allow));
  WAYPORT_TRY_ASSIGN(route->dial.transport, BackendTransport::parse(options.backend_transport));
  route->dial.attempt_timeout = options.dial_timeout;
  route->dial.retries = options.dial_retry;
  route->dial.addresses_max = options.addresses_max;
  route->dial.stream = stream_options_of(options);
  if (earlier && earlier->options.resolver == options.resolver &&
      same(earlier->options.resolver_settings, options.resolver_settings)) {
    route->resolver = earlier->resolver;
  } else {
    const ResolverContext context{.loop = environment->home,
                                  .transports = environment->transports,
                                  .log = environment->log,
                                  .route = options.name};
    auto resolver = environment->resolvers.make(options.resolver, options.resolver_settings, context);
    if (!resolver) {
      resolver.error().detail = "route \"" + options.name + "\": " + resolver.error().detail;
      return fail(std::move(resolver.error()));
    }
    route->resolver = *std::move(resolver);
  }
  route->gate = earlier && same_sources(earlier->options.limits, options.limits)
                    ? earlier->gate
                    : std::make_shared<AdmissionGate>(options.limits, random_seed());
  route->environment = std::move(environment);
  route->options = std::move(options);
  return route;
}

ServedRoutePtr share(std::unique_ptr<ServedRoute> route, const std::vector<OwnEndpoint>& own) {
  auto allow = std::make_shared<AllowList>(*route->allow);
  allow->set_own(own);
  route->gate->set_limits(route->options.limits);
  route->allow = std::move(allow);
  return ServedRoutePtr(route.release(), [](const ServedRoute* done) {
    std::unique_ptr<const ServedRoute> owner(done);
    Loop& home = done->environment->home;
    if (!home.in_loop_thread()) home.post([late = std::move(owner)] {});
  });
}

}  // namespace wayport::route
