// The demo's route gateway: clients of three transports reach one tcp server, which knows nothing of them.
#pragma once

#include "wayport/base/log.h"
#include "wayport/tools/demos/report.h"

namespace wayport::tools {

// `log` gets what gateway and server have to say.
void talk_through_route(Report& report, Log& log);

}  // namespace wayport::tools
