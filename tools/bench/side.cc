#include "wayport/tools/bench/side.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "wayport/tools/bench/figures.h"

namespace wayport::tools {

Result<void> SideRounds::add(LoadClient& client, const UsageOf& usage, const Load& load) {
  Load warm_up = load;
  warm_up.time =
      std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(load.time.count()) * kWarmUpPart));
  WAYPORT_TRY_ASSIGN(const Round dropped, client.run(warm_up));
  side_.sum += dropped.sum;
  const Usage here_before = usage_of_this_process();
  WAYPORT_TRY_ASSIGN(const Usage there_before, usage());
  WAYPORT_TRY_ASSIGN(const Round round, client.run(load));
  WAYPORT_TRY_ASSIGN(const Usage there, usage());
  const Usage here = usage_of_this_process();

  const auto count = static_cast<double>(round.messages);
  answered_ += round.messages + round.wrong + dropped.messages + dropped.wrong;
  side_.messages += round.messages;
  side_.wrong += round.wrong + dropped.wrong;
  side_.failed += round.failed + dropped.failed;
  side_.sum += round.sum;
  side_.latency.add(round.latency);
  rates_.push_back(divided(count, round.seconds));
  server_cpu_.push_back(divided(static_cast<double>(there.cpu_ns - there_before.cpu_ns) * 1e-3, count));
  client_cpu_.push_back(divided(static_cast<double>(here.cpu_ns - here_before.cpu_ns) * 1e-3, count));
  server_allocations_.push_back(divided(static_cast<double>(there.allocations - there_before.allocations), count));
  client_allocations_.push_back(divided(static_cast<double>(here.allocations - here_before.allocations), count));
  p50_.push_back(static_cast<double>(round.latency.at(0.5)));
  return {};
}

Side SideRounds::finish() {
  side_.messages_per_second = median(rates_);
  side_.server_cpu_us = median(server_cpu_);
  side_.client_cpu_us = median(client_cpu_);
  side_.server_allocations = median(server_allocations_);
  side_.client_allocations = median(client_allocations_);
  return std::move(side_);
}

double median_ratio(const std::vector<double>& values, const std::vector<double>& to) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(values.size(), to.size()); ++i) ratios.push_back(divided(values[i], to[i]));
  return median(std::move(ratios));
}

}  // namespace wayport::tools
