// One side of a comparison: what its rounds gave, and their sum.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/tools/bench/histogram.h"
#include "wayport/tools/bench/load.h"
#include "wayport/tools/bench/usage.h"

namespace wayport::tools {

// One side of a comparison over all rounds. Per message, medians of the rounds; latencies of all of them.
struct Side {
  std::uint64_t messages = 0;
  std::uint64_t wrong = 0;
  std::uint64_t failed = 0;
  std::uint64_t sum = 0;
  double messages_per_second = 0;
  double server_cpu_us = 0;
  double client_cpu_us = 0;
  double server_allocations = 0;
  double client_allocations = 0;
  Histogram latency;
};

// Of the process that is measured, or of several together.
using UsageOf = std::function<Result<Usage>()>;

// The rounds of one side as they come.
class SideRounds {
 public:
  // A warm-up, then the round. What it gave is the last element of each of the vectors afterwards.
  Result<void> add(LoadClient& client, const UsageOf& usage, const Load& load);

  const std::vector<double>& rates() const noexcept { return rates_; }  // messages per second
  const std::vector<double>& p50() const noexcept { return p50_; }
  const std::vector<double>& server_cpu() const noexcept { return server_cpu_; }  // us per message
  // Replies, right ones and others, those of the warm-ups included.
  std::uint64_t answered() const noexcept { return answered_; }

  // Once.
  Side finish();

 private:
  Side side_;
  std::uint64_t answered_ = 0;
  std::vector<double> rates_, server_cpu_, client_cpu_, server_allocations_, client_allocations_, p50_;
};

// Of pairs of rounds that were run one after the other.
double median_ratio(const std::vector<double>& values, const std::vector<double>& to);

}  // namespace wayport::tools
