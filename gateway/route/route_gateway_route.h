// ServedRoute: one route as connections use it, from when its options were given until the last of its connections has
// ended. Internal to gateway/route.
//
//     RouteOptions --make_served_route()--> ServedRoute --finish(own addresses)--> shared, constant
//
// Built on the gateway's first loop and destroyed there, whoever drops it last (resolvers demand that). A resolver whose
// name and settings did not change goes on from one generation of a route to the next, and so does the count of who is
// there, unless what counts as one source changed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/loop.h"
#include "wayport/gateway/route/admission_gate.h"
#include "wayport/gateway/route/allow_list.h"
#include "wayport/gateway/route/backend_dial.h"
#include "wayport/gateway/route/options.h"
#include "wayport/gateway/route/resolver_registry.h"
#include "wayport/transport/transports.h"

namespace wayport::route {

// What all routes of one gateway share. Constant, but for what the names ask.
struct RouteEnvironment {
  Loop& home;
  transport::Transports transports;
  ResolverRegistry resolvers;
  Log& log;
  NameLookup* names;  // not null
};

struct ServedRoute {
  std::shared_ptr<const RouteEnvironment> environment;  // outlives the resolver
  RouteOptions options;
  std::shared_ptr<Resolver> resolver;
  std::shared_ptr<const AllowList> allow;
  std::shared_ptr<AdmissionGate> gate;
  BackendDialOptions dial;
};
using ServedRoutePtr = std::shared_ptr<const ServedRoute>;

// One listener of a route: what to listen on, and all that a listener is made with.
struct RouteListen {
  transport::Address address;
  transport::StreamOptions stream;
  Duration handshake_timeout;
  std::size_t handshakes_max;
  // Its sessions share its socket (kcp): it cannot be given to another listener while they live.
  bool is_datagram() const { return address.layers().back() == "kcp"; }
  // Equal for two that would be the same listener. One of datagrams keeps the bounds that it was made with.
  std::string key() const;
};

// `earlier`: the route of that name before; nullptr: none. Errors (invalid_argument) name the route. REQUIRES:
// options.validate(), on the home loop.
Result<std::unique_ptr<ServedRoute>> make_served_route(std::shared_ptr<const RouteEnvironment> environment,
                                                       RouteOptions options, const ServedRoute* earlier);
// On the home loop; from now on its limits hold.
ServedRoutePtr share(std::unique_ptr<ServedRoute> route, const std::vector<OwnEndpoint>& own);

// In the order of `options.listen`. REQUIRES: options.validate().
Result<std::vector<RouteListen>> listens_of(const RouteOptions& options);
// Streams of a route's clients and backends.
transport::StreamOptions stream_options_of(const RouteOptions& options);

}  // namespace wayport::route
