// Structured logging: one injected Log, key=value fields, a rate limit per call site.
//
// Every value goes through escape() (bytes.h) on its way to the sink; text from a peer cannot forge lines or drive a
// terminal. A line is at most kLogLineBytesMax long and written at once, so lines of several processes do not mix.
// Thread-safe. Text:  2026-11-21T01:02:03.456Z info  accepted peer=10.0.0.7:4711 user="a b"
//              JSON:
//              {"time":"2026-11-21T01:02:03.456Z","level":"info","event":"accepted","peer":"10.0.0.7:4711","user":"a
//              b"}
#pragma once

#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "wayport/base/result.h"
#include "wayport/base/time.h"

namespace wayport {

enum class LogLevel : unsigned char { debug, info, warning, error, off };
std::string_view to_string(LogLevel level) noexcept;
Result<LogLevel> parse_log_level(std::string_view name);

// One key=value of a line. Values are escaped and quoted when they need it.
struct LogField {
  std::string_view key;
  std::string value;
  bool is_number = false;  // or true, false: no quotes in JSON

  LogField(std::string_view name, std::string_view text) : key(name), value(text) {}
  LogField(std::string_view name, const char* text) : key(name), value(text) {}
  LogField(std::string_view name, std::string text) : key(name), value(std::move(text)) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  LogField(std::string_view name, T number) : key(name), value(print(number)), is_number(true) {}
  LogField(std::string_view name, Duration duration) : key(name), value(format_duration(duration)) {}
  LogField(std::string_view name, const Error& error) : key(name), value(error.to_string()) {}

 private:
  template <class T>
  static std::string print(T number) {
    if constexpr (std::is_same_v<T, bool>) return number ? "true" : "false";
    char text[64];
    if constexpr (std::is_integral_v<T>) {
      return std::string(
          text, std::to_chars(text, text + sizeof(text),
                              static_cast<std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>(number))
                    .ptr);
    } else {
      return std::string(text, std::to_chars(text, text + sizeof(text), static_cast<double>(number)).ptr);
    }
  }
};

inline constexpr std::size_t kLogLineBytesMax = 4096;  // with its newline; what a pipe takes at once

// At most `burst` lines at once and `per_second` on average; what was held back is counted and told by the next line
// that passes (suppressed=N). One per call site or cause, usually a member or static of the site's owner. Thread-safe.
class LogLimit {
 public:
  explicit LogLimit(double per_second = 1, unsigned burst = 5) noexcept;
  // True if a line may pass now; then `suppressed` is how many did not since the last that did.
  bool pass(TimePoint now, std::uint64_t& suppressed) noexcept;

 private:
  const double per_second_;
  const unsigned burst_;
  std::atomic<std::int64_t> tokens_milli_;
  std::atomic<std::int64_t> last_ns_{0};
  std::atomic<std::uint64_t> suppressed_{0};
};

class Log {
 public:
  virtual ~Log() = default;
  virtual bool enabled(LogLevel level) const noexcept = 0;
  // `event` is a short constant text; what varies is in the fields. Drops the line if the level is not enabled.
  void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {}) {
    if (enabled(level)) write_line(level, event, {fields.begin(), fields.size()});
  }
  // The same with as many fields as there happen to be.
  void write_fields(LogLevel level, std::string_view event, std::span<const LogField> fields) {
    if (enabled(level)) write_line(level, event, fields);
  }
  // Drops the line, and counts it in `limit`, when the limit is reached.
  void write(LogLimit& limit, TimePoint now, LogLevel level, std::string_view event,
             std::initializer_list<LogField> fields = {});

 protected:
  virtual void write_line(LogLevel level, std::string_view event, std::span<const LogField> fields) = 0;
};

struct LogOptions {
  LogLevel level = LogLevel::info;
  std::string file;   // empty: standard error. Files are opened with O_NOFOLLOW, mode 0644.
  bool json = false;  // one JSON object per line instead of text
};
// Fails when the file cannot be opened.
Result<std::unique_ptr<Log>> open_log(const LogOptions& options);
// A log that drops everything.
Log& null_log() noexcept;
// Keeps lines in memory, for tests.
class MemoryLog;  // log_testing.h

// One line as open_log() writes it, newline included, at most kLogLineBytesMax.
std::string format_log_line(bool json, std::chrono::system_clock::time_point at, LogLevel level, std::string_view event,
                            std::span<const LogField> fields);

}  // namespace wayport
