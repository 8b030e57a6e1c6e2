#include "wayport/tools/bench/link_bench.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <thread>
#include <utility>

#include "wayport/framing/link/packet.h"
#include "wayport/tools/bench/figures.h"
#include "wayport/tools/bench/link_bed.h"
#include "wayport/tools/bench/link_exchange.h"
#include "wayport/tools/bench/link_server.h"
#include "wayport/tools/bench/usage.h"

namespace wayport::tools {
namespace {

// Descriptors that are not connections.
constexpr std::size_t kSpareDescriptors = 100;
// For what a gateway does some time after the last byte.
constexpr std::chrono::milliseconds kSettle{500};
constexpr std::size_t kVirtualsPerClient = 100;
// LinkFlood has one client at a time.
constexpr std::uint64_t kStuckAtOnce = 1;
// ChunkPool's default.
constexpr std::uint64_t kFreeChunkBytes = 8u << 20;
// "length id type connection remote"
constexpr std::size_t kAcceptBytes = link::kFrameHeaderBytes + link::kCommandMessageBytesMax;

GatewayCounts difference(const GatewayCounts& after, const GatewayCounts& before) {
  GatewayCounts counts = after;
  for (auto& [name, value] : counts) value -= before.at(name);
  return counts;
}

double per(std::uint64_t after, std::uint64_t before, std::size_t count) {
  return (static_cast<double>(after) - static_cast<double>(before)) / static_cast<double>(count);
}

// --- frames ---

Result<LinkFrames> measure_frames(std::size_t own_arguments, int core, const LinkOptions& options) {
  std::cerr << "measuring frames\n";
  WAYPORT_TRY_ASSIGN(const LinkServers servers,
                     LinkServers::start(own_arguments, core, options.loops, options.with_raw));
  WAYPORT_TRY_ASSIGN(const std::unique_ptr<LinkExchange> ours,
                     LinkExchange::connect(servers.ours(), options.clients, options.frame_bytes));
  std::unique_ptr<LinkExchange> raw;
  if (options.with_raw) {
    WAYPORT_TRY_ASSIGN(raw, LinkExchange::connect(servers.raw(), options.clients, options.frame_bytes));
  }
  WAYPORT_TRY_ASSIGN(const GatewayCounts counts_before, servers.counters());
  const Load load{.outstanding = options.clients * options.window,
                  .time = seconds_of(options.seconds / options.rounds)};
  LinkFrames frames;
  WAYPORT_TRY_ASSIGN(frames.comparison,
                     compare_in_turns(raw.get(), *ours, [&] { return servers.usage(); }, load, options.rounds));
  frames.comparison.transport = "tcp";
  WAYPORT_TRY_ASSIGN(const GatewayCounts counts_after, servers.counters());
  const GatewayCounts counts = difference(counts_after, counts_before);
  frames.answered = ours->answered();
  frames.forwarded = counts.at("frames_to_clients") + counts.at("frames_to_servers");
  for (const LinkExchange* const exchange : {ours.get(), raw.get()}) {
    if (!exchange) continue;
    frames.surprises += exchange->surprises().count();
    std::ranges::copy(exchange->surprises().first(), std::back_inserter(frames.first_surprises));
  }
  return frames;
}

// --- isolation ---

Result<void> measure_beside(LinkExchange& exchange, const Load& load, const LinkOptions& options, FloodCounts& sum,
                            Round& round) {
  LinkFlood flood(exchange.bed(), options.flood_mb * 1e6);
  WAYPORT_TRY(exchange.begin(flood));
  WAYPORT_TRY_ASSIGN(round, exchange.run_beside(load, &flood));
  WAYPORT_TRY(exchange.end(flood));
  sum.clients += flood.counts().clients;
  sum.virtuals += flood.counts().virtuals;
  sum.bytes += flood.counts().bytes;
  sum.closed += flood.counts().closed;
  sum.strays += flood.counts().strays;
  return {};
}

Result<LinkIsolation> measure_isolation(std::size_t own_arguments, int core, const LinkOptions& options) {
  WAYPORT_TRY_ASSIGN(const LinkServers servers, LinkServers::start(own_arguments, core, options.loops, false));
  LinkIsolation isolation;
  isolation.clients = options.crowd - 1;
  WAYPORT_TRY_ASSIGN(const std::unique_ptr<LinkExchange> exchange,
                     LinkExchange::connect(servers.ours(), isolation.clients, options.frame_bytes));
  const Load load{.rate = options.rate, .time = seconds_of(options.seconds / options.rounds)};
  Load warm_up = load;
  warm_up.time = seconds_of(options.seconds / options.rounds * kWarmUpPart);
  WAYPORT_TRY(exchange->run(warm_up));
  WAYPORT_TRY_ASSIGN(const GatewayCounts counts_before, servers.counters());
  const auto run_without = [&](IsolationRound& round) -> Result<void> {
    WAYPORT_TRY(servers.take_usage());
    WAYPORT_TRY_ASSIGN(round.without, exchange->run(load));
    WAYPORT_TRY_ASSIGN(const Usage usage, servers.usage());
    round.rss_without = usage.rss_peak_bytes;
    return {};
  };
  const auto run_with = [&](IsolationRound& round) -> Result<void> {
    WAYPORT_TRY(servers.take_usage());
    WAYPORT_TRY(measure_beside(*exchange, load, options, isolation.flood, round.with));
    WAYPORT_TRY_ASSIGN(const Usage usage, servers.usage());
    round.rss_with = usage.rss_peak_bytes;
    return {};
  };
  isolation.rounds.resize(options.rounds);
  for (std::size_t i = 0; i < isolation.rounds.size(); ++i) {
    std::cerr << "measuring isolation, round " << i + 1 << " of " << isolation.rounds.size() << "\n";
    IsolationRound& round = isolation.rounds[i];
    // Who comes first changes, so that a trend of the machine hits both.
    if (i % 2 == 0) WAYPORT_TRY(run_without(round));
    WAYPORT_TRY(run_with(round));
    if (i % 2 != 0) WAYPORT_TRY(run_without(round));
    isolation.rss_with = std::max(isolation.rss_with, round.rss_with);
    round.p99_ratio =
        divided(static_cast<double>(round.with.latency.at(0.99)), static_cast<double>(round.without.latency.at(0.99)));
  }
  isolation.rss_before = isolation.rounds.front().rss_without;
  for (const IsolationRound& round : isolation.rounds) {
    isolation.latency_without.add(round.without.latency);
    isolation.latency_with.add(round.with.latency);
  }
  isolation.p99_ratio = divided(static_cast<double>(isolation.latency_with.at(0.99)),
                                static_cast<double>(isolation.latency_without.at(0.99)));
  isolation.p99_ratio_median = median_of(isolation.rounds, [](const IsolationRound& round) { return round.p99_ratio; });
  WAYPORT_TRY_ASSIGN(const GatewayCounts counts, servers.counters());
  isolation.bound = link_memory_bound(options.loops);
  isolation.counts = difference(counts, counts_before);
  isolation.surprises = exchange->surprises().count();
  isolation.first_surprises = exchange->surprises().first();
  return isolation;
}

// --- dial ---

Result<LinkDialing> measure_dial(std::size_t own_arguments, int core, const LinkOptions& options) {
  std::cerr << "measuring dials\n";
  WAYPORT_TRY_ASSIGN(const LinkServers servers, LinkServers::start(own_arguments, core, options.loops, false));
  WAYPORT_TRY_ASSIGN(const std::unique_ptr<LinkDials> dials, LinkDials::connect(servers.ours(), options.clients));
  WAYPORT_TRY(dials->run(options.window, seconds_of(options.seconds / options.rounds * kWarmUpPart)));
  WAYPORT_TRY_ASSIGN(const GatewayCounts counts_before, servers.counters());
  LinkDialing dialing;
  std::vector<double> rates, cpu, allocations;
  for (unsigned i = 0; i < options.rounds; ++i) {
    WAYPORT_TRY_ASSIGN(const Usage before, servers.usage());
    WAYPORT_TRY_ASSIGN(const DialRound round, dials->run(options.window, seconds_of(options.seconds / options.rounds)));
    WAYPORT_TRY_ASSIGN(const Usage after, servers.usage());
    const auto count = static_cast<double>(round.dials);
    dialing.dials += round.dials;
    dialing.refused += round.refused;
    dialing.accepted.add(round.accepted);
    rates.push_back(divided(count, round.seconds));
    cpu.push_back(divided(static_cast<double>(after.cpu_ns - before.cpu_ns) * 1e-3, count));
    allocations.push_back(divided(static_cast<double>(after.allocations - before.allocations), count));
  }
  dialing.dials_per_second = median(rates);
  dialing.gateway_cpu_us = median(cpu);
  dialing.gateway_allocations = median(allocations);
  WAYPORT_TRY_ASSIGN(const GatewayCounts counts, servers.counters());
  dialing.counts = difference(counts, counts_before);
  dialing.surprises = dials->surprises().count();
  dialing.first_surprises = dials->surprises().first();
  return dialing;
}

// --- idle ---

Result<Usage> settled_usage(const LinkServers& servers) {
  std::this_thread::sleep_for(kSettle);
  return servers.usage();
}

// Counts bytes of answers to dials.
struct Answers final : LinkBedEvents {
  void on_client_frame(std::size_t, std::uint32_t, Bytes frame) override { at_clients += frame.size(); }
  void on_server_frame(std::uint32_t, Bytes frame) override { at_server += frame.size(); }
  std::size_t at_clients = 0;
  std::size_t at_server = 0;
};

Result<LinkIdle> measure_idle_link(std::size_t own_arguments, int core, const LinkOptions& options) {
  std::cerr << "measuring " << options.idle_clients << " idle clients, " << options.idle_virtuals
            << " idle virtual connections\n";
  WAYPORT_TRY_ASSIGN(const LinkServers servers, LinkServers::start(own_arguments, core, options.loops, false));
  WAYPORT_TRY_ASSIGN(const std::unique_ptr<LinkBed> bed, LinkBed::connect(servers.ours()));
  // The first ones pay for what all share.
  constexpr std::size_t kFirst = 10;
  WAYPORT_TRY(bed->add_clients(kFirst));
  WAYPORT_TRY_ASSIGN(const Usage before, settled_usage(servers));
  LinkIdle idle;
  idle.clients = options.idle_clients;
  WAYPORT_TRY(bed->add_clients(idle.clients));
  WAYPORT_TRY_ASSIGN(const Usage clients, settled_usage(servers));
  idle.client_heap_bytes = per(clients.heap_bytes, before.heap_bytes, idle.clients);
  idle.client_rss_bytes = per(clients.rss_bytes, before.rss_bytes, idle.clients);

  idle.virtual_clients = std::clamp<std::size_t>(options.idle_virtuals / kVirtualsPerClient, 1, bed->clients());
  Answers answers;
  const link::EncodedCommand dial(link::Command::dial(kLinkServerId));
  while (idle.virtuals < options.idle_virtuals) {
    // One for each client in turn.
    for (std::size_t i = 0; i < idle.virtual_clients && idle.virtuals < options.idle_virtuals; ++i, ++idle.virtuals) {
      bed->send_client(i, dial);
    }
    const std::size_t expected = idle.virtuals * kAcceptBytes;
    WAYPORT_TRY(bed->turn_until(answers, "answers to dials",
                                [&] { return answers.at_clients >= expected && answers.at_server >= expected; }));
  }
  WAYPORT_TRY_ASSIGN(const GatewayCounts counts, servers.counters());
  if (counts.at("dials_accepted") != idle.virtuals) {
    return fail(ErrorCode::internal, std::to_string(counts.at("dials_accepted")) + " of " +
                                         std::to_string(idle.virtuals) + " idle virtual connections were made");
  }
  WAYPORT_TRY_ASSIGN(const Usage virtuals, settled_usage(servers));
  idle.virtual_heap_bytes = per(virtuals.heap_bytes, clients.heap_bytes, idle.virtuals);
  idle.virtual_rss_bytes = per(virtuals.rss_bytes, clients.rss_bytes, idle.virtuals);
  return idle;
}

}  // namespace

bool LinkOptions::has(const std::string& part) const {
  return std::ranges::any_of(parts, [&](const std::string& wanted) { return wanted == part || wanted == "all"; });
}

std::uint64_t LinkIsolation::closed_slow() const {
  return counts.at("closed_virtual_queue") + counts.at("closed_client_queue");
}

LinkMemoryBound link_memory_bound(std::uint64_t loops) {
  const link::SwitchOptions options = link_bench_options();
  return {.stuck = kStuckAtOnce,
          .queue_bytes = options.client_queue.bytes_max,
          .reserve_bytes = options.command_reserve_bytes,
          .loops = loops,
          .free_chunk_bytes = kFreeChunkBytes};
}

Result<LinkResults> measure_link(std::size_t own_arguments, const LinkOptions& options) {
  const std::size_t most =
      std::max(options.has("isolation") ? options.crowd : 0, options.has("idle") ? options.idle_clients : 0);
  if (const std::uint64_t limit = raise_descriptor_limit(); most + kSpareDescriptors > limit) {
    return fail(ErrorCode::invalid_argument, std::to_string(most) + " clients need more descriptors than the " +
                                                 std::to_string(limit) + " that a process may have here");
  }
  const int core = pin_both(options.cores);
  LinkResults results;
  if (options.has("frames")) {
    WAYPORT_TRY_ASSIGN(results.frames, measure_frames(own_arguments, core, options));
  }
  if (options.has("isolation")) {
    WAYPORT_TRY_ASSIGN(results.isolation, measure_isolation(own_arguments, core, options));
  }
  if (options.has("dial")) {
    WAYPORT_TRY_ASSIGN(results.dial, measure_dial(own_arguments, core, options));
  }
  if (options.has("idle")) {
    WAYPORT_TRY_ASSIGN(results.idle, measure_idle_link(own_arguments, core, options));
  }
  return results;
}

}  // namespace wayport::tools
