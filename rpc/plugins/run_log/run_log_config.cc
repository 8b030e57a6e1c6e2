#include "wayport/rpc/plugins/run_log/run_log_config.h"

namespace wayport::rpc::plugins {

RunLogOptions to_run_log_options(const PeerConfig& config) {
  RunLogOptions options;
  options.slow_call = config.slow_comet_duration;
  options.print_body = config.print_body;
  options.count_time = config.count_time;
  return options;
}

}  // namespace wayport::rpc::plugins
