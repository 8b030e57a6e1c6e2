#include "wayport/base/time.h"

#include <array>
#include <cstdint>
#include <limits>

#include "wayport/base/bytes.h"

namespace wayport {

namespace {

constexpr std::uint64_t kMagnitudeMax = std::uint64_t{1} << 63;  // that of the most negative Duration

// Text that is being parsed, with Go's rules for its digits.
struct Cursor {
  std::string_view rest;

  bool at_digit() const noexcept { return !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; }
  bool at_number() const noexcept { return at_digit() || (!rest.empty() && rest[0] == '.'); }
  unsigned take_digit() noexcept {
    const auto digit = static_cast<unsigned>(rest[0] - '0');
    rest.remove_prefix(1);
    return digit;
  }
};

struct Fraction {
  std::uint64_t digits = 0;
  double scale = 1;  // the fraction is digits / scale
};

// False: larger than kMagnitudeMax.
bool take_integer(Cursor& at, std::uint64_t& value) noexcept {
  value = 0;
  while (at.at_digit()) {
    if (value > kMagnitudeMax / 10) return false;
    value = value * 10 + at.take_digit();
    if (value > kMagnitudeMax) return false;
  }
  return true;
}

// Digits past what 63 bits hold do not matter and are dropped.
Fraction take_fraction(Cursor& at) noexcept {
  Fraction fraction;
  bool full = false;
  while (at.at_digit()) {
    const unsigned digit = at.take_digit();
    if (full || fraction.digits > (kMagnitudeMax - 1) / 10) {
      full = true;
      continue;
    }
    const std::uint64_t next = fraction.digits * 10 + digit;
    if (next > kMagnitudeMax) {
      full = true;
      continue;
    }
    fraction.digits = next;
    fraction.scale *= 10;
  }
  return fraction;
}

struct Unit {
  std::string_view name;
  std::uint64_t size;
};

constexpr std::array<Unit, 8> kDurationUnits{{
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000},  // U+00B5, micro sign
    {"\xce\xbcs", 1000},  // U+03BC, Greek mu
    {"ms", 1000'000},
    {"s", 1000'000'000},
    {"m", 60ull * 1000'000'000},
    {"h", 3600ull * 1000'000'000},
}};

constexpr std::array<Unit, 4> kByteUnits{{
    {"TiB", 1ull << 40},
    {"GiB", 1ull << 30},
    {"MiB", 1ull << 20},
    {"KiB", 1ull << 10},
}};

std::unexpected<Error> bad_duration(std::string_view text, std::string_view why) {
  return fail(ErrorCode::invalid_argument,
              "duration \"" + escape(text) + "\": " + std::string(why) + "; write it like 300ms, 1.5s or 1h2m");
}

std::unexpected<Error> bad_bytes(std::string_view text, std::string_view why) {
  return fail(ErrorCode::invalid_argument,
              "size \"" + escape(text) + "\": " + std::string(why) + "; write it like 4096, 64KiB, 1MiB or 2GiB");
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  Cursor at{text};
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) at.rest.remove_prefix(1);
  if (at.rest == "0") return Duration::zero();
  if (at.rest.empty()) return bad_duration(text, "empty");

  std::uint64_t sum = 0;
  while (!at.rest.empty()) {
    if (!at.at_number()) return bad_duration(text, "a number is missing");
    const std::size_t before = at.rest.size();
    std::uint64_t value = 0;
    if (!take_integer(at, value)) return bad_duration(text, "too large");
    bool has_digits = at.rest.size() != before;
    Fraction fraction;
    if (at.rest.starts_with('.')) {
      at.rest.remove_prefix(1);
      const std::size_t dot = at.rest.size();
      fraction = take_fraction(at);
      has_digits = has_digits || at.rest.size() != dot;
    }
    if (!has_digits) return bad_duration(text, "a number is missing");

    std::size_t unit_size = 0;
    while (unit_size < at.rest.size() && at.rest[unit_size] != '.' &&
           (at.rest[unit_size] < '0' || at.rest[unit_size] > '9')) {
      ++unit_size;
    }
    const std::string_view name = at.rest.substr(0, unit_size);
    if (name.empty()) return bad_duration(text, "a unit is missing");
    std::uint64_t unit = 0;
    for (const Unit& known : kDurationUnits) {
      if (known.name == name) unit = known.size;
    }
    if (unit == 0) return bad_duration(text, "unknown unit");
    at.rest.remove_prefix(unit_size);

    if (value > kMagnitudeMax / unit) return bad_duration(text, "too large");
    value *= unit;
    if (fraction.digits > 0) {
      value += static_cast<std::uint64_t>(static_cast<double>(fraction.digits) *
                                          (static_cast<double>(unit) / fraction.scale));
    }
    if (value > kMagnitudeMax) return bad_duration(text, "too large");
    sum += value;
    if (sum > kMagnitudeMax) return bad_duration(text, "too large");
  }
  if (negative) return Duration(static_cast<std::int64_t>(~sum + 1));
  if (sum > kMagnitudeMax - 1) return bad_duration(text, "too large");
  return Duration(static_cast<std::int64_t>(sum));
}

namespace {

// Writes value / 10^digits backwards before `to`, without trailing zeros; returns the start. `value` becomes the rest.
char* write_fraction(char* to, std::uint64_t& value, int digits) noexcept {
  bool printing = false;
  for (int i = 0; i < digits; ++i) {
    const std::uint64_t digit = value % 10;
    printing = printing || digit != 0;
    if (printing) *--to = static_cast<char>('0' + digit);
    value /= 10;
  }
  if (printing) *--to = '.';
  return to;
}

char* write_integer(char* to, std::uint64_t value) noexcept {
  do {
    *--to = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value > 0);
  return to;
}

}  // namespace

std::string format_duration(Duration value) {
  if (value == Duration::zero()) return "0s";
  char buffer[40];
  char* const end = buffer + sizeof(buffer);
  char* at = end;
  const bool negative = value < Duration::zero();
  auto rest = static_cast<std::uint64_t>(value.count());
  if (negative) rest = ~rest + 1;

  *--at = 's';
  if (rest < 1000'000'000) {
    int digits = 0;
    if (rest < 1000) {
      *--at = 'n';
    } else if (rest < 1000'000) {
      digits = 3;
      *--at = '\xb5';
      *--at = '\xc2';
    } else {
      digits = 6;
      *--at = 'm';
    }
    at = write_fraction(at, rest, digits);
    at = write_integer(at, rest);
  } else {
    at = write_fraction(at, rest, 9);
    at = write_integer(at, rest % 60);
    rest /= 60;
    if (rest > 0) {
      *--at = 'm';
      at = write_integer(at, rest % 60);
      rest /= 60;
      if (rest > 0) {
        *--at = 'h';
        at = write_integer(at, rest);
      }
    }
  }
  if (negative) *--at = '-';
  return std::string(at, end);
}

Result<std::size_t> parse_bytes(std::string_view text) {
  std::size_t digits = 0;
  std::size_t value = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    const auto digit = static_cast<std::size_t>(text[digits] - '0');
    if (value > (std::numeric_limits<std::size_t>::max() - digit) / 10) return bad_bytes(text, "too large");
    value = value * 10 + digit;
    ++digits;
  }
  if (digits == 0) return bad_bytes(text, "a number is missing");
  const std::string_view name = text.substr(digits);
  if (name.empty()) return value;
  for (const Unit& unit : kByteUnits) {
    if (unit.name != name) continue;
    if (value > std::numeric_limits<std::size_t>::max() / unit.size) return bad_bytes(text, "too large");
    return value * unit.size;
  }
  return bad_bytes(text, "unknown unit");
}

std::string format_bytes(std::size_t bytes) {
  for (const Unit& unit : kByteUnits) {
    if (bytes != 0 && bytes % unit.size == 0) return std::to_string(bytes / unit.size) + std::string(unit.name);
  }
  return std::to_string(bytes);
}

}  // namespace wayport
