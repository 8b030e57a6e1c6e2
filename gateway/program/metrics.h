// The gateway's counters as Prometheus reads them. Summed over loops when scraped; nothing on the way of a frame.
#pragma once

#include <string>

#include "wayport/base/time.h"
#include "wayport/gateway/link/link_gateway.h"

namespace wayport::gateway {

// The text format, version 0.0.4. Any thread. `uptime`: of this process.
std::string metrics_text(const link::LinkGateway& gateway, Duration uptime);

}  // namespace wayport::gateway
