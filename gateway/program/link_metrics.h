// The counters of a link gateway. Summed over loops when scraped; nothing on the way of a frame.
#pragma once

#include "wayport/gateway/link/link_gateway.h"
#include "wayport/gateway/program/metrics_page.h"

namespace wayport::gateway {

// Any thread.
void add_link_metrics(MetricsPage& page, const link::LinkGateway& gateway);

}  // namespace wayport::gateway
