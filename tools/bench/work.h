// The two benchmarks of handlers that take time.
//
// Blocking: others are not to wait for calls that block. The same open load of /work twice in each round, alone and with
// a share of /block beside it, in turns; the p99 of /work is compared.
//
// Overload: a peer that is offered more than it can do is to do as much as it can. First its peak, in a closed loop;
// then an open loop at a multiple of that. What it has no time for is to be refused at once.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/tools/bench/compare.h"
#include "wayport/tools/bench/report.h"
#include "wayport/tools/bench/work_load.h"

namespace wayport::tools {

struct BlockingOptions {
  std::string transport = "tcp";
  double rate = 10'000;  // of the calls that do not block, per second
  double share = 0.01;   // of all calls block
  double block_ms = 5;   // so long
  unsigned work_us = 0;  // the others compute so long
  unsigned sessions = 4;
  double seconds = 10;  // with and without together
  unsigned rounds = 5;
  Cores cores = Cores::apart;
};
struct BlockingRound {
  WorkRound without;
  WorkRound with;
  double p99_ratio = 0;
};
Result<std::vector<BlockingRound>> measure_blocking(std::size_t own_arguments, const BlockingOptions& options);
std::string blocking_table(const Machine& machine, const BlockingOptions& options,
                           const std::vector<BlockingRound>& rounds);
std::string blocking_json(const Machine& machine, const BlockingOptions& options,
                          const std::vector<BlockingRound>& rounds);

struct OverloadOptions {
  std::string transport = "tcp";
  double times = 3;                // of the peak are offered
  unsigned work_us = 100;          // a call computes so long
  unsigned turn_budget_us = 5000;  // of the limiter
  unsigned sessions = 8;
  unsigned outstanding = 32;  // in the closed loop that finds the peak
  double seconds = 10;        // peak and overload together
  unsigned rounds = 5;
  Cores cores = Cores::apart;
};
struct OverloadRound {
  double peak = 0;     // calls done per second
  double offered = 0;  // per second
  double goodput = 0;
  double ratio = 0;
  // Goodput per second of the server's CPU time, by that at the peak: what refusing costs, whatever else the machine
  // does meanwhile.
  double cpu_ratio = 0;
  WorkRound closed;
  WorkRound open;
};
struct Overload {
  std::vector<OverloadRound> rounds;
  std::array<std::uint64_t, 2> refusals{};  // in the turn that read the request, later
};
Result<Overload> measure_overload(std::size_t own_arguments, const OverloadOptions& options);
std::string overload_table(const Machine& machine, const OverloadOptions& options, const Overload& overload);
std::string overload_json(const Machine& machine, const OverloadOptions& options, const Overload& overload);

}  // namespace wayport::tools
