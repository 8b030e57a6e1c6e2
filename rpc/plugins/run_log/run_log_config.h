// From the original's configuration keys to the options of its run log (spec/teleport 12).
#pragma once

#include "wayport/rpc/config/peer_config.h"
#include "wayport/rpc/plugins/run_log/run_log.h"

namespace wayport::rpc::plugins {

// slow_comet_duration, print_body and count_time; the rest keeps its defaults. A call can only be found slow by its
// time, so slow_comet_duration counts time without count_time, too.
RunLogOptions to_run_log_options(const PeerConfig& config);

}  // namespace wayport::rpc::plugins
