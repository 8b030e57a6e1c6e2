#include "wayport/gateway/program/toml_values.h"

#include <cmath>
#include <sstream>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::gateway {
namespace {

constexpr int kDepthMax = 8;  // of tables and lists in settings_to()

std::unexpected<Error> invalid(std::string detail) { return fail(ErrorCode::invalid_argument, std::move(detail)); }

Result<route::SettingsTable> settings_of(const toml::table& table, int depth);

Result<route::SettingsValue> setting_of(const toml::node& node, int depth) {
  if (depth > kDepthMax) return invalid("has tables in tables, more than " + std::to_string(kDepthMax) + " deep");
  if (const auto* const text = node.as_string()) return route::SettingsValue(text->get());
  if (const auto* const number = node.as_integer()) return route::SettingsValue(number->get());
  if (const auto* const flag = node.as_boolean()) return route::SettingsValue(flag->get());
  if (const auto* const list = node.as_array()) {
    route::SettingsList values;
    for (const toml::node& one : *list) {
      WAYPORT_TRY_ASSIGN(values.emplace_back(), setting_of(one, depth + 1));
    }
    return route::SettingsValue(std::move(values));
  }
  if (const auto* const table = node.as_table()) {
    WAYPORT_TRY_ASSIGN(route::SettingsTable values, settings_of(*table, depth + 1));
    return route::SettingsValue(std::move(values));
  }
  return invalid("has a value that is no text, whole number, true or false, list or table");
}

Result<route::SettingsTable> settings_of(const toml::table& table, int depth) {
  route::SettingsTable values;
  for (const auto& [key, node] : table) {
    WAYPORT_TRY_ASSIGN(values[std::string(key.str())], setting_of(node, depth));
  }
  return values;
}

}  // namespace

ReadValue text_to(std::string& to) {
  return [&to](const toml::node& node) -> Result<void> {
    const auto* const text = node.as_string();
    if (!text) return invalid("has to be a text in quotes");
    to = text->get();
    return {};
  };
}

ReadValue texts_to(std::vector<std::string>& to) {
  return [&to](const toml::node& node) -> Result<void> {
    std::vector<std::string> texts;
    if (const auto* const list = node.as_array()) {
      for (const toml::node& one : *list) {
        if (!one.is_string()) return invalid("has to be a list of texts in quotes");
        texts.push_back(one.as_string()->get());
      }
    } else {
      WAYPORT_TRY(text_to(texts.emplace_back())(node));
    }
    to = std::move(texts);
    return {};
  };
}

ReadValue flag_to(bool& to) {
  return [&to](const toml::node& node) -> Result<void> {
    const auto* const flag = node.as_boolean();
    if (!flag) return invalid("has to be true or false");
    to = flag->get();
    return {};
  };
}

ReadValue integer_to(std::uint64_t& to, std::uint64_t least, std::uint64_t most) {
  return [&to, least, most](const toml::node& node) -> Result<void> {
    const auto* const count = node.as_integer();
    if (!count) return invalid("has to be a number without a fraction");
    const std::int64_t value = count->get();
    if (value < 0 || static_cast<std::uint64_t>(value) < least || static_cast<std::uint64_t>(value) > most) {
      return invalid("is " + std::to_string(value) + "; it has to be " + std::to_string(least) + " to " +
                     std::to_string(most));
    }
    to = static_cast<std::uint64_t>(value);
    return {};
  };
}

ReadValue size_to(std::size_t& to, std::uint64_t most, bool* set) {
  return [&to, set, most](const toml::node& node) -> Result<void> {
    std::size_t bytes = 0;
    if (const auto* const text = node.as_string()) {
      WAYPORT_TRY_ASSIGN(bytes, parse_bytes(text->get()));
    } else if (const auto* const count = node.as_integer(); count && count->get() >= 0) {
      bytes = static_cast<std::size_t>(count->get());
    } else {
      return invalid("has to be a number of bytes, or a text such as \"64KiB\"");
    }
    if (bytes > most) return invalid("is " + std::to_string(bytes) + "; it has to be at most " + std::to_string(most));
    to = bytes;
    if (set) *set = true;
    return {};
  };
}

ReadValue time_to(Duration& to) {
  return [&to](const toml::node& node) -> Result<void> {
    const auto* const text = node.as_string();
    if (!text) return invalid("has to be a time such as \"30s\"");
    WAYPORT_TRY_ASSIGN(const Duration time, parse_duration(text->get()));
    if (time < Duration::zero()) return invalid("is " + format_duration(time) + "; it must not be negative");
    to = time;
    return {};
  };
}

ReadValue seconds_to(Duration& to, double least) {
  return [&to, least](const toml::node& node) -> Result<void> {
    const std::optional<double> value = node.value<double>();
    constexpr double kMost = 24 * 3600;
    if (!value || !std::isfinite(*value) || *value < least || *value > kMost) {
      return invalid("has to be a number of seconds, " + std::to_string(static_cast<int>(least)) + " to 86400");
    }
    to = std::chrono::nanoseconds(static_cast<std::int64_t>(*value * 1e9));
    return {};
  };
}

ReadValue addresses_to(std::vector<std::string>& to) {
  return [&to](const toml::node& node) -> Result<void> {
    std::vector<std::string> addresses;
    const auto add = [&addresses](const toml::node& one) -> Result<void> {
      const auto* const text = one.as_string();
      if (!text) return invalid("has to be an address in quotes, or a list of them");
      WAYPORT_TRY_ASSIGN(addresses.emplace_back(), listen_address(text->get()));
      return {};
    };
    if (const auto* const list = node.as_array()) {
      for (const toml::node& one : *list) WAYPORT_TRY(add(one));
      if (addresses.empty()) return invalid("is an empty list");
    } else {
      WAYPORT_TRY(add(node));
    }
    to = std::move(addresses);
    return {};
  };
}

ReadValue settings_to(route::SettingsTable& to) {
  return [&to](const toml::node& node) -> Result<void> {
    const auto* const table = node.as_table();
    if (!table) return invalid("has to be a table");
    WAYPORT_TRY_ASSIGN(to, settings_of(*table, 1));
    return {};
  };
}

namespace {

// The line of the first byte beyond ASCII that is in no string and no comment; 0: there is none. TOML has no place for one
// but the mark at the start of a file, and toml++ 3.3 has undefined behaviour where it asks whether some of them are space.
std::size_t line_beyond_ascii(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::size_t line = 1;
  std::string_view quotes;  // that the present string began with
  bool comment = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') {
      ++line;
      comment = false;
      if (quotes.size() == 1) quotes = {};
    } else if (comment) {
      continue;
    } else if (!quotes.empty()) {
      if (c == '\\' && quotes.front() == '"') {
        ++i;
        if (i < text.size() && text[i] == '\n') ++line;
      } else if (text.substr(i).starts_with(quotes)) {
        i += quotes.size() - 1;
        quotes = {};
      }
    } else if (c == '#') {
      comment = true;
    } else if (c == '"' || c == '\'') {
      const std::string_view three = text.substr(i, 3);
      quotes = three.size() == 3 && three[1] == c && three[2] == c ? three : text.substr(i, 1);
      i += quotes.size() - 1;
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      return line;
    }
  }
  return 0;
}

}  // namespace

Result<toml::table> TomlReader::parse(std::string_view text) const {
  if (text.size() > kTomlBytesMax) {
    return fail(ErrorCode::too_large, file_ + ": a configuration has at most " + format_bytes(kTomlBytesMax));
  }
  if (const std::size_t line = line_beyond_ascii(text); line != 0) {
    return invalid(file_ + ":" + std::to_string(line) +
                   ": no TOML: only ASCII may stand outside of strings and comments");
  }
  toml::parse_result parsed = toml::parse(text, file_);
  if (!parsed) return refuse(parsed.error().source(), "no TOML: " + escape(parsed.error().description()));
  return std::move(parsed).table();
}

std::unexpected<Error> TomlReader::refuse(const toml::source_region& where, std::string detail) const {
  return invalid(place(where) + ": " + std::move(detail));
}

std::string TomlReader::place(const toml::source_region& where) const {
  return file_ + ":" + std::to_string(where.begin.line);
}

std::string text_without(const toml::table& document, std::initializer_list<std::string_view> tables) {
  toml::table rest = document;
  for (const std::string_view name : tables) rest.erase(name);
  std::ostringstream text;
  text << rest;
  return std::move(text).str();
}

Result<void> TomlReader::read_table(const toml::table& table, std::string_view title, const TomlKeys& keys) const {
  for (const auto& [key, node] : table) {
    const std::string where = std::string(title) + " " + escape(key.str(), 64);
    const auto known = keys.find(key.str());
    if (known == keys.end()) return refuse(key.source(), where + " is not known; the keys are " + list(keys));
    if (const Result<void> read = known->second(node); !read) {
      return refuse(node.source(), where + " " + read.error().detail);
    }
  }
  return {};
}

}  // namespace wayport::gateway
