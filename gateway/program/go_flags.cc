#include "wayport/gateway/program/go_flags.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::gateway {
namespace {

std::unexpected<Error> invalid(std::string detail) { return fail(ErrorCode::invalid_argument, std::move(detail)); }

// 16 for what is none.
unsigned digit_of(char c) noexcept {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return 16;
}

// Takes the prefix that tells the base.
unsigned take_base(std::string_view& digits) noexcept {
  if (digits.size() < 2 || digits[0] != '0') return 10;
  unsigned base = 8;
  std::size_t prefix = 1;
  switch (digits[1] | 0x20) {
    case 'x':
      base = 16;
      prefix = 2;
      break;
    case 'b':
      base = 2;
      prefix = 2;
      break;
    case 'o':
      prefix = 2;
      break;
    default:
      break;
  }
  digits.remove_prefix(prefix);
  return base;
}

}  // namespace

Result<std::int64_t> parse_go_integer(std::string_view text) {
  std::string_view digits = text;
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  const std::string_view unsigned_text = digits;
  const unsigned base = take_base(digits);
  const bool prefixed = digits.size() < unsigned_text.size();
  if (digits.empty()) return invalid("parse error");
  const std::uint64_t magnitude_max =
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) + (negative ? 1 : 0);
  std::uint64_t value = 0;
  bool too_large = false;
  // "_" stands between digits, or between a base's prefix and the first of them.
  bool after_digit = prefixed;
  for (const char c : digits) {
    if (c == '_') {
      if (!std::exchange(after_digit, false)) return invalid("parse error");
      continue;
    }
    const unsigned digit = digit_of(c);
    if (digit >= base) return invalid("parse error");
    after_digit = true;
    too_large = too_large || value > (magnitude_max - digit) / base;
    if (!too_large) value = value * base + digit;
  }
  if (!after_digit) return invalid("parse error");
  if (too_large) return invalid("value out of range");
  return static_cast<std::int64_t>(negative ? 0 - value : value);
}

Result<bool> parse_go_bool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == no) return false;
  }
  return invalid("parse error");
}

void GoFlags::add_flag(Flag flag) {
  WAYPORT_ASSERT(!flag.name.empty() && flag.name.front() != '-' && !flag.name.contains('='), "a flag needs a name");
  WAYPORT_ASSERT(!find(flag.name), "each flag is added once");
  flags_.push_back(std::move(flag));
}

void GoFlags::add(std::string name, bool& to, std::string help) {
  add_flag({.name = std::move(name),
            .type = {},
            .help = std::move(help),
            .otherwise = to ? "true" : "",
            .set = [&to](std::string_view text) -> Result<void> {
              WAYPORT_TRY_ASSIGN(to, parse_go_bool(text));
              return {};
            },
            .places = {}});
}

void GoFlags::add(std::string name, std::int64_t& to, std::string help) {
  add_flag({.name = std::move(name),
            .type = "int",
            .help = std::move(help),
            .otherwise = std::to_string(to),
            .set = [&to](std::string_view text) -> Result<void> {
              WAYPORT_TRY_ASSIGN(to, parse_go_integer(text));
              return {};
            },
            .places = {}});
}

void GoFlags::add(std::string name, Duration& to, std::string help) {
  add_flag({.name = std::move(name),
            .type = "duration",
            .help = std::move(help),
            .otherwise = format_duration(to),
            .set = [&to](std::string_view text) -> Result<void> {
              const Result<Duration> duration = parse_duration(text);
              if (!duration) return invalid("parse error: write it like 300ms, 1.5s or 1h2m");
              to = *duration;
              return {};
            },
            .places = {}});
}

void GoFlags::add(std::string name, std::string& to, std::string help) {
  add_flag({.name = std::move(name),
            .type = "string",
            .help = std::move(help),
            .otherwise = to.empty() ? std::string() : '"' + to + '"',
            .set = [&to](std::string_view text) -> Result<void> {
              to = text;
              return {};
            },
            .places = {}});
}

GoFlags::Flag* GoFlags::find(std::string_view name) noexcept {
  const auto found = std::ranges::find(flags_, name, &Flag::name);
  return found == flags_.end() ? nullptr : &*found;
}

bool GoFlags::given(std::string_view name) const noexcept { return !places(name).empty(); }

std::vector<GoFlags::Place> GoFlags::places(std::string_view name) const {
  const auto found = std::ranges::find(flags_, name, &Flag::name);
  return found == flags_.end() ? std::vector<Place>() : found->places;
}

Result<GoFlags::Parsed> GoFlags::parse(std::span<const std::string> arguments) {
  if (arguments.size() > kArgumentsMax) {
    return invalid("more than " + std::to_string(kArgumentsMax) + " arguments");
  }
  std::size_t at = 0;
  while (at < arguments.size()) {
    const std::string_view argument = arguments[at];
    if (argument.size() < 2 || argument[0] != '-') break;
    if (argument == "--") return Parsed{.help = false, .rest = at + 1};
    const std::size_t dashes = argument[1] == '-' ? 2 : 1;
    const std::size_t equals = argument.find('=', dashes);
    const bool has_value = equals != std::string_view::npos;
    const std::string_view name = argument.substr(dashes, has_value ? equals - dashes : equals);
    if (name.empty() || name.front() == '-') return invalid("bad flag syntax: " + escape(argument, 64));
    Flag* const flag = find(name);
    if (!flag) {
      if (name == "help" || name == "h") return Parsed{.help = true, .rest = at + 1};
      return invalid("flag provided but not defined: -" + escape(name, 64));
    }
    Place place{.argument = at, .offset = has_value ? equals + 1 : 0};
    std::string_view value = has_value ? argument.substr(equals + 1) : "true";
    if (!has_value && !flag->type.empty()) {
      if (at + 1 == arguments.size()) return invalid("flag needs an argument: -" + flag->name);
      place.argument = ++at;
      value = arguments[at];
    }
    flag->places.push_back(place);
    if (const Result<void> set = flag->set(value); !set) {
      return invalid("invalid value \"" + escape(value, 64) + "\" for flag -" + flag->name + ": " + set.error().detail);
    }
    ++at;
  }
  return Parsed{.help = false, .rest = at};
}

std::string GoFlags::usage() const {
  std::string text;
  for (const Flag& flag : flags_) {
    text += "  -" + flag.name + (flag.type.empty() ? "" : " " + flag.type) + "\n    \t" + flag.help;
    if (!flag.otherwise.empty()) text += " (default " + flag.otherwise + ")";
    text += '\n';
  }
  return text;
}

}  // namespace wayport::gateway
