#include "wayport/rpc/config/config_entries.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>

#include "wayport/base/bytes.h"
#include "wayport/framing/codec.h"
#include "wayport/framing/gzip.h"
#include "wayport/transport/address.h"

namespace wayport::rpc {
namespace detail {
namespace {

constexpr std::size_t kShownBytesMax = 64;

std::string shown(std::string_view text) { return "\"" + escape(text, kShownBytesMax) + "\""; }
std::unexpected<Error> bad(std::string why) { return fail(ErrorCode::invalid_argument, std::move(why)); }

// In the form that both formats read.
std::string quoted(std::string_view text) {
  std::string printed = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') printed.push_back('\\');
    printed.push_back(c);
  }
  return printed + "\"";
}

Result<void> check_path(std::string_view path) {
  if (path.size() > kConfigPathBytesMax) {
    return bad("is a path of " + std::to_string(path.size()) + " bytes; at most " +
               std::to_string(kConfigPathBytesMax) + " are taken");
  }
  // escape() leaves what is printable UTF-8 alone, but for these two.
  std::string plain(path);
  std::erase_if(plain, [](char c) { return c == '"' || c == '\\'; });
  if (escape(plain, plain.size()) != plain) return bad(shown(path) + " has bytes that are no printable UTF-8");
  return {};
}

Result<void> check_gzip_level(int level) {
  if (level == 0 || framing::is_gzip_level(level)) return {};
  return bad(std::to_string(level) + " is no gzip level; write -2 to 9, or 0 for no compression");
}

Result<void> check_addresses(const std::vector<std::string>& addresses) {
  if (addresses.size() > kConfigListenAddressesMax) {
    return bad("has " + std::to_string(addresses.size()) + " addresses; at most " +
               std::to_string(kConfigListenAddressesMax) + " are taken");
  }
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const std::string& text = addresses[i];
    const std::string number = "item " + std::to_string(i + 1) + ": ";
    if (text.empty()) return bad(number + "is empty; write host:port");
    // What address.h would take and a file could not carry.
    if (const auto plain = check_path(text); !plain) return bad(number + plain.error().detail);
    const auto parsed = transport::Address::parse(is_bare_address(text) ? "tcp://" + text : text);
    if (!parsed) return bad(number + parsed.error().detail);
  }
  return {};
}

template <Duration PeerConfig::* kMember>
constexpr ConfigField duration_field(std::string_view name) {
  return {name, false,
          [](PeerConfig& config, const ConfigValues& values) -> Result<void> {
            WAYPORT_TRY_ASSIGN(config.*kMember, parse_duration(values.front()));
            return {};
          },
          [](const PeerConfig& config) { return format_duration(config.*kMember); }};
}

template <bool PeerConfig::* kMember>
constexpr ConfigField bool_field(std::string_view name) {
  return {name, false,
          [](PeerConfig& config, const ConfigValues& values) -> Result<void> {
            std::string word = values.front().substr(0, 8);
            std::ranges::transform(word, word.begin(),
                                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
            const bool is_true = word == "true" || word == "yes" || word == "on" || word == "1";
            const bool is_false = word == "false" || word == "no" || word == "off" || word == "0";
            if (!is_true && !is_false) return bad(shown(values.front()) + " is neither true nor false");
            config.*kMember = is_true;
            return {};
          },
          [](const PeerConfig& config) { return std::string(config.*kMember ? "true" : "false"); }};
}

template <std::string PeerConfig::* kMember, Result<void> (*kCheck)(std::string_view)>
constexpr ConfigField text_field(std::string_view name) {
  return {name, false,
          [](PeerConfig& config, const ConfigValues& values) -> Result<void> {
            WAYPORT_TRY(kCheck(values.front()));
            config.*kMember = values.front();
            return {};
          },
          [](const PeerConfig& config) { return quoted(config.*kMember); }};
}

Result<void> check_header_codec(std::string_view name) {
  WAYPORT_TRY(header_codec_id(name));
  return {};
}
Result<void> check_body_codec(std::string_view name) {
  WAYPORT_TRY(body_codec_id(name));
  return {};
}

Result<void> set_gzip_level(PeerConfig& config, const ConfigValues& values) {
  const std::string& text = values.front();
  int level = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), level);
  if (error != std::errc() || end != text.data() + text.size()) return bad(shown(text) + " is no whole number");
  WAYPORT_TRY(check_gzip_level(level));
  config.default_body_gzip_level = level;
  return {};
}

Result<void> set_addresses(PeerConfig& config, const ConfigValues& values) {
  WAYPORT_TRY(check_addresses(values));
  config.listen_addrs = values;
  return {};
}

std::string print_addresses(const PeerConfig& config) {
  std::string printed;
  for (const std::string& address : config.listen_addrs) printed += (printed.empty() ? "" : ", ") + quoted(address);
  return printed;
}

// Edits that make one of the other; both are short.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

// Empty: nothing is near.
std::string_view nearest_key(std::string_view key) {
  if (key.size() > kShownBytesMax) return {};
  std::string_view nearest;
  std::size_t best = std::min<std::size_t>(key.size() / 3, 4) + 1;
  for (const ConfigField& field : config_fields()) {
    if (const std::size_t distance = edit_distance(key, field.name); distance < best) {
      best = distance;
      nearest = field.name;
    }
  }
  return nearest;
}

}  // namespace

const std::vector<ConfigField>& config_fields() {
  static const std::vector<ConfigField> fields = {
      text_field<&PeerConfig::tls_cert_file, check_path>("tls_cert_file"),
      text_field<&PeerConfig::tls_key_file, check_path>("tls_key_file"),
      duration_field<&PeerConfig::default_read_timeout>("default_read_timeout"),
      duration_field<&PeerConfig::default_write_timeout>("default_write_timeout"),
      duration_field<&PeerConfig::default_dial_timeout>("default_dial_timeout"),
      duration_field<&PeerConfig::slow_comet_duration>("slow_comet_duration"),
      text_field<&PeerConfig::default_header_codec, check_header_codec>("default_header_codec"),
      text_field<&PeerConfig::default_body_codec, check_body_codec>("default_body_codec"),
      {"default_body_gzip_level", false, set_gzip_level,
       [](const PeerConfig& config) { return std::to_string(config.default_body_gzip_level); }},
      bool_field<&PeerConfig::print_body>("print_body"),
      bool_field<&PeerConfig::count_time>("count_time"),
      {"listen_addrs", true, set_addresses, print_addresses},
  };
  return fields;
}

const ConfigField* find_config_field(std::string_view name) {
  const auto found = std::ranges::find(config_fields(), name, &ConfigField::name);
  return found == config_fields().end() ? nullptr : &*found;
}

bool ConfigCollector::check_text(std::string_view text) {
  if (text.size() > kConfigBytesMax) {
    code_ = ErrorCode::too_large;
    add_problem(0, "",
                std::to_string(text.size()) + " bytes; a configuration has at most " + std::to_string(kConfigBytesMax));
    return false;
  }
  // yaml-cpp takes some of them for the end of the text.
  const auto strange = std::ranges::find_if(text, [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
  });
  if (strange == text.end()) return true;
  const auto line = static_cast<std::size_t>(std::count(text.begin(), strange, '\n')) + 1;
  add_problem(line, "", "control character; the file is text in UTF-8");
  return false;
}

void ConfigCollector::take(const ConfigEntry& entry) {
  const ConfigField* field = find_config_field(entry.key);
  if (field == nullptr) {
    const std::string_view near = nearest_key(entry.key);
    add_problem(entry.line, entry.key,
                near.empty() ? "unknown key" : "unknown key; did you mean " + std::string(near) + "?");
    return;
  }
  const auto [seen, is_new] = lines_.emplace(entry.key, entry.line);
  if (!is_new) {
    add_problem(entry.line, entry.key, "given twice; the first is in line " + std::to_string(seen->second));
    return;
  }
  if (entry.is_absent) return;
  if (field->is_list != entry.is_list) {
    add_problem(entry.line, entry.key,
                field->is_list ? "is a list; write [a, b], also for one" : "is no list; write one value");
    return;
  }
  if (auto set = field->set(config_, entry.values); !set) add_problem(entry.line, entry.key, set.error().detail);
}

void ConfigCollector::add_problem(std::size_t line, std::string_view key, std::string_view what) {
  if (++problems_ > kConfigProblemsMax) return;
  if (!detail_.empty()) detail_ += "\n";
  detail_ += escape(file_name_);
  if (line != 0) detail_ += ":" + std::to_string(line);
  detail_ += ": ";
  if (!key.empty()) detail_ += escape(key, kShownBytesMax) + ": ";
  detail_ += what;
}

Result<PeerConfig> ConfigCollector::finish() {
  // A value that was refused above leaves its file name empty, and is no second problem.
  if (problems_ == 0 && config_.tls_cert_file.empty() != config_.tls_key_file.empty()) {
    const bool has_cert = config_.tls_key_file.empty();
    const std::string_view given = has_cert ? "tls_cert_file" : "tls_key_file";
    add_problem(lines_.find(given)->second, given, has_cert ? "needs tls_key_file, too" : "needs tls_cert_file, too");
  }
  if (problems_ == 0) return std::move(config_);
  if (problems_ > kConfigProblemsMax) {
    detail_ += "\n" + escape(file_name_) + ": and " + std::to_string(problems_ - kConfigProblemsMax) + " more";
  }
  return fail(code_, std::move(detail_));
}

Result<std::uint8_t> header_codec_id(std::string_view name) {
  if (name == "json") return framing::kCodecJson;
  if (name == "protobuf") return framing::kCodecProtobuf;
  return bad("header codec " + shown(name) + " is not known; write json or protobuf");
}

Result<std::uint8_t> body_codec_id(std::string_view name) {
  if (name == "json") return framing::kCodecJson;
  if (name == "protobuf") return framing::kCodecProtobuf;
  if (name == "string") return framing::kCodecString;
  if (name == "flatbuffers") return framing::kCodecFlatbuffers;
  return bad("body codec " + shown(name) + " is not known; write json, protobuf, string or flatbuffers");
}

bool is_bare_address(std::string_view address) { return address.find("://") == std::string_view::npos; }

namespace {
Result<void> named(std::string_view key, Result<void> checked) {
  if (checked) return {};
  return bad(std::string(key) + ": " + checked.error().detail);
}
}  // namespace
}  // namespace detail

Result<void> check(const PeerConfig& config) {
  using namespace detail;
  WAYPORT_TRY(named("tls_cert_file", check_path(config.tls_cert_file)));
  WAYPORT_TRY(named("tls_key_file", check_path(config.tls_key_file)));
  if (config.tls_cert_file.empty() && !config.tls_key_file.empty())
    return bad("tls_key_file: needs tls_cert_file, too");
  if (config.tls_key_file.empty() && !config.tls_cert_file.empty())
    return bad("tls_cert_file: needs tls_key_file, too");
  WAYPORT_TRY(named("default_header_codec", check_header_codec(config.default_header_codec)));
  WAYPORT_TRY(named("default_body_codec", check_body_codec(config.default_body_codec)));
  WAYPORT_TRY(named("default_body_gzip_level", check_gzip_level(config.default_body_gzip_level)));
  return named("listen_addrs", check_addresses(config.listen_addrs));
}

}  // namespace wayport::rpc
