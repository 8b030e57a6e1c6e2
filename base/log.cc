#include "wayport/base/log.h"

#include <fcntl.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <mutex>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/socket.h"

namespace wayport {

std::string_view to_string(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
    case LogLevel::off:
      return "off";
  }
  return "unknown";
}

Result<LogLevel> parse_log_level(std::string_view name) {
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error, LogLevel::off}) {
    if (name == to_string(level)) return level;
  }
  return fail(ErrorCode::invalid_argument,
              "log level \"" + escape(name) + "\"; it is one of debug, info, warning, error, off");
}

LogLimit::LogLimit(double per_second, unsigned burst) noexcept
    : per_second_(per_second), burst_(burst), tokens_milli_(std::int64_t{burst} * 1000) {}

bool LogLimit::pass(TimePoint now, std::uint64_t& suppressed) noexcept {
  const std::int64_t now_ns = now.time_since_epoch().count();
  std::int64_t last = last_ns_.load(std::memory_order_relaxed);
  const std::int64_t full = std::int64_t{burst_} * 1000;
  const double earned = static_cast<double>(now_ns - last) * 1e-6 * per_second_;
  if (earned >= 1) {
    const bool fills = earned >= static_cast<double>(full);
    const std::int64_t added = fills ? full : static_cast<std::int64_t>(earned);
    // What is less than a thousandth of a token stays in the time that is still to be counted.
    const std::int64_t counted =
        fills ? now_ns : last + static_cast<std::int64_t>(static_cast<double>(added) * 1e6 / per_second_);
    // Only the thread that moves `last` forward adds the tokens of that time.
    if (last_ns_.compare_exchange_strong(last, counted, std::memory_order_relaxed)) {
      std::int64_t tokens = tokens_milli_.load(std::memory_order_relaxed);
      while (!tokens_milli_.compare_exchange_weak(tokens, std::min(full, tokens + added), std::memory_order_relaxed)) {
      }
    }
  }
  std::int64_t tokens = tokens_milli_.load(std::memory_order_relaxed);
  do {
    if (tokens < 1000) {
      suppressed_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
  } while (!tokens_milli_.compare_exchange_weak(tokens, tokens - 1000, std::memory_order_relaxed));
  suppressed = suppressed_.exchange(0, std::memory_order_relaxed);
  return true;
}

void Log::write(LogLimit& limit, TimePoint now, LogLevel level, std::string_view event,
                std::initializer_list<LogField> fields) {
  if (!enabled(level)) return;
  std::uint64_t suppressed = 0;
  if (!limit.pass(now, suppressed)) return;
  if (suppressed == 0) {
    write_line(level, event, {fields.begin(), fields.size()});
    return;
  }
  std::vector<LogField> all(fields);
  all.emplace_back("suppressed", suppressed);
  write_line(level, event, all);
}

namespace {

constexpr std::size_t kValueBytesMax = 1024;

std::string format_time(std::chrono::system_clock::time_point at) {
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count();
  const std::int64_t seconds = milliseconds >= 0 ? milliseconds / 1000 : -((999 - milliseconds) / 1000);
  const std::time_t time = static_cast<std::time_t>(seconds);
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  char text[64];
  const std::size_t size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + size, sizeof(text) - size, ".%03dZ", static_cast<int>(milliseconds - seconds * 1000));
  return text;
}

bool is_bare(std::string_view escaped) noexcept {
  return !escaped.empty() && std::ranges::none_of(escaped, [](char c) { return c == ' ' || c == '=' || c == '\\'; });
}

// escape() leaves no control characters and no quotes; only its backslashes are special in JSON.
std::string json_string(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : escape(text, kValueBytesMax)) {
    if (c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

// Fields are whole or not there; what did not fit is told.
class Line {
 public:
  explicit Line(std::string_view end) : end_(end) {}

  void add(std::string_view piece) {
    if (text_.size() + piece.size() + kReserve > kLogLineBytesMax) {
      ++dropped_;
    } else {
      text_ += piece;
    }
  }
  std::string finish(bool json) && {
    if (dropped_ != 0) text_ += (json ? ",\"dropped_fields\":" : " dropped_fields=") + std::to_string(dropped_);
    return std::move(text_.append(end_));
  }

 private:
  static constexpr std::size_t kReserve = 64;

  std::string_view end_;
  std::string text_;
  std::size_t dropped_ = 0;
};

}  // namespace

std::string format_log_line(bool json, std::chrono::system_clock::time_point at, LogLevel level, std::string_view event,
                            std::span<const LogField> fields) {
  Line line(json ? "}\n" : "\n");
  if (json) {
    line.add("{\"time\":\"" + format_time(at) + "\",\"level\":\"" + std::string(to_string(level)) +
             "\",\"event\":" + json_string(event));
    for (const LogField& field : fields) {
      const bool bare = field.is_number && field.value.find_first_of("nN") == std::string::npos;  // no nan, inf
      const bool boolean = field.is_number && (field.value == "true" || field.value == "false");
      line.add("," + json_string(field.key) + ":" + (bare || boolean ? field.value : json_string(field.value)));
    }
  } else {
    std::string head = format_time(at) + ' ' + std::string(to_string(level));
    head.resize(std::max<std::size_t>(head.size(), 30), ' ');
    line.add(head + ' ' + escape(event, kValueBytesMax));
    for (const LogField& field : fields) {
      const std::string value = escape(field.value, kValueBytesMax);
      line.add(' ' + std::string(field.key) + '=' + (is_bare(value) ? value : '"' + value + '"'));
    }
  }
  return std::move(line).finish(json);
}

namespace {

// spdlog's own file sink follows links and takes the mode from the umask alone.
class FdSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  FdSink(int fd, Fd owned) : fd_(fd), owned_(std::move(owned)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    // A line that the system does not take at once is lost, rather than holding up a loop or tearing another line.
    while (::write(fd_, message.payload.data(), message.payload.size()) < 0 && errno == EINTR) {
    }
  }
  void flush_() override {}

 private:
  int fd_;
  Fd owned_;
};

class FdLog final : public Log {
 public:
  FdLog(LogLevel level, bool json, std::shared_ptr<spdlog::sinks::sink> sink)
      : level_(level), json_(json), logger_("wayport", std::move(sink)) {
    logger_.set_level(spdlog::level::trace);
  }

  bool enabled(LogLevel level) const noexcept override { return level >= level_ && level != LogLevel::off; }

 protected:
  void write_line(LogLevel level, std::string_view event, std::span<const LogField> fields) override {
    const std::string line = format_log_line(json_, std::chrono::system_clock::now(), level, event, fields);
    logger_.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  }

 private:
  const LogLevel level_;
  const bool json_;
  spdlog::logger logger_;
};

class NullLog final : public Log {
 public:
  bool enabled(LogLevel) const noexcept override { return false; }

 protected:
  void write_line(LogLevel, std::string_view, std::span<const LogField>) override {}
};

}  // namespace

Result<std::unique_ptr<Log>> open_log(const LogOptions& options) {
  Fd file;
  if (!options.file.empty()) {
    file = Fd(::open(options.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0644));
    if (!file) return fail(system_error(errno, "log file \"" + escape(options.file) + "\""));
  }
  const int fd = file ? file.get() : STDERR_FILENO;
  return std::make_unique<FdLog>(options.level, options.json, std::make_shared<FdSink>(fd, std::move(file)));
}

Log& null_log() noexcept {
  static NullLog log;
  return log;
}

}  // namespace wayport
