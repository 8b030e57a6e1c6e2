// What a session costs that does nothing: many of them in the second process, the other ends here, each used once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wayport/base/result.h"

namespace wayport::tools {

struct IdleOptions {
  std::vector<std::string> transports;
  std::size_t sessions = 8000;
};

struct IdleCost {
  std::string transport;
  std::size_t sessions = 0;
  // Per session, in the second process.
  double heap_bytes = 0;
  double rss_bytes = 0;
  double allocations = 0;  // made while it was opened and used, most of them freed again
  double cpu_us = 0;       // to accept it and to answer one pull
  std::uint64_t sum = 0;   // of the replies
};

Result<std::vector<IdleCost>> measure_idle(std::size_t own_arguments, const IdleOptions& options);

}  // namespace wayport::tools
