#include "wayport/gateway/route/settings.h"

#include <algorithm>

#include "wayport/base/bytes.h"

namespace wayport::route {

std::unexpected<Error> SettingsReader::bad(std::string_view key, std::string_view wrong) const {
  return fail(ErrorCode::invalid_argument, what_ + ": " + std::string(key) + " " + std::string(wrong));
}

const SettingsValue* SettingsReader::find(std::string_view key) {
  known_.push_back(key);
  const auto found = table_.find(key);
  return found == table_.end() ? nullptr : &found->second;
}

Result<void> SettingsReader::text(std::string_view key, std::string& to) {
  const SettingsValue* const value = find(key);
  if (!value) return {};
  if (!value->text()) return bad(key, "has to be a text in quotes");
  to = *value->text();
  return {};
}

Result<void> SettingsReader::flag(std::string_view key, bool& to) {
  const SettingsValue* const value = find(key);
  if (!value) return {};
  if (!value->flag()) return bad(key, "has to be true or false");
  to = *value->flag();
  return {};
}

Result<void> SettingsReader::count(std::string_view key, std::size_t& to, std::size_t least, std::size_t most) {
  const SettingsValue* const value = find(key);
  if (!value) return {};
  if (!value->number()) return bad(key, "has to be a number without a fraction");
  const std::int64_t number = *value->number();
  if (number < 0 || static_cast<std::uint64_t>(number) < least || static_cast<std::uint64_t>(number) > most) {
    return bad(key, "is " + std::to_string(number) + "; it has to be " + std::to_string(least) + " to " +
                        std::to_string(most));
  }
  to = static_cast<std::size_t>(number);
  return {};
}

Result<void> SettingsReader::time(std::string_view key, Duration& to, Duration least, Duration most) {
  const SettingsValue* const value = find(key);
  if (!value) return {};
  if (!value->text()) return bad(key, "has to be a time such as \"30s\"");
  const Result<Duration> time = parse_duration(*value->text());
  if (!time) return bad(key, "has to be a time such as \"30s\": " + time.error().detail);
  if (*time < least || *time > most) {
    return bad(key, "is " + format_duration(*time) + "; it has to be " + format_duration(least) + " to " +
                        format_duration(most));
  }
  to = *time;
  return {};
}

Result<void> SettingsReader::texts(std::string_view key, std::vector<std::string>& to) {
  const SettingsValue* const value = find(key);
  if (!value) return {};
  if (value->text()) {
    to = {*value->text()};
    return {};
  }
  if (!value->list()) return bad(key, "has to be a text in quotes, or a list of them");
  std::vector<std::string> texts;
  for (const SettingsValue& one : *value->list()) {
    if (!one.text()) return bad(key, "has to be a list of texts in quotes");
    texts.push_back(*one.text());
  }
  to = std::move(texts);
  return {};
}

Result<const SettingsTable*> SettingsReader::table(std::string_view key) {
  const SettingsValue* const value = find(key);
  if (!value) return nullptr;
  if (!value->table()) return bad(key, "has to be a table");
  return value->table();
}

Result<std::vector<const SettingsTable*>> SettingsReader::tables(std::string_view key) {
  std::vector<const SettingsTable*> tables;
  const SettingsValue* const value = find(key);
  if (!value) return tables;
  if (!value->list()) return bad(key, "has to be a list of tables");
  for (const SettingsValue& one : *value->list()) {
    if (!one.table()) return bad(key, "has to be a list of tables");
    tables.push_back(one.table());
  }
  return tables;
}

Result<void> SettingsReader::finish() const {
  for (const auto& [key, value] : table_) {
    if (std::ranges::find(known_, key) != known_.end()) continue;
    std::string list;
    for (const std::string_view known : known_) list += (list.empty() ? "" : ", ") + std::string(known);
    return bad(escape(key, 64),
               list.empty() ? "is not known; there are no keys" : "is not known; the keys are " + list);
  }
  return {};
}

}  // namespace wayport::route
