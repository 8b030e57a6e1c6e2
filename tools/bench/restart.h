// Restarts under load: a server that counts what it executes is replaced again and again (SIGUSR2) while a session
// pool and a stream of fresh connections call it. What must not happen is counted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wayport/base/result.h"

namespace wayport::tools {

struct RestartOptions {
  std::string transport = "tcp";  // tcp, unix or tls
  unsigned restarts = 10;
  double seconds = 5;            // of load, with the restarts spread over it
  std::size_t sessions = 4;      // of the pool
  std::size_t outstanding = 64;  // pulls of the pool under way
  std::size_t fresh = 8;         // connections under way that are made for one pull
};

struct RestartOutcome {
  std::string transport;
  unsigned restarts = 0;           // new processes that took over
  std::uint64_t calls = 0;         // with different ids
  std::uint64_t connections = 0;   // fresh ones
  std::uint64_t repeated = 0;      // made once more, because they were proven not to be executed
  std::uint64_t lost = 0;          // calls without their reply
  std::uint64_t refused = 0;       // dials that failed, and connections reset before their reply
  std::uint64_t not_executed = 0;  // answered, but never counted
  std::uint64_t executed_twice = 0;
  std::uint64_t exits_not_clean = 0;  // old processes that did not drain
  double takeover_ms_max = 0;         // from the signal until the new process was ready
  std::string first_trouble;

  bool all_right() const { return lost + refused + not_executed + executed_twice + exits_not_clean == 0; }
};

Result<RestartOutcome> measure_restarts(std::size_t own_arguments, const RestartOptions& options);

}  // namespace wayport::tools
