// TOML values into variables, with errors that name file, line and key: what the configuration files of this program
// have in common. Private to the readers of files, which are pure.
//
//   const TomlKeys keys = {{"level", text_to(level)}, {"loops", count_to(loops, 0, 256)}};
//   WAYPORT_TRY(reader.read_table(table, "[log]", keys));
#pragma once

// toml++ 3.3 asserts what some wrong files do ("[.x"), and where asserts are off tells the compiler that they do not. Here it
// goes on, and then reports them.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_EXCEPTIONS 0
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/gateway/program/settings.h"
#include "wayport/gateway/route/settings.h"

namespace wayport::gateway {

// Reads one value; the error is about the value only.
using ReadValue = std::function<Result<void>(const toml::node&)>;
using TomlKeys = std::map<std::string, ReadValue, std::less<>>;

ReadValue text_to(std::string& to);
ReadValue texts_to(std::vector<std::string>& to);  // a text, or a list of texts
ReadValue flag_to(bool& to);
ReadValue integer_to(std::uint64_t& to, std::uint64_t least, std::uint64_t most);
template <class T>
ReadValue count_to(T& to, std::uint64_t least = 0, std::uint64_t most = std::numeric_limits<std::uint32_t>::max()) {
  return [&to, least, most](const toml::node& node) -> Result<void> {
    std::uint64_t value = 0;
    WAYPORT_TRY(integer_to(value, least, most)(node));
    to = static_cast<T>(value);
    return {};
  };
}
// A number of bytes, or a text such as "64KiB". `set`: whether it was given.
ReadValue size_to(std::size_t& to, std::uint64_t most, bool* set);
template <class T>
ReadValue bytes_to(T& to, bool* set = nullptr, std::uint64_t most = std::uint64_t{1} << 40) {
  return [&to, set, most](const toml::node& node) -> Result<void> {
    std::size_t value = 0;
    WAYPORT_TRY(size_to(value, most, set)(node));
    to = static_cast<T>(value);
    return {};
  };
}
ReadValue time_to(Duration& to);                       // "30s"
ReadValue seconds_to(Duration& to, double least = 0);  // a number, fractions included; at most a day
ReadValue addresses_to(std::vector<std::string>& to);  // as settings.h's listen_address()
ReadValue settings_to(route::SettingsTable& to);       // a table of texts, numbers, flags, lists and tables

// The tables of a document but those named, in an order and form of their own.
std::string text_without(const toml::table& document, std::initializer_list<std::string_view> tables);

class TomlReader {
 public:
  explicit TomlReader(std::string_view file) : file_(file) {}

  // "FILE: no TOML: ..." or the parsed document.
  Result<toml::table> parse(std::string_view text) const;
  // "FILE:LINE".
  std::string place(const toml::source_region& where) const;
  // "FILE:LINE: DETAIL".
  std::unexpected<Error> refuse(const toml::source_region& where, std::string detail) const;
  // `title` stands in front of keys in errors: "[log]".
  Result<void> read_table(const toml::table& table, std::string_view title, const TomlKeys& keys) const;

  template <class Map>
  static std::string list(const Map& keys) {
    std::string text;
    for (const auto& [key, value] : keys) text += (text.empty() ? "" : ", ") + key;
    return text;
  }

 private:
  const std::string file_;
};

}  // namespace wayport::gateway
