// SettingsTable: settings of a resolver as whoever read the configuration gives them: texts, whole numbers, flags,
// lists and tables, as TOML and JSON have them. A resolver reads its own with SettingsReader, which knows every key
// that was asked for and refuses the others by name.
//
//   SettingsReader read(table, "resolver \"jwt\"");
//   WAYPORT_TRY(read.text("issuer", options.issuer));
//   WAYPORT_TRY(read.time("leeway", options.leeway, 0s, 30s));
//   WAYPORT_TRY(read.finish());
//
// Pure; plain data. Errors (invalid_argument) name the key, its value and what it may be; values that may be secrets
// are never in them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/time.h"

namespace wayport::route {

class SettingsValue;
using SettingsList = std::vector<SettingsValue>;
using SettingsTable = std::map<std::string, SettingsValue, std::less<>>;

class SettingsValue {
 public:
  SettingsValue() : value_(std::string()) {}
  SettingsValue(std::string text) : value_(std::move(text)) {}
  SettingsValue(const char* text) : value_(std::string(text)) {}
  SettingsValue(std::int64_t number) : value_(number) {}
  SettingsValue(int number) : value_(std::int64_t{number}) {}
  SettingsValue(bool flag) : value_(flag) {}
  SettingsValue(SettingsList list) : value_(std::move(list)) {}
  SettingsValue(SettingsTable table) : value_(std::move(table)) {}

  // nullptr: of another kind.
  const std::string* text() const noexcept { return std::get_if<std::string>(&value_); }
  const std::int64_t* number() const noexcept { return std::get_if<std::int64_t>(&value_); }
  const bool* flag() const noexcept { return std::get_if<bool>(&value_); }
  const SettingsList* list() const noexcept { return std::get_if<SettingsList>(&value_); }
  const SettingsTable* table() const noexcept { return std::get_if<SettingsTable>(&value_); }

 private:
  std::variant<std::string, std::int64_t, bool, SettingsList, SettingsTable> value_;
};

class SettingsReader {
 public:
  // `what` begins every error. The table outlives the reader.
  SettingsReader(const SettingsTable& table, std::string what) : table_(table), what_(std::move(what)) {}

  // A key that is absent leaves `to` as it is.
  Result<void> text(std::string_view key, std::string& to);
  Result<void> flag(std::string_view key, bool& to);
  Result<void> count(std::string_view key, std::size_t& to, std::size_t least, std::size_t most);
  Result<void> time(std::string_view key, Duration& to, Duration least, Duration most);  // "30s"
  Result<void> texts(std::string_view key, std::vector<std::string>& to);                // one text, or a list of them
  // nullptr: absent.
  Result<const SettingsTable*> table(std::string_view key);
  Result<std::vector<const SettingsTable*>> tables(std::string_view key);
  bool has(std::string_view key) const { return table_.contains(key); }

  // After the last key was asked for: whether there are others.
  Result<void> finish() const;
  // "WHAT: key ... " and what is wrong.
  std::unexpected<Error> bad(std::string_view key, std::string_view wrong) const;
  const std::string& what() const noexcept { return what_; }

 private:
  const SettingsValue* find(std::string_view key);

  const SettingsTable& table_;
  const std::string what_;
  std::vector<std::string_view> known_;
};

}  // namespace wayport::route
