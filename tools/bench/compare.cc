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

Result<Comparison> compare_in_turns(LoadClient* raw, LoadClient& ours, const UsageOf& usage, const Load& load,
                                    unsigned rounds) {
  Comparison comparison;
  comparison.load = load;
  comparison.request_bytes = ours.request_bytes();
  comparison.reply_bytes = ours.reply_bytes();
  SideRounds raw_rounds;
  SideRounds our_rounds;
  for (unsigned i = 0; i < std::max(rounds, 1u); ++i) {
    if (raw) WAYPORT_TRY(raw_rounds.add(*raw, usage, load));
    WAYPORT_TRY(our_rounds.add(ours, usage, load));
  }
  comparison.p50_ratio = median_ratio(our_rounds.p50(), raw_rounds.p50());
  comparison.server_cpu_ratio = median_ratio(our_rounds.server_cpu(), raw_rounds.server_cpu());
  comparison.raw = raw_rounds.finish();
  comparison.ours = our_rounds.finish();
  return comparison;
}

Result<std::vector<Comparison>> compare(std::size_t own_arguments, const ComparisonOptions& options) {
  const int core = pin_both(options.cores);
  WAYPORT_TRY_ASSIGN(
      const Servers servers,
      Servers::start(own_arguments, {.kind = options.kind, .transports = options.transports, .core = core}));
  const UsageOf usage = [&servers] { return servers.usage(); };
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
      WAYPORT_TRY_ASSIGN(Comparison comparison,
                         compare_in_turns(options.with_raw ? raw.get() : nullptr, *ours, usage, load, options.rounds));
      comparison.transport = transport;
      comparisons.push_back(std::move(comparison));
    }
  }
  return comparisons;
}

}  // namespace wayport::tools
