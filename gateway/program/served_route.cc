#include "wayport/gateway/program/served_route.h"

#include "wayport/gateway/program/route_metrics.h"

namespace wayport::gateway {
namespace {

route::RouteGatewayOptions options_of(const Settings& settings, transport::InheritedSockets& inherited,
                                      const transport::Transports& transports,
                                      const route::ResolverRegistry& resolvers) {
  route::RouteGatewayOptions options;
  options.routes = settings.routes;
  options.drain = settings.drain;
  options.listen_options.inherited = &inherited;
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
