// What the readers of both formats share: the keys, the rules for their values, and the list of problems. Private to
// rpc/config.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/rpc/config/peer_config.h"

namespace wayport::rpc::detail {

using ConfigValues = std::vector<std::string>;

struct ConfigField {
  std::string_view name;
  bool is_list;
  // REQUIRES: one value, unless is_list.
  Result<void> (*set)(PeerConfig& config, const ConfigValues& values);
  // As it stands in a file, for lists without brackets.
  std::string (*print)(const PeerConfig& config);
};
const std::vector<ConfigField>& config_fields();
const ConfigField* find_config_field(std::string_view name);  // nullptr: unknown

struct ConfigEntry {
  std::string key;
  std::size_t line = 0;  // from 1
  bool is_list = false;
  bool is_absent = false;  // a key without a value
  ConfigValues values{};
};

// Takes the entries of one file in order.
class ConfigCollector {
 public:
  explicit ConfigCollector(std::string_view file_name) : file_name_(file_name) {}

  // Size and characters, for both formats. False: there is no point in reading on; finish() has the error.
  bool check_text(std::string_view text);
  void take(const ConfigEntry& entry);
  // `line` 0: none. An empty `key` is left out.
  void add_problem(std::size_t line, std::string_view key, std::string_view what);
  Result<PeerConfig> finish();

 private:
  std::string file_name_;
  PeerConfig config_;
  std::map<std::string, std::size_t, std::less<>> lines_;  // known keys only: bounded by their number
  std::size_t problems_ = 0;
  std::string detail_;
  ErrorCode code_ = ErrorCode::invalid_argument;
};

Result<std::uint8_t> header_codec_id(std::string_view name);
Result<std::uint8_t> body_codec_id(std::string_view name);
// listen_addrs holds URLs and bare host:port.
bool is_bare_address(std::string_view address);

}  // namespace wayport::rpc::detail
