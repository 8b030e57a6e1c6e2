// A log that remembers, for tests of what is logged.
#pragma once

#include <cstddef>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/log.h"

namespace wayport {

// Lines as open_log() would print them in text form, without time and newline: `info  event key=value`. Thread-safe.
class MemoryLog final : public Log {
 public:
  explicit MemoryLog(LogLevel level = LogLevel::debug) : level_(level) {}

  bool enabled(LogLevel level) const noexcept override { return level >= level_ && level != LogLevel::off; }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  // How many lines contain `part`.
  std::size_t count(std::string_view part) const {
    const std::lock_guard lock(mutex_);
    std::size_t found = 0;
    for (const std::string& line : lines_) found += line.find(part) != std::string::npos;
    return found;
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    lines_.clear();
  }

 protected:
  void write_line(LogLevel level, std::string_view event, std::span<const LogField> fields) override {
    constexpr std::size_t kTimeBytes = sizeof("2026-11-21T01:02:03.456Z ") - 1;
    const std::string line = format_log_line(false, {}, level, event, fields);
    const std::lock_guard lock(mutex_);
    lines_.push_back(line.substr(kTimeBytes, line.size() - kTimeBytes - 1));
  }

 private:
  const LogLevel level_;
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

}  // namespace wayport
