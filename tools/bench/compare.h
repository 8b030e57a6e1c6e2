// Measures a client and the raw echo in turns, so that what else the machine does hits both, and sums the rounds up.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/tools/bench/exchange.h"
#include "wayport/tools/bench/load.h"
#include "wayport/tools/bench/servers.h"
#include "wayport/tools/bench/side.h"

namespace wayport::tools {

struct Comparison {
  std::string transport;
  Load load;
  std::size_t request_bytes = 0;
  std::size_t reply_bytes = 0;
  Side raw;
  Side ours;
  // Ours by raw, medians of the rounds.
  double p50_ratio = 0;
  double server_cpu_ratio = 0;
};

// Where the two processes run. Together, each waits while the other works, and a message costs what both sides compute;
// apart, they work at the same time, and one outstanding message costs mostly the wake of the other core.
enum class Cores { together, apart, any };
// Pins this process; returns the core for the second one. -1: anywhere.
int pin_both(Cores wanted);

struct ComparisonOptions {
  ServerKind kind = ServerKind::rpc;
  Exchange exchange{};
  std::vector<std::string> transports{};
  std::vector<std::size_t> outstanding{1, 64, 1000};
  double rate = 0;     // above 0: open loop
  double seconds = 3;  // of each side, all rounds together
  unsigned rounds = 5;
  Cores cores = Cores::together;
  bool with_raw = true;  // false: only ours, for profilers
};

// `rounds` turns of `raw` (nullptr: without) and `ours` at one load, with a warm-up each.
Result<Comparison> compare_in_turns(LoadClient* raw, LoadClient& ours, const UsageOf& usage, const Load& load,
                                    unsigned rounds);

Result<std::vector<Comparison>> compare(std::size_t own_arguments, const ComparisonOptions& options);

}  // namespace wayport::tools
