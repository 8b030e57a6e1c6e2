#include "wayport/tools/demos/report.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "wayport/tools/wayport/text.h"

namespace wayport::tools {
namespace {

using SteadyClock = std::chrono::steady_clock;

double milliseconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double, std::milli>(SteadyClock::now() - start).count();
}

}  // namespace

void Report::title(std::string_view text) { out_ << text << "\n"; }

void Report::section(std::string_view name, std::string_view text) {
  out_ << "\n" << name << "  " << shown_in_line(text) << "\n" << std::flush;
}

void Report::step(std::string_view name, const std::function<std::string()>& step) {
  const SteadyClock::time_point start = SteadyClock::now();
  std::string text;
  bool happened = true;
  try {
    text = step();
  } catch (const std::exception& error) {
    happened = false;
    text = error.what();
  }
  const double took = milliseconds_since(start);
  milliseconds_ += took;
  ++(happened ? done_ : failed_);
  char head[80];
  const int width = std::snprintf(head, sizeof(head), "  %-6s  %-17.*s  %8.2f ms   ", happened ? "ok" : "FAILED",
                                  static_cast<int>(name.size()), name.data(), took);
  std::string_view rest = text;
  for (std::string_view margin = head;; margin = {}) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    out_ << margin << std::string(static_cast<std::size_t>(width) - margin.size(), ' ')
         << shown_in_line(rest.substr(0, end)) << "\n";
    if (end == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  out_ << std::flush;
}

bool Report::summary() {
  char text[120];
  std::snprintf(text, sizeof(text), "\n%zu steps, %zu failed, %.1f s\n", done_ + failed_, failed_,
                milliseconds_ / 1000);
  out_ << text << std::flush;
  return failed_ == 0 && done_ > 0;
}

}  // namespace wayport::tools
