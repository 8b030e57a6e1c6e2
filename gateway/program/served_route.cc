#include "wayport/gateway/program/served_route.h"

#include "wayport/gateway/program/route_metrics.h"
#include "wayport/transport/address.h"

namespace wayport::gateway {
namespace {

// Where else this process listens: no client of a route is to be led there by a wide rule. As configured: port 0 is
// not known yet, and nobody else knows it either.
std::vector<transport::Address> other_listeners(const Settings& settings) {
  std::vector<std::string> texts;
  if (settings.link) {
    texts = settings.link->client_addresses;
    texts.insert(texts.end(), settings.link->server_addresses.begin(), settings.link->server_addresses.end());
  }
  if (!settings.admin_address.empty()) texts.push_back(settings.admin_address);
  std::vector<transport::Address> addresses;
  for (const std::string& text : texts) {
    if (const Result<transport::Address> address = transport::Address::parse(text)) addresses.push_back(*address);
  }
  return addresses;
}

route::RouteGatewayOptions options_of(const Settings& settings, transport::InheritedSockets& inherited,
                                      const transport::Transports& transports,
                                      const route::ResolverRegistry& resolvers) {
  route::RouteGatewayOptions options;
  options.routes = settings.routes;
  options.drain = settings.drain;
  options.listen_options.inherited = &inherited;
  options.also_own = other_listeners(settings);
  options.transports = &transports;
  options.resolvers = &resolvers;
  return options;
}

}  // namespace

ServedRoute::ServedRoute(Runtime& runtime, const Settings& settings, transport::InheritedSockets& inherited,
                         const transport::Transports& transports, const route::ResolverRegistry& resolvers)
    : beside_link_(settings.link.has_value()),
      gateway_(runtime, options_of(settings, inherited, transports, resolvers)) {}

Result<void> ServedRoute::reload(const Settings& settings) {
  if (settings.routes.empty()) {
    return fail(ErrorCode::invalid_argument, "the file has no route any more; end the process to stop serving");
  }
  if (settings.link.has_value() != beside_link_) {
    return fail(ErrorCode::invalid_argument, "[link] came or went; a restart (SIGUSR2) takes that");
  }
  return gateway_.reload(settings.routes);
}

void ServedRoute::add_metrics(MetricsPage& page) const { add_route_metrics(page, gateway_); }

std::string ServedRoute::dump_sessions() const {
  return "# routed connections\n" + gateway_.dump(route::RouteDump::connections);
}

std::string ServedRoute::dump_queues() const {
  return "# queues of routed connections\n" + gateway_.dump(route::RouteDump::queues);
}

std::size_t ServedRoute::abort() {
  const std::size_t connections = gateway_.connection_count();
  gateway_.abort();
  return connections;
}

}  // namespace wayport::gateway
