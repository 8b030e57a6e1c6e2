#include "wayport/tools/bench/report.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "wayport/tools/bench/usage.h"

namespace wayport::tools {
namespace {

namespace json = boost::json;

const std::map<Cores, const char*> kPlaces{{Cores::together, "both processes on one core"},
                                           {Cores::apart, "a core for each process"},
                                           {Cores::any, "cores chosen by the system"}};

const char* name_of(ServerKind kind) { return kind == ServerKind::rpc ? "rpc" : "packet"; }
const char* name_of(BodyKind kind) { return kind == BodyKind::raw ? "raw" : "protobuf"; }

double microseconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-3; }

std::string side_line(const Comparison& comparison, const char* what, const Side& side) {
  const std::string load = comparison.load.rate > 0 ? fmt::format("{:g}/s", comparison.load.rate)
                                                    : std::to_string(comparison.load.outstanding);
  std::string line = fmt::format(
      "{:<9} {:>11} {:<7} {:>10.0f} {:>9.3f} {:>9.3f} {:>8} {:>8} {:>9.1f} {:>9.1f} {:>9.1f}", comparison.transport,
      load, what, side.messages_per_second, side.server_cpu_us, side.client_cpu_us,
      allocations_text(side.server_allocations), allocations_text(side.client_allocations),
      microseconds(side.latency.at(0.5)), microseconds(side.latency.at(0.99)), microseconds(side.latency.at(0.999)));
  if (side.wrong != 0) line += fmt::format("  {} WRONG", side.wrong);
  if (side.failed != 0) line += fmt::format("  {} FAILED", side.failed);
  return line;
}

}  // namespace

std::string allocations_text(double per_message) {
  return allocations_are_counted() ? fmt::format("{:.3f}", per_message) : "-";
}

json::object side_object(const Side& side) {
  json::object object{
      {"messages", side.messages},
      {"wrong", side.wrong},
      {"failed", side.failed},
      {"sum", side.sum},
      {"messages_per_second", side.messages_per_second},
      {"server_cpu_us_per_message", side.server_cpu_us},
      {"client_cpu_us_per_message", side.client_cpu_us},
      {"p50_us", microseconds(side.latency.at(0.5))},
      {"p99_us", microseconds(side.latency.at(0.99))},
      {"p99.9_us", microseconds(side.latency.at(0.999))},
      {"max_us", microseconds(side.latency.max())},
  };
  if (allocations_are_counted()) {
    object["server_allocations_per_message"] = side.server_allocations;
    object["client_allocations_per_message"] = side.client_allocations;
  }
  return object;
}

std::string machine_lines(const Machine& machine) {
  std::string text;
  for (const auto& [name, value] : machine) text += fmt::format("{:<10}{}\n", name, value);
  return text;
}

const char* place_of(Cores cores) { return kPlaces.at(cores); }

json::object machine_object(const Machine& machine) {
  json::object object;
  for (const auto& [name, value] : machine) object[name] = value;
  return object;
}

std::string comparison_table(const Machine& machine, const ComparisonOptions& options,
                             const std::vector<Comparison>& comparisons) {
  std::string text = machine_lines(machine);
  text +=
      fmt::format("{:<10}{} rounds of {:.2g} s each, in turns; raw is an epoll echo of frames of the same size; {}\n",
                  "runs", options.rounds, options.seconds / options.rounds, place_of(options.cores));
  text += fmt::format("{:<10}{}, body {}", "messages", name_of(options.kind), name_of(options.exchange.kind));
  if (!comparisons.empty()) {
    text += fmt::format(", {} bytes there, {} back", comparisons[0].request_bytes, comparisons[0].reply_bytes);
  }
  text += fmt::format("; CPU µs and allocations are per message; for tls, raw is the echo on tcp\n\n");
  text += fmt::format("{:<9} {:>11} {:<7} {:>10} {:>9} {:>9} {:>8} {:>8} {:>9} {:>9} {:>9}\n", "transport",
                      options.rate > 0 ? "rate" : "outstanding", "", "messages/s", "srv CPU", "cli CPU", "srv mem",
                      "cli mem", "p50 us", "p99 us", "p99.9 us");
  for (const Comparison& comparison : comparisons) {
    if (options.with_raw) text += side_line(comparison, "raw", comparison.raw) + "\n";
    text += side_line(comparison, name_of(options.kind), comparison.ours);
    if (options.with_raw) {
      text += fmt::format("   p50 x {:.2f}, server CPU x {:.2f}", comparison.p50_ratio, comparison.server_cpu_ratio);
    }
    text += "\n";
  }
  return text;
}

std::string comparison_json(const Machine& machine, const ComparisonOptions& options,
                            const std::vector<Comparison>& comparisons) {
  json::array rows;
  for (const Comparison& comparison : comparisons) {
    json::object row{
        {"transport", comparison.transport},
        {"request_bytes", comparison.request_bytes},
        {"reply_bytes", comparison.reply_bytes},
        {name_of(options.kind), side_object(comparison.ours)},
    };
    if (options.with_raw) {
      row["raw"] = side_object(comparison.raw);
      row["p50_ratio"] = comparison.p50_ratio;
      row["server_cpu_ratio"] = comparison.server_cpu_ratio;
    }
    if (comparison.load.rate > 0) {
      row["rate"] = comparison.load.rate;
    } else {
      row["outstanding"] = comparison.load.outstanding;
    }
    rows.push_back(std::move(row));
  }
  const json::object report{
      {"benchmark", name_of(options.kind)}, {"machine", machine_object(machine)},     {"rounds", options.rounds},
      {"seconds", options.seconds},         {"body", name_of(options.exchange.kind)}, {"rows", std::move(rows)},
  };
  return json::serialize(report) + "\n";
}

std::string idle_table(const Machine& machine, const std::vector<IdleCost>& costs) {
  std::string text = machine_lines(machine);
  text +=
      "per idle session in the server's process, the other ends in a second one; each session has answered one "
      "pull\n\n";
  text += fmt::format("{:<9} {:>9} {:>11} {:>11} {:>12} {:>13}\n", "transport", "sessions", "heap bytes", "rss bytes",
                      "allocations", "accept CPU us");
  for (const IdleCost& cost : costs) {
    text += fmt::format("{:<9} {:>9} {:>11.0f} {:>11.0f} {:>12} {:>13.1f}\n", cost.transport, cost.sessions,
                        cost.heap_bytes, cost.rss_bytes,
                        allocations_are_counted() ? fmt::format("{:.1f}", cost.allocations) : "-", cost.cpu_us);
  }
  return text;
}

std::string idle_json(const Machine& machine, const std::vector<IdleCost>& costs) {
  json::array rows;
  for (const IdleCost& cost : costs) {
    json::object row{
        {"transport", cost.transport}, {"sessions", cost.sessions}, {"heap_bytes", cost.heap_bytes},
        {"rss_bytes", cost.rss_bytes}, {"cpu_us", cost.cpu_us},     {"sum", cost.sum},
    };
    if (allocations_are_counted()) row["allocations"] = cost.allocations;
    rows.push_back(std::move(row));
  }
  return json::serialize(
             json::object{{"benchmark", "idle"}, {"machine", machine_object(machine)}, {"rows", std::move(rows)}}) +
         "\n";
}

std::string restart_table(const Machine& machine, const std::vector<RestartOutcome>& outcomes) {
  std::string text = machine_lines(machine);
  text += fmt::format("\n{:<9} {:>8} {:>9} {:>11} {:>8} {:>6} {:>8} {:>12} {:>14} {:>10} {:>12}\n", "transport",
                      "restarts", "calls", "connections", "repeated", "lost", "refused", "not executed",
                      "executed twice", "bad exits", "takeover ms");
  for (const RestartOutcome& outcome : outcomes) {
    text += fmt::format("{:<9} {:>8} {:>9} {:>11} {:>8} {:>6} {:>8} {:>12} {:>14} {:>10} {:>12.1f}\n",
                        outcome.transport, outcome.restarts, outcome.calls, outcome.connections, outcome.repeated,
                        outcome.lost, outcome.refused, outcome.not_executed, outcome.executed_twice,
                        outcome.exits_not_clean, outcome.takeover_ms_max);
    if (!outcome.first_trouble.empty()) text += "  first trouble: " + outcome.first_trouble + "\n";
  }
  return text;
}

std::string restart_json(const Machine& machine, const std::vector<RestartOutcome>& outcomes) {
  json::array rows;
  for (const RestartOutcome& outcome : outcomes) {
    rows.push_back({{"transport", outcome.transport},
                    {"restarts", outcome.restarts},
                    {"calls", outcome.calls},
                    {"connections", outcome.connections},
                    {"repeated", outcome.repeated},
                    {"lost", outcome.lost},
                    {"refused", outcome.refused},
                    {"not_executed", outcome.not_executed},
                    {"executed_twice", outcome.executed_twice},
                    {"exits_not_clean", outcome.exits_not_clean},
                    {"takeover_ms_max", outcome.takeover_ms_max},
                    {"first_trouble", outcome.first_trouble}});
  }
  return json::serialize(json::object{{"machine", machine_object(machine)}, {"rows", std::move(rows)}}) + "\n";
}

}  // namespace wayport::tools
