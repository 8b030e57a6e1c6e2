// The demo's last part: a client and a server that know only a link gateway, over connections that survive a cut.
#pragma once

#include "wayport/base/log.h"
#include "wayport/tools/demos/report.h"

namespace wayport::tools {

// `log` gets what gateway and server have to say.
void talk_through_gateway(Report& report, Log& log);

}  // namespace wayport::tools
