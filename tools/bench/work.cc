#include "wayport/tools/bench/work.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <iostream>
#include <memory>
#include <utility>

#include "wayport/tools/bench/figures.h"
#include "wayport/tools/bench/machine.h"
#include "wayport/tools/bench/servers.h"
#include "wayport/tools/bench/usage.h"

namespace wayport::tools {
namespace {

namespace json = boost::json;

double microseconds(const Histogram& histogram, double quantile) {
  return static_cast<double>(histogram.at(quantile)) * 1e-3;
}

struct Place {
  Servers servers;
  std::unique_ptr<WorkClient> client;
};

Result<Place> start(std::size_t own_arguments, const std::string& transport, const WorkOptions& work,
                    std::size_t sessions, Cores cores) {
  const int core = pin_both(cores);
  WAYPORT_TRY_ASSIGN(
      Servers servers,
      Servers::start(own_arguments, {.kind = ServerKind::work, .transports = {transport}, .core = core, .work = work}));
  WAYPORT_TRY_ASSIGN(const std::string address, servers.address(transport));
  WAYPORT_TRY_ASSIGN(std::unique_ptr<WorkClient> client, WorkClient::connect(address, sessions));
  return Place{std::move(servers), std::move(client)};
}

// Calls done per second of the server's CPU time.
Result<double> run_measured(Place& place, const WorkLoad& load, WorkRound& round) {
  WAYPORT_TRY_ASSIGN(const Usage before, place.servers.usage());
  round = place.client->run(load);
  WAYPORT_TRY_ASSIGN(const Usage after, place.servers.usage());
  return divided(static_cast<double>(round.done.count()), static_cast<double>(after.cpu_ns - before.cpu_ns) * 1e-9);
}

json::object work_object(const WorkRound& round) {
  return {{"sent", round.sent},
          {"done", round.done.count()},
          {"refused", round.refused.count()},
          {"blocked", round.blocked},
          {"failed", round.failed},
          {"p50_us", microseconds(round.done, 0.5)},
          {"p99_us", microseconds(round.done, 0.99)},
          {"p99.9_us", microseconds(round.done, 0.999)},
          {"refused_p50_us", microseconds(round.refused, 0.5)},
          {"refused_p99_us", microseconds(round.refused, 0.99)}};
}

}  // namespace

// --- blocking ---

Result<std::vector<BlockingRound>> measure_blocking(std::size_t own_arguments, const BlockingOptions& options) {
  const WorkOptions work{.work = std::chrono::microseconds(options.work_us),
                         .block = std::chrono::microseconds(static_cast<std::int64_t>(options.block_ms * 1000))};
  WAYPORT_TRY_ASSIGN(Place place, start(own_arguments, options.transport, work, options.sessions, options.cores));
  WorkLoad without{.load = {.rate = options.rate}};
  without.load.time = seconds_of(options.seconds / options.rounds / 2);
  WorkLoad with = without;
  with.blocking = options.share / (1 - options.share);
  WorkLoad warm_up = with;
  warm_up.load.time = seconds_of(options.seconds / options.rounds * kWarmUpPart);
  place.client->run(warm_up);
  std::vector<BlockingRound> rounds(options.rounds);
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    std::cerr << "measuring round " << i + 1 << " of " << rounds.size() << "\n";
    // Who comes first changes, so that a trend of the machine hits both.
    if (i % 2 == 0) rounds[i].without = place.client->run(without);
    rounds[i].with = place.client->run(with);
    if (i % 2 == 1) rounds[i].without = place.client->run(without);
    rounds[i].p99_ratio = divided(microseconds(rounds[i].with.done, 0.99), microseconds(rounds[i].without.done, 0.99));
  }
  return rounds;
}

std::string blocking_table(const Machine& machine, const BlockingOptions& options,
                           const std::vector<BlockingRound>& rounds) {
  std::string text = machine_lines(machine);
  text += fmt::format("{:<10}{:g} calls per second over {}, of {} us; with {:g} % more that block for {:g} ms\n\n",
                      "load", options.rate, options.transport, options.work_us, options.share * 100, options.block_ms);
  text += fmt::format("{:<8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9} {:>9}\n", "round", "p50 us", "with",
                      "p99 us", "with", "p99.9 us", "with", "blocked", "p99 x");
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    const Histogram& without = rounds[i].without.done;
    const Histogram& with = rounds[i].with.done;
    text += fmt::format("{:<8} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f} {:>9} {:>9.2f}\n", i + 1,
                        microseconds(without, 0.5), microseconds(with, 0.5), microseconds(without, 0.99),
                        microseconds(with, 0.99), microseconds(without, 0.999), microseconds(with, 0.999),
                        rounds[i].with.blocked, rounds[i].p99_ratio);
  }
  text += fmt::format("\np99 of the others with blocking calls, by without: {:.2f} (median of {} rounds)\n",
                      median_of(rounds, [](const BlockingRound& round) { return round.p99_ratio; }), rounds.size());
  return text;
}

std::string blocking_json(const Machine& machine, const BlockingOptions& options,
                          const std::vector<BlockingRound>& rounds) {
  json::array rows;
  for (const BlockingRound& round : rounds) {
    rows.push_back(json::object{
        {"without", work_object(round.without)}, {"with", work_object(round.with)}, {"p99_ratio", round.p99_ratio}});
  }
  const json::object report{
      {"machine", machine_object(machine)},
      {"rate", options.rate},
      {"share", options.share},
      {"block_ms", options.block_ms},
      {"rows", std::move(rows)},
      {"p99_ratio", median_of(rounds, [](const BlockingRound& round) { return round.p99_ratio; })}};
  return json::serialize(report) + "\n";
}

// --- overload ---

Result<Overload> measure_overload(std::size_t own_arguments, const OverloadOptions& options) {
  const WorkOptions work{.work = std::chrono::microseconds(options.work_us),
                         .turn_budget = std::chrono::microseconds(options.turn_budget_us)};
  WAYPORT_TRY_ASSIGN(Place place, start(own_arguments, options.transport, work, options.sessions, options.cores));
  WorkLoad closed{.load = {.outstanding = options.outstanding}};
  closed.load.time = seconds_of(options.seconds / options.rounds / 2);
  WorkLoad warm_up = closed;
  warm_up.load.time = seconds_of(options.seconds / options.rounds * kWarmUpPart);
  place.client->run(warm_up);
  Overload overload;
  for (unsigned i = 0; i < options.rounds; ++i) {
    std::cerr << "measuring round " << i + 1 << " of " << options.rounds << "\n";
    OverloadRound& round = overload.rounds.emplace_back();
    WAYPORT_TRY_ASSIGN(const double peak_per_cpu, run_measured(place, closed, round.closed));
    round.peak = static_cast<double>(round.closed.done.count()) / round.closed.seconds;
    if (round.peak == 0) return fail(ErrorCode::internal, "no call was done in the time of a round: give it more");
    WorkLoad open;
    open.load.rate = round.peak * options.times;
    open.load.time = closed.load.time;
    WAYPORT_TRY_ASSIGN(const double goodput_per_cpu, run_measured(place, open, round.open));
    round.offered = static_cast<double>(round.open.sent) / round.open.seconds;
    round.goodput = static_cast<double>(round.open.done.count()) / round.open.seconds;
    round.ratio = divided(round.goodput, round.peak);
    round.cpu_ratio = divided(goodput_per_cpu, peak_per_cpu);
  }
  WAYPORT_TRY_ASSIGN(overload.refusals, place.client->refusals());
  return overload;
}

std::string overload_table(const Machine& machine, const OverloadOptions& options, const Overload& overload) {
  std::string text = machine_lines(machine);
  text += fmt::format("{:<10}calls of {} us over {}; {:g} times the peak is offered; turn_budget {} us\n\n", "load",
                      options.work_us, options.transport, options.times, options.turn_budget_us);
  text += fmt::format("{:<8} {:>10} {:>10} {:>10} {:>8} {:>8} {:>10} {:>12} {:>12} {:>8}\n", "round", "peak/s",
                      "offered/s", "goodput/s", "ratio", "per CPU", "503s/s", "200 p99 us", "503 p99 us", "failed");
  for (std::size_t i = 0; i < overload.rounds.size(); ++i) {
    const OverloadRound& round = overload.rounds[i];
    text += fmt::format("{:<8} {:>10.0f} {:>10.0f} {:>10.0f} {:>8.3f} {:>8.3f} {:>10.0f} {:>12.0f} {:>12.0f} {:>8}\n",
                        i + 1, round.peak, round.offered, round.goodput, round.ratio, round.cpu_ratio,
                        static_cast<double>(round.open.refused.count()) / round.open.seconds,
                        microseconds(round.open.done, 0.99), microseconds(round.open.refused, 0.99),
                        round.open.failed + round.closed.failed);
  }
  const auto of = [&](auto value) { return median_of(overload.rounds, value); };
  text += fmt::format(
      "\npeak {:.0f}/s, goodput {:.0f}/s, ratio {:.3f} ({:.3f} per CPU time), p99 of the 503s {:.0f} us (medians of {} "
      "rounds)\n",
      of([](const OverloadRound& round) { return round.peak; }),
      of([](const OverloadRound& round) { return round.goodput; }),
      of([](const OverloadRound& round) { return round.ratio; }),
      of([](const OverloadRound& round) { return round.cpu_ratio; }),
      of([](const OverloadRound& round) { return microseconds(round.open.refused, 0.99); }), overload.rounds.size());
  text += fmt::format("503s queued in the turn that read their request: {} of {}\n", overload.refusals[0],
                      overload.refusals[0] + overload.refusals[1]);
  return text;
}

std::string overload_json(const Machine& machine, const OverloadOptions& options, const Overload& overload) {
  json::array rows;
  for (const OverloadRound& round : overload.rounds) {
    rows.push_back(json::object{{"peak_per_second", round.peak},
                                {"offered_per_second", round.offered},
                                {"goodput_per_second", round.goodput},
                                {"ratio", round.ratio},
                                {"cpu_ratio", round.cpu_ratio},
                                {"closed", work_object(round.closed)},
                                {"open", work_object(round.open)}});
  }
  const auto of = [&](auto value) { return median_of(overload.rounds, value); };
  const json::object report{
      {"machine", machine_object(machine)},
      {"times", options.times},
      {"work_us", options.work_us},
      {"turn_budget_us", options.turn_budget_us},
      {"rows", std::move(rows)},
      {"peak_per_second", of([](const OverloadRound& round) { return round.peak; })},
      {"goodput_per_second", of([](const OverloadRound& round) { return round.goodput; })},
      {"ratio", of([](const OverloadRound& round) { return round.ratio; })},
      {"cpu_ratio", of([](const OverloadRound& round) { return round.cpu_ratio; })},
      {"refused_p99_us", of([](const OverloadRound& round) { return microseconds(round.open.refused, 0.99); })},
      {"refused_in_the_same_turn", overload.refusals[0]},
      {"refused_later", overload.refusals[1]}};
  return json::serialize(report) + "\n";
}

}  // namespace wayport::tools
