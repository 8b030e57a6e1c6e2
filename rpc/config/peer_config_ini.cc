#include <algorithm>
#include <string>

#include "wayport/rpc/config/config_entries.h"
#include "wayport/rpc/config/peer_config.h"

namespace wayport::rpc {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}
bool is_comment(std::string_view text) { return text.starts_with(';') || text.starts_with('#'); }

// What is left of a line behind its '='.
class ValueReader {
 public:
  explicit ValueReader(std::string_view rest) : rest_(trimmed(rest)) {}

  bool at_end() const { return rest_.empty() || is_comment(rest_); }
  bool skip_comma() {
    if (!rest_.starts_with(',')) return false;
    rest_ = trimmed(rest_.substr(1));
    return true;
  }
  // Ends at a comma, too, if `in_list`.
  Result<std::string> take(bool in_list) {
    if (rest_.starts_with('"')) return take_quoted();
    if (rest_.starts_with('\'') || rest_.starts_with('`')) return bad("begins with a strange quote; use double quotes");
    std::size_t end = 0;
    while (end < rest_.size() && !(in_list && rest_[end] == ',') &&
           !(end > 0 && is_comment(rest_.substr(end)) && kBlanks.contains(rest_[end - 1]))) {
      ++end;
    }
    std::string value(trimmed(rest_.substr(0, end)));
    rest_ = rest_.substr(end);
    return value;
  }

 private:
  static std::unexpected<Error> bad(std::string why) { return fail(ErrorCode::invalid_argument, std::move(why)); }

  Result<std::string> take_quoted() {
    std::string value;
    std::size_t at = 1;
    for (; at < rest_.size() && rest_[at] != '"'; ++at) {
      if (rest_[at] == '\\') {
        ++at;
        if (at == rest_.size() || (rest_[at] != '"' && rest_[at] != '\\')) {
          return bad("a backslash between quotes stands before \" or \\ only; write \\\\ for one");
        }
      }
      value.push_back(rest_[at]);
    }
    if (at >= rest_.size()) return bad("a quote is not closed");
    rest_ = trimmed(rest_.substr(at + 1));
    return value;
  }

  std::string_view rest_;
};

Result<void> take_values(ValueReader reader, detail::ConfigEntry& entry) {
  entry.is_absent = reader.at_end();
  if (entry.is_absent) return {};
  do {
    if (reader.at_end()) return fail(ErrorCode::invalid_argument, "ends with a comma");
    WAYPORT_TRY_ASSIGN(std::string value, reader.take(entry.is_list));
    // One more than the most is enough to be refused.
    if (entry.values.size() <= kConfigListenAddressesMax) entry.values.push_back(std::move(value));
  } while (entry.is_list && reader.skip_comma());
  if (!reader.at_end()) return fail(ErrorCode::invalid_argument, "has more text behind its value");
  return {};
}

class IniReader {
 public:
  explicit IniReader(detail::ConfigCollector& collector) : collector_(collector) {}

  void take_line(std::string_view line) {
    ++number_;
    line = trimmed(line);
    if (line.empty() || is_comment(line)) return;
    if (line.starts_with('[')) return take_section(line);
    if (skipped_) return;
    const std::size_t equals = line.find('=');
    const std::string_view key = trimmed(line.substr(0, std::min(equals, line.size())));
    if (equals == std::string_view::npos || key.empty()) {
      return collector_.add_problem(number_, key, "not of the form key = value");
    }
    detail::ConfigEntry entry{.key = std::string(key), .line = number_};
    if (const detail::ConfigField* field = detail::find_config_field(key); field != nullptr) {
      entry.is_list = field->is_list;
      if (auto taken = take_values(ValueReader(line.substr(equals + 1)), entry); !taken) {
        return collector_.add_problem(number_, key, taken.error().detail);
      }
    }
    collector_.take(entry);
  }

 private:
  void take_section(std::string_view line) {
    const std::size_t close = line.find(']');
    const std::string_view behind = close == std::string_view::npos ? line : trimmed(line.substr(close + 1));
    skipped_ = true;  // one problem, not one for each of its keys
    if (!behind.empty() && !is_comment(behind)) {
      return collector_.add_problem(number_, line, "not a section; write [peer]");
    }
    if (trimmed(line.substr(1, close - 1)) != "peer") {
      return collector_.add_problem(number_, line.substr(0, close + 1),
                                    "unknown section; keys stand in [peer], or in none");
    }
    skipped_ = false;
  }

  detail::ConfigCollector& collector_;
  std::size_t number_ = 0;
  bool skipped_ = false;
};

}  // namespace

Result<PeerConfig> parse_ini(std::string_view text, std::string_view file_name) {
  detail::ConfigCollector collector(file_name);
  if (!collector.check_text(text)) return collector.finish();
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  IniReader reader(collector);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    reader.take_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return collector.finish();
}

}  // namespace wayport::rpc
