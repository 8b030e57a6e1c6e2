#include "wayport/tools/bench/compare.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

#include "wayport/tools/bench/machine.h"
#include "wayport/tools/bench/packet_load.h"
#include "wayport/tools/bench/raw_echo.h"
#include "wayport/tools/bench/rpc_load.h"

namespace wayport::tools {
namespace {

// Before each round, so that caches, congestion windows and clock rates are where they will be.
constexpr double kWarmUpPart = 0.1;

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double divided(double value, double by) { return by > 0 ? value / by : 0; }

// The rounds of one side as they come.
class Rounds {
 public:
  // p50 and CPU time per message of this round are the last elements afterwards.
  Result<void> add(LoadClient& client, const Servers& servers, const Load& load) {
    Load warm_up = load;
    warm_up.time =
        std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(load.time.count()) * kWarmUpPart));
    WAYPORT_TRY_ASSIGN(const Round dropped, client.run(warm_up));
    side_.sum += dropped.sum;
    const Usage here_before = usage_of_this_process();
    WAYPORT_TRY_ASSIGN(const Usage there_before, servers.usage());
    WAYPORT_TRY_ASSIGN(const Round round, client.run(load));
    WAYPORT_TRY_ASSIGN(const Usage there, servers.usage());
    const Usage here = usage_of_this_process();

    const auto count = static_cast<double>(round.messages);
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

  const std::vector<double>& p50() const noexcept { return p50_; }
  const std::vector<double>& server_cpu() const noexcept { return server_cpu_; }

  Side finish() {
    side_.messages_per_second = median(rates_);
    side_.server_cpu_us = median(server_cpu_);
    side_.client_cpu_us = median(client_cpu_);
    side_.server_allocations = median(server_allocations_);
    side_.client_allocations = median(client_allocations_);
    return std::move(side_);
  }

 private:
  Side side_;
  std::vector<double> rates_, server_cpu_, client_cpu_, server_allocations_, client_allocations_, p50_;
};

double median_ratio(const std::vector<double>& values, const std::vector<double>& to) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(values.size(), to.size()); ++i) ratios.push_back(divided(values[i], to[i]));
  return median(std::move(ratios));
}

Result<Comparison> compare_once(LoadClient& raw, LoadClient& ours, const Servers& servers, const Load& load,
                                const ComparisonOptions& options) {
  Comparison comparison;
  comparison.load = load;
  comparison.request_bytes = ours.request_bytes();
  comparison.reply_bytes = ours.reply_bytes();
  Rounds raw_rounds;
  Rounds our_rounds;
  for (unsigned i = 0; i < std::max(options.rounds, 1u); ++i) {
    if (options.with_raw) WAYPORT_TRY(raw_rounds.add(raw, servers, load));
    WAYPORT_TRY(our_rounds.add(ours, servers, load));
  }
  comparison.p50_ratio = median_ratio(our_rounds.p50(), raw_rounds.p50());
  comparison.server_cpu_ratio = median_ratio(our_rounds.server_cpu(), raw_rounds.server_cpu());
  comparison.raw = raw_rounds.finish();
  comparison.ours = our_rounds.finish();
  return comparison;
}

Result<std::unique_ptr<LoadClient>> connect(const ComparisonOptions& options, const std::string& address) {
  return options.kind == ServerKind::rpc ? connect_rpc(address, options.exchange)
                                         : connect_packets(address, options.exchange);
}

}  // namespace

int pin_both(Cores wanted) {
  const std::vector<int> cores = usable_cores();
  if (wanted == Cores::any || cores.empty()) return -1;
  return pin_to_core(cores.back()) ? cores[wanted == Cores::apart ? 0 : cores.size() - 1] : -1;
}

Result<std::vector<Comparison>> compare(std::size_t own_arguments, const ComparisonOptions& options) {
  const int core = pin_both(options.cores);
  WAYPORT_TRY_ASSIGN(
      const Servers servers,
      Servers::start(own_arguments, {.kind = options.kind, .transports = options.transports, .core = core}));
  std::vector<Comparison> comparisons;
  for (const std::string& transport : options.transports) {
    WAYPORT_TRY_ASSIGN(const std::string address, servers.address(transport));
    WAYPORT_TRY_ASSIGN(const std::unique_ptr<LoadClient> ours, connect(options, address));
    WAYPORT_TRY_ASSIGN(const std::unique_ptr<LoadClient> raw,
                       connect_raw_echo(servers.raw_address(transport), ours->request_bytes(), ours->reply_bytes()));
    const std::vector<std::size_t> outstanding = options.rate > 0 ? std::vector<std::size_t>{0} : options.outstanding;
    for (const std::size_t count : outstanding) {
      Load load{.outstanding = count, .rate = options.rate};
      load.time =
          std::chrono::nanoseconds(static_cast<std::int64_t>(options.seconds * 1e9 / std::max(options.rounds, 1u)));
      std::cerr << "measuring " << transport
                << (options.rate > 0 ? ", open loop" : ", " + std::to_string(count) + " outstanding") << "\n";
      WAYPORT_TRY_ASSIGN(Comparison comparison, compare_once(*raw, *ours, servers, load, options));
      comparison.transport = transport;
      comparisons.push_back(std::move(comparison));
    }
  }
  return comparisons;
}

}  // namespace wayport::tools
