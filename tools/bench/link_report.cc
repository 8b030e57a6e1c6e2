#include <fmt/format.h>

#include <boost/json.hpp>
#include <utility>

#include "wayport/tools/bench/link_bench.h"

namespace wayport::tools {
namespace {

namespace json = boost::json;

double microseconds(const Histogram& histogram, double quantile) {
  return static_cast<double>(histogram.at(quantile)) * 1e-3;
}
double kibibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / 1024; }

std::string surprise_lines(std::uint64_t count, const std::vector<std::string>& first) {
  if (count == 0) return {};
  std::string text = fmt::format("  {} UNEXPECTED frames or commands; the first:\n", count);
  for (const std::string& surprise : first) text += "    " + surprise + "\n";
  return text;
}

void add_surprises(json::object& object, std::uint64_t count, const std::vector<std::string>& first) {
  object["unexpected"] = count;
  object["first_unexpected"] = json::value_from(first);
}

// --- frames ---

std::string frames_line(const char* name, const Side& side) {
  std::string line = fmt::format("{:<9} {:>12.0f} {:>14.3f} {:>12.3f} {:>10} {:>9.1f} {:>9.1f} {:>9.1f}", name,
                                 side.messages_per_second, side.server_cpu_us / 2, side.client_cpu_us / 2,
                                 allocations_text(side.server_allocations / 2), microseconds(side.latency, 0.5),
                                 microseconds(side.latency, 0.99), microseconds(side.latency, 0.999));
  if (side.wrong != 0) line += fmt::format("  {} WRONG", side.wrong);
  if (side.failed != 0) line += fmt::format("  {} FAILED", side.failed);
  return line;
}

std::string frames_text(const LinkOptions& options, const LinkFrames& frames) {
  std::string text = fmt::format(
      "\nframes: {} clients x {} frames of {} bytes to a server and back; a message is forwarded twice; CPU us and\n"
      "allocations are per forwarded frame{}\n",
      options.clients, options.window, options.frame_bytes,
      options.with_raw ? "; raw is a bare gateway that copies each frame once" : "");
  text += fmt::format("{:<9} {:>12} {:>14} {:>12} {:>10} {:>9} {:>9} {:>9}\n", "", "messages/s", "gateway CPU",
                      "load CPU", "gw mem", "p50 us", "p99 us", "p99.9 us");
  if (options.with_raw) text += frames_line("raw", frames.comparison.raw) + "\n";
  text += frames_line("gateway", frames.comparison.ours);
  if (options.with_raw) {
    text +=
        fmt::format("   p50 x {:.2f}, CPU x {:.2f}", frames.comparison.p50_ratio, frames.comparison.server_cpu_ratio);
  }
  return text + "\n" + surprise_lines(frames.surprises, frames.first_surprises);
}

json::object frames_side_object(const Side& side) {
  json::object object = side_object(side);
  object["gateway_cpu_us_per_forwarded_frame"] = side.server_cpu_us / 2;
  return object;
}

json::object frames_object(const LinkOptions& options, const LinkFrames& frames) {
  json::object object{
      {"clients", options.clients},         {"window", options.window},
      {"frame_bytes", options.frame_bytes}, {"answered", frames.answered},
      {"forwarded", frames.forwarded},      {"gateway", frames_side_object(frames.comparison.ours)},
  };
  if (options.with_raw) {
    object["raw"] = frames_side_object(frames.comparison.raw);
    object["p50_ratio"] = frames.comparison.p50_ratio;
    object["gateway_cpu_ratio"] = frames.comparison.server_cpu_ratio;
  }
  add_surprises(object, frames.surprises, frames.first_surprises);
  return object;
}

// --- isolation ---

std::string isolation_text(const LinkOptions& options, const LinkIsolation& isolation) {
  std::string text = fmt::format(
      "\nisolation: {} clients, {:g} frames of {} bytes per second there and back; without and with one more client\n"
      "that never reads, to whom the server sends {:g} MB/s\n",
      isolation.clients, options.rate, options.frame_bytes, options.flood_mb);
  text += fmt::format("{:>5} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>7}\n", "round", "without", "p50 us", "p99 us",
                      "with", "p50 us", "p99 us", "p99 x");
  for (std::size_t i = 0; i < isolation.rounds.size(); ++i) {
    const IsolationRound& round = isolation.rounds[i];
    text += fmt::format("{:>5} {:>12} {:>12.1f} {:>12.1f} {:>12} {:>12.1f} {:>12.1f} {:>7.2f}", i + 1,
                        round.without.messages, microseconds(round.without.latency, 0.5),
                        microseconds(round.without.latency, 0.99), round.with.messages,
                        microseconds(round.with.latency, 0.5), microseconds(round.with.latency, 0.99), round.p99_ratio);
    const std::uint64_t wrong = round.without.wrong + round.with.wrong;
    const std::uint64_t failed = round.without.failed + round.with.failed;
    if (wrong != 0) text += fmt::format("  {} WRONG", wrong);
    if (failed != 0) text += fmt::format("  {} FAILED", failed);
    text += "\n";
  }
  const FloodCounts& flood = isolation.flood;
  text += fmt::format(
      "p99        {:.1f} us without, {:.1f} us with, x {:.2f}: {} rounds together; x {:.2f}: median of the rounds\n",
      microseconds(isolation.latency_without, 0.99), microseconds(isolation.latency_with, 0.99), isolation.p99_ratio,
      isolation.rounds.size(), isolation.p99_ratio_median);
  text += fmt::format(
      "stuck      {} clients with {} virtual connections; {:.1f} MB sent to them; {} closed, and {} strays answered\n",
      flood.clients, flood.virtuals, static_cast<double>(flood.bytes) * 1e-6, flood.closed, flood.strays);
  text += fmt::format(
      "gateway    closed {} virtual connections for a bound, {} with their client; cut {} slow clients\n",
      isolation.closed_slow(), isolation.counts.at("closed_by_loss"),
      isolation.counts.at("cut_slow") + isolation.counts.at("cut_commands") + isolation.counts.at("cut_process_bytes"));
  const LinkMemoryBound& bound = isolation.bound;
  text += fmt::format(
      "memory     {:.0f} KiB resident at most before the first was stuck, {:.0f} KiB with: {:.0f} KiB more\n"
      "bound      {:.0f} KiB more is what the options allow: {} stuck at a time x ({:.0f} KiB client_queue.bytes_max "
      "+\n"
      "           {:.0f} KiB command_reserve_bytes) + {} loop{} x {:.0f} KiB of free chunks that it keeps\n",
      kibibytes(isolation.rss_before), kibibytes(isolation.rss_with), kibibytes(isolation.rss_growth()),
      kibibytes(bound.bytes()), bound.stuck, kibibytes(bound.queue_bytes), kibibytes(bound.reserve_bytes), bound.loops,
      bound.loops == 1 ? "" : "s", kibibytes(bound.free_chunk_bytes));
  return text + surprise_lines(isolation.surprises, isolation.first_surprises);
}

json::object round_object(const Round& round) {
  return {{"messages", round.messages},
          {"wrong", round.wrong},
          {"failed", round.failed},
          {"p50_us", microseconds(round.latency, 0.5)},
          {"p99_us", microseconds(round.latency, 0.99)},
          {"p99.9_us", microseconds(round.latency, 0.999)}};
}

json::object isolation_object(const LinkOptions& options, const LinkIsolation& isolation) {
  json::array rows;
  for (const IsolationRound& round : isolation.rounds) {
    rows.push_back(
        {{"without", round_object(round.without)}, {"with", round_object(round.with)}, {"p99_ratio", round.p99_ratio}});
  }
  json::object object{
      {"clients", isolation.clients},
      {"rate", options.rate},
      {"flood_mb_per_second", options.flood_mb},
      {"p99_ratio", isolation.p99_ratio},
      {"p99_ratio_median", isolation.p99_ratio_median},
      {"p99_us_without", microseconds(isolation.latency_without, 0.99)},
      {"p99_us_with", microseconds(isolation.latency_with, 0.99)},
      {"rows", std::move(rows)},
      {"stuck_clients", isolation.flood.clients},
      {"stuck_virtuals", isolation.flood.virtuals},
      {"stuck_closed", isolation.flood.closed},
      {"stuck_strays", isolation.flood.strays},
      {"flood_bytes", isolation.flood.bytes},
      {"closed_slow", isolation.closed_slow()},
      {"rss_before_bytes", isolation.rss_before},
      {"rss_with_bytes", isolation.rss_with},
      {"rss_growth_bytes", isolation.rss_growth()},
      {"bound_bytes", isolation.bound.bytes()},
      {"bound_stuck_clients", isolation.bound.stuck},
      {"bound_client_queue_bytes", isolation.bound.queue_bytes},
      {"bound_command_reserve_bytes", isolation.bound.reserve_bytes},
      {"bound_loops", isolation.bound.loops},
      {"bound_free_chunk_bytes", isolation.bound.free_chunk_bytes},
      {"gateway", json::value_from(isolation.counts)},
  };
  add_surprises(object, isolation.surprises, isolation.first_surprises);
  return object;
}

// --- dial ---

std::string dial_text(const LinkOptions& options, const LinkDialing& dialing) {
  std::string text = fmt::format(
      "\ndial: {} clients x {} dials, each accepted and closed; CPU us and allocations are per dial\n"
      "{:>12} {:>14} {:>10} {:>14} {:>14}\n{:>12.0f} {:>14.3f} {:>10} {:>14.1f} {:>14.1f}",
      options.clients, options.window, "dials/s", "gateway CPU", "gw mem", "accept p50 us", "accept p99 us",
      dialing.dials_per_second, dialing.gateway_cpu_us, allocations_text(dialing.gateway_allocations),
      microseconds(dialing.accepted, 0.5), microseconds(dialing.accepted, 0.99));
  if (dialing.refused != 0) text += fmt::format("  {} REFUSED", dialing.refused);
  return text + "\n" + surprise_lines(dialing.surprises, dialing.first_surprises);
}

json::object dial_object(const LinkOptions& options, const LinkDialing& dialing) {
  json::object object{
      {"clients", options.clients},
      {"window", options.window},
      {"dials", dialing.dials},
      {"refused", dialing.refused},
      {"dials_per_second", dialing.dials_per_second},
      {"gateway_cpu_us_per_dial", dialing.gateway_cpu_us},
      {"accept_p50_us", microseconds(dialing.accepted, 0.5)},
      {"accept_p99_us", microseconds(dialing.accepted, 0.99)},
      {"gateway", json::value_from(dialing.counts)},
  };
  if (allocations_are_counted()) object["gateway_allocations_per_dial"] = dialing.gateway_allocations;
  add_surprises(object, dialing.surprises, dialing.first_surprises);
  return object;
}

// --- idle ---

std::string idle_text(const LinkIdle& idle) {
  return fmt::format(
      "\nidle: bytes for each in the gateway's process\n"
      "{:<20} {:>9} {:>11} {:>11}\n{:<20} {:>9} {:>11.0f} {:>11.0f}\n{:<20} {:>9} {:>11.0f} {:>11.0f}   over {} "
      "clients\n",
      "", "count", "heap bytes", "rss bytes", "client", idle.clients, idle.client_heap_bytes, idle.client_rss_bytes,
      "virtual connection", idle.virtuals, idle.virtual_heap_bytes, idle.virtual_rss_bytes, idle.virtual_clients);
}

json::object idle_object(const LinkIdle& idle) {
  return {{"clients", idle.clients},
          {"client_heap_bytes", idle.client_heap_bytes},
          {"client_rss_bytes", idle.client_rss_bytes},
          {"virtuals", idle.virtuals},
          {"virtual_clients", idle.virtual_clients},
          {"virtual_heap_bytes", idle.virtual_heap_bytes},
          {"virtual_rss_bytes", idle.virtual_rss_bytes}};
}

}  // namespace

std::string LinkResults::trouble() const {
  if (frames) {
    const Comparison& both = frames->comparison;
    if (both.raw.wrong + both.raw.failed + both.ours.wrong + both.ours.failed != 0) return "frames were lost or wrong";
    if (frames->surprises != 0) return "frames came that nobody waited for";
    if (frames->forwarded != 2 * frames->answered) return "clients and gateway do not agree about frames";
  }
  if (isolation) {
    for (const IsolationRound& round : isolation->rounds) {
      if (round.without.wrong + round.without.failed + round.with.wrong + round.with.failed != 0) {
        return "frames of clients that read were lost or wrong";
      }
    }
    if (isolation->surprises != 0) return "frames or commands came to clients that read, or from nobody";
    if (isolation->closed_slow() == 0) return "the gateway closed nothing: no client was stuck";
    if (isolation->flood.closed != isolation->flood.virtuals ||
        isolation->flood.closed != isolation->closed_slow() + isolation->counts.at("closed_by_loss")) {
      return "server and gateway do not agree about what was closed";
    }
  }
  if (dial) {
    if (dial->refused + dial->surprises != 0) return "dials were refused, or something came that nobody waited for";
    if (dial->dials != dial->counts.at("dials_accepted") || dial->dials != dial->counts.at("closed_by_endpoint")) {
      return "clients and gateway do not agree about dials";
    }
  }
  return {};
}

std::string link_table(const Machine& machine, const LinkOptions& options, const LinkResults& results) {
  std::string text = machine_lines(machine);
  text += fmt::format(
      "{:<10}{} rounds of {:.2g} s for each side, in turns; {}; gateway with {} loop{}; clients and server are one "
      "thread\n",
      "runs", options.rounds, options.seconds / options.rounds, place_of(options.cores), options.loops,
      options.loops == 1 ? "" : "s");
  if (results.frames) text += frames_text(options, *results.frames);
  if (results.isolation) text += isolation_text(options, *results.isolation);
  if (results.dial) text += dial_text(options, *results.dial);
  if (results.idle) text += idle_text(*results.idle);
  return text;
}

std::string link_json(const Machine& machine, const LinkOptions& options, const LinkResults& results) {
  json::object report{{"benchmark", "link"},
                      {"machine", machine_object(machine)},
                      {"rounds", options.rounds},
                      {"seconds", options.seconds},
                      {"loops", options.loops}};
  if (results.frames) report["frames"] = frames_object(options, *results.frames);
  if (results.isolation) report["isolation"] = isolation_object(options, *results.isolation);
  if (results.dial) report["dial"] = dial_object(options, *results.dial);
  if (results.idle) report["idle"] = idle_object(*results.idle);
  return json::serialize(report) + "\n";
}

}  // namespace wayport::tools
