// The counters of a route gateway. Summed over loops when scraped; nothing on the way of a byte.
#pragma once

#include "wayport/gateway/program/metrics_page.h"
#include "wayport/gateway/route/route_gateway.h"

namespace wayport::gateway {

// On the runtime's first loop.
void add_route_metrics(MetricsPage& page, const route::RouteGateway& gateway);

}  // namespace wayport::gateway
