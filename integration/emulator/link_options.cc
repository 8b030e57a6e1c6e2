#include "wayport/integration/emulator/link_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::emulator {
namespace {

constexpr std::array<std::pair<std::string_view, std::uint64_t>, 4> kRateUnits = {
    {{"Gbit", 1'000'000'000}, {"Mbit", 1'000'000}, {"kbit", 1'000}, {"bit", 1}}};

std::unexpected<Error> bad(std::string_view key, std::string_view value, std::string_view wanted) {
  return fail(ErrorCode::invalid_argument,
              std::string(key) + "=" + escape(value, 64) + ": " + std::string(wanted) + " is needed");
}

Result<double> number(std::string_view key, std::string_view text, std::string_view wanted) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + text.size()) return bad(key, text, wanted);
  return value;
}

Result<double> chance(std::string_view key, std::string_view text) {
  constexpr std::string_view kWanted = "a chance such as 2% or 0.02";
  const bool percent = text.ends_with('%');
  const Result<double> value = number(key, percent ? text.substr(0, text.size() - 1) : text, kWanted);
  if (!value) return bad(key, text, kWanted);
  const double part = percent ? *value / 100 : *value;
  // !(...) also refuses what is no number.
  if (!(part >= 0 && part <= 1)) return bad(key, text, "a chance from 0% to 100%");
  return part;
}

Result<Duration> time(std::string_view key, std::string_view text) {
  const Result<Duration> value = parse_duration(text);
  if (!value) return bad(key, text, "a time such as 40ms");
  return *value;
}

Result<std::size_t> size(std::string_view key, std::string_view text) {
  const Result<std::size_t> value = parse_bytes(text);
  if (!value) return bad(key, text, "a size such as 64KiB");
  return *value;
}

Result<std::uint64_t> rate(std::string_view key, std::string_view text) {
  constexpr std::string_view kWanted = "a rate such as 10Mbit, 512kbit or 0 for none";
  if (text == "0") return 0;
  for (const auto& [unit, factor] : kRateUnits) {
    if (!text.ends_with(unit)) continue;
    WAYPORT_TRY_ASSIGN(const double value, number(key, text.substr(0, text.size() - unit.size()), kWanted));
    const double bits = value * static_cast<double>(factor);
    if (!(bits >= 1 && bits <= static_cast<double>(kBitsPerSecondMax))) return bad(key, text, "1bit to 1000Gbit");
    return static_cast<std::uint64_t>(std::llround(bits));
  }
  return bad(key, text, kWanted);
}

// "A/B": what stands behind the slash, if there is one.
std::pair<std::string_view, std::string_view> halves(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {text, {}};
  return {text.substr(0, slash), text.substr(slash + 1)};
}

Result<void> change(LinkOptions& options, std::string_view word) {
  if (word == "up" || word == "down") {
    options.up = word == "up";
    return {};
  }
  if (word == "perfect") {
    options = {};
    return {};
  }
  const std::size_t equals = word.find('=');
  const std::string_view key = word.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
  const auto assign = [](auto& to, auto from) -> Result<void> {
    WAYPORT_TRY_ASSIGN(to, std::move(from));
    return {};
  };
  if (key == "delay") return assign(options.delay, time(key, value));
  if (key == "jitter") return assign(options.jitter, time(key, value));
  if (key == "loss") return assign(options.loss, chance(key, value));
  if (key == "duplicate") return assign(options.duplicate, chance(key, value));
  if (key == "corrupt") return assign(options.corrupt, chance(key, value));
  if (key == "rate") return assign(options.bits_per_second, rate(key, value));
  if (key == "queue") return assign(options.queue_bytes, size(key, value));
  if (key == "held") return assign(options.held_bytes_max, size(key, value));
  const auto [first, second] = halves(value);
  if (key == "burst") {
    if (!second.empty()) {
      WAYPORT_TRY(assign(options.burst_packets, number(key, second, "a mean number of packets such as 1%/8")));
    }
    return assign(options.burst_loss, chance(key, first));
  }
  if (key == "reorder") {
    if (!second.empty()) WAYPORT_TRY(assign(options.reorder_delay, time(key, second)));
    return assign(options.reorder, chance(key, first));
  }
  return fail(ErrorCode::invalid_argument,
              "\"" + escape(word, 64) +
                  "\" is none of delay, jitter, loss, burst, duplicate, corrupt, reorder, rate, queue, held, up, "
                  "down, perfect");
}

std::string percent(double part) {
  std::array<char, 32> text{};
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), part * 100, std::chars_format::fixed, 6);
  std::string written(text.data(), end);
  written.erase(written.find_last_not_of('0') + 1);
  if (written.ends_with('.')) written.pop_back();
  return written + "%";
}

std::string plain(double value) {
  std::string text = percent(value / 100);
  text.pop_back();
  return text;
}

}  // namespace

Result<void> check(const LinkOptions& options) {
  const auto refuse = [](std::string detail) { return fail(ErrorCode::invalid_argument, std::move(detail)); };
  for (const auto& [name, value] : {std::pair<std::string_view, Duration>{"delay", options.delay},
                                    {"jitter", options.jitter},
                                    {"the time of reorder", options.reorder_delay}}) {
    if (value < Duration::zero() || value > kDelayMax) {
      return refuse(std::string(name) + " is from 0 to " + format_duration(kDelayMax) + ", not " +
                    format_duration(value));
    }
  }
  for (const auto& [name, value] : {std::pair<std::string_view, double>{"loss", options.loss},
                                    {"burst", options.burst_loss},
                                    {"duplicate", options.duplicate},
                                    {"corrupt", options.corrupt},
                                    {"reorder", options.reorder}}) {
    if (!(value >= 0 && value <= 1)) return refuse(std::string(name) + " is a chance from 0 to 1");
  }
  if (!(options.burst_packets >= 1 && options.burst_packets <= 1e6)) {
    return refuse("a burst is 1 to 1000000 packets long on average, not " + plain(options.burst_packets));
  }
  // A burst begins with the chance p of each packet outside of one; more than each cannot begin one.
  if (options.burst_loss > options.burst_packets / (options.burst_packets + 1)) {
    return refuse("bursts of " + plain(options.burst_packets) + " packets on average take at most " +
                  percent(options.burst_packets / (options.burst_packets + 1)) + " of the packets");
  }
  if (options.bits_per_second > kBitsPerSecondMax) return refuse("rate is at most 1000Gbit");
  if (options.queue_bytes == 0 || options.queue_bytes > kHeldBytesMax) return refuse("queue is 1 byte to 4GiB");
  if (options.held_bytes_max == 0 || options.held_bytes_max > kHeldBytesMax) return refuse("held is 1 byte to 4GiB");
  return {};
}

Result<LinkOptions> changed(const LinkOptions& base, std::string_view words) {
  LinkOptions options = base;
  constexpr std::string_view kBetween = " \t,";
  for (std::size_t begin = words.find_first_not_of(kBetween); begin != std::string_view::npos;) {
    const std::size_t end = std::min(words.find_first_of(kBetween, begin), words.size());
    WAYPORT_TRY(change(options, words.substr(begin, end - begin)));
    begin = words.find_first_not_of(kBetween, end);
  }
  WAYPORT_TRY(check(options));
  return options;
}

std::string to_string(const LinkOptions& options) {
  const LinkOptions perfect;
  std::string text;
  const auto add = [&text](std::string_view key, const std::string& value) {
    if (!text.empty()) text += ' ';
    text.append(key);
    if (!value.empty()) text.append("=").append(value);
  };
  if (options.delay != perfect.delay) add("delay", format_duration(options.delay));
  if (options.jitter != perfect.jitter) add("jitter", format_duration(options.jitter));
  if (options.loss != 0) add("loss", percent(options.loss));
  if (options.burst_loss != 0) add("burst", percent(options.burst_loss) + "/" + plain(options.burst_packets));
  if (options.duplicate != 0) add("duplicate", percent(options.duplicate));
  if (options.corrupt != 0) add("corrupt", percent(options.corrupt));
  if (options.reorder != 0) add("reorder", percent(options.reorder) + "/" + format_duration(options.reorder_delay));
  if (options.bits_per_second != 0) {
    for (const auto& [unit, factor] : kRateUnits) {
      if (options.bits_per_second % factor != 0) continue;
      add("rate", std::to_string(options.bits_per_second / factor) + std::string(unit));
      break;
    }
  }
  if (options.queue_bytes != perfect.queue_bytes) add("queue", std::to_string(options.queue_bytes));
  if (options.held_bytes_max != perfect.held_bytes_max) add("held", std::to_string(options.held_bytes_max));
  if (!options.up) add("down", "");
  return text.empty() ? "perfect" : text;
}

}  // namespace wayport::emulator
