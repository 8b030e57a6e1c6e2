#include <fmt/format.h>

#include <boost/json.hpp>

#include "wayport/tools/bench/relay_bench.h"

namespace wayport::tools {
namespace {

namespace json = boost::json;

double microseconds(const Histogram& histogram, double quantile) {
  return static_cast<double>(histogram.at(quantile)) * 1e-3;
}

// What the ratios are by; empty if that side is not there.
std::string reference_text(const RelayRow& row) {
  for (const RelaySide& side : row.sides) {
    if (side.name == row.reference) return "; x: by " + row.reference + ", medians of the rounds";
  }
  return {};
}

bool in_gbit(const RelayRow& row) { return row.load != RelayLoad::exchange; }

std::string tail_of(const RelaySide& side) {
  std::string text;
  if (side.rate_ratio > 0) text += fmt::format("   x {:.2f}", side.rate_ratio);
  if (side.cpu_ratio > 0) text += fmt::format(", CPU x {:.2f}", side.cpu_ratio);
  if (side.side.wrong != 0) text += fmt::format("  {} WRONG", side.side.wrong);
  if (side.side.failed != 0) text += fmt::format("  {} FAILED", side.side.failed);
  return text + "\n";
}

std::string gbit_text(const RelayRow& row) {
  std::string text = fmt::format(
      "  {}: {} {} KiB under way, {}; CPU is ms per Gbit that arrived{}\n", to_string(row.load), row.outstanding,
      row.load == RelayLoad::bulk ? fmt::format("chunks of {}", row.message_bytes / 1024)
                                  : fmt::format("frames of {}", row.message_bytes / 1024),
      row.load == RelayLoad::bulk ? "one way, from the backend" : "there and back", reference_text(row));
  text += fmt::format("    {:<15} {:>10} {:>12} {:>10}\n", "", "Gbit/s", "gateway CPU", "load CPU");
  for (const RelaySide& side : row.sides) {
    text += fmt::format("    {:<15} {:>10.3f} {:>12.3f} {:>10.3f}{}", side.name, side.gbit_per_second(),
                        side.cpu_ms_per_gbit(), side.client_cpu_ms_per_gbit(), tail_of(side));
  }
  return text;
}

std::string exchange_text(const RelayRow& row) {
  std::string text =
      fmt::format("  exchange: {} messages of {} bytes under way, there and back; CPU is us per message{}\n",
                  row.outstanding, row.message_bytes, reference_text(row));
  text += fmt::format("    {:<15} {:>10} {:>12} {:>10} {:>9} {:>9}\n", "", "messages/s", "gateway CPU", "load CPU",
                      "p50 us", "p99 us");
  for (const RelaySide& side : row.sides) {
    text += fmt::format("    {:<15} {:>10.0f} {:>12.3f} {:>10.3f} {:>9.1f} {:>9.1f}{}", side.name,
                        side.side.messages_per_second, side.side.server_cpu_us, side.side.client_cpu_us,
                        microseconds(side.side.latency, 0.5), microseconds(side.side.latency, 0.99), tail_of(side));
  }
  return text;
}

json::object row_object(const RelayRow& row) {
  json::array sides;
  for (const RelaySide& side : row.sides) {
    json::object object{{"name", side.name},
                        {"messages", side.side.messages},
                        {"wrong", side.side.wrong},
                        {"failed", side.side.failed},
                        {"answered", side.answered},
                        {"reply_bytes", side.reply_bytes},
                        {"messages_per_second", side.side.messages_per_second},
                        {"gateway_cpu_us_per_message", side.side.server_cpu_us},
                        {"load_cpu_us_per_message", side.side.client_cpu_us},
                        {"p50_us", microseconds(side.side.latency, 0.5)},
                        {"p99_us", microseconds(side.side.latency, 0.99)},
                        {"p99.9_us", microseconds(side.side.latency, 0.999)}};
    if (in_gbit(row)) {
      object["gbit_per_second"] = side.gbit_per_second();
      object["gateway_cpu_ms_per_gbit"] = side.cpu_ms_per_gbit();
      object["load_cpu_ms_per_gbit"] = side.client_cpu_ms_per_gbit();
    }
    if (side.rate_ratio > 0) object["rate_ratio"] = side.rate_ratio;
    if (side.cpu_ratio > 0) object["gateway_cpu_ratio"] = side.cpu_ratio;
    sides.push_back(std::move(object));
  }
  return {{"load", to_string(row.load)},
          {"message_bytes", row.message_bytes},
          {"outstanding", row.outstanding},
          {"reference", row.reference},
          {"sides", std::move(sides)}};
}

}  // namespace

std::string relay_table(const Machine& machine, const RelayOptions& options, const RelayResults& results) {
  std::string text = machine_lines(machine);
  text += fmt::format(
      "{:<10}{} rounds of {:.2g} s for each side, in turns, each gateway a process of its own; {}\n"
      "{:<10}{}\n",
      "runs", options.rounds, options.seconds / options.rounds,
      options.cores == Cores::any     ? "cores chosen by the system"
      : options.cores == Cores::apart ? "gateways on one core, load and backend on the other"
                                      : "everything on one core",
      "control", results.congestion);
  if (options.loss > 0) text += fmt::format("{:<10}{:g} % of the datagrams, each way\n", "loss", options.loss * 100);
  for (const std::string& what : results.missing) text += fmt::format("{:<10}{}\n", "missing", what);
  for (const RelaySection& section : results.sections) {
    text += "\n" + std::string(to_string(options.kind)) + ": " + section.title + "\n";
    for (const RelayRow& row : section.rows) text += in_gbit(row) ? gbit_text(row) : exchange_text(row);
  }
  return text;
}

std::string relay_json(const Machine& machine, const RelayOptions& options, const RelayResults& results) {
  json::array sections;
  for (const RelaySection& section : results.sections) {
    json::array rows;
    for (const RelayRow& row : section.rows) rows.push_back(row_object(row));
    sections.push_back({{"title", section.title},
                        {"rows", std::move(rows)},
                        {"connections", section.connections},
                        {"backend_bytes", section.backend_bytes},
                        {"answered_bytes", section.answered_bytes},
                        {"gateways", json::value_from(section.gateways)}});
  }
  return json::serialize(json::object{{"benchmark", to_string(options.kind)},
                                      {"machine", machine_object(machine)},
                                      {"rounds", options.rounds},
                                      {"seconds", options.seconds},
                                      {"loss", options.loss},
                                      {"congestion", results.congestion},
                                      {"missing", json::value_from(results.missing)},
                                      {"sections", std::move(sections)}}) +
         "\n";
}

}  // namespace wayport::tools
