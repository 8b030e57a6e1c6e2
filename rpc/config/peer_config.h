// PeerConfig: the configuration keys that peers of the original had, read from and written to yaml and ini text
// (spec/teleport 12, "Configuration keys"; rpc/config/README.md has the table).
//
//   wayport::Result<wayport::rpc::PeerConfig> config = wayport::rpc::parse_yaml(text, "peer.yaml");
//   if (!config) ... // peer.yaml:7: slow_commet_duration: unknown key; did you mean slow_comet_duration?
//
// Errors (invalid_argument; too_large over the size bound) are lines of the form "file:line: key: what is wrong", one
// for each problem and at most kConfigProblemsMax of them. A key without a value keeps its default. Durations are Go's
// (300ms, 1h2m, 1.5s; base/time.h); booleans are true/false, yes/no, on/off or 1/0.
//
// yaml: one document, a flat map; listen_addrs is a list. ini: `key = value`; no section, or [peer]; comments begin with
// ';' or '#' at the start of a line or after a blank; values may stand in double quotes, with \" and \\; lists are
// separated by commas.
//
// Values without threads or files; files are in peer_config_file.h, options of a peer in peer_config_options.h.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/time.h"

namespace wayport::rpc {

inline constexpr std::size_t kConfigBytesMax = 1u << 20;       // of one file or text; more: too_large
inline constexpr std::size_t kConfigProblemsMax = 20;          // named in one error; the rest is counted
inline constexpr std::size_t kConfigListenAddressesMax = 256;  // in listen_addrs
inline constexpr std::size_t kConfigPathBytesMax = 4096;       // of tls_cert_file and tls_key_file

struct PeerConfig {
  // Both or none. UTF-8 without control characters.
  std::string tls_cert_file{};
  std::string tls_key_file{};
  // Zero or less: none.
  Duration default_read_timeout{0};
  Duration default_write_timeout = std::chrono::seconds(30);
  Duration default_dial_timeout = std::chrono::seconds(10);
  Duration slow_comet_duration{0};            // handling that takes longer is reported; zero or less: never
  std::string default_header_codec = "json";  // json, protobuf
  std::string default_body_codec = "json";    // json, protobuf, string, flatbuffers
  int default_body_gzip_level = 0;            // 0: not compressed; -2 to 9
  bool print_body = false;
  bool count_time = false;
  // host:port, or an address of transport/address.h.
  std::vector<std::string> listen_addrs{};

  friend bool operator==(const PeerConfig&, const PeerConfig&) = default;
};

// `file_name` stands in errors only.
Result<PeerConfig> parse_yaml(std::string_view text, std::string_view file_name);
Result<PeerConfig> parse_ini(std::string_view text, std::string_view file_name);

// For values that no file gave: the same rules. invalid_argument: "key: what is wrong".
Result<void> check(const PeerConfig& config);

// Every key, in a fixed order. Reading it back gives an equal PeerConfig for each one that check() takes.
std::string to_yaml(const PeerConfig& config);
std::string to_ini(const PeerConfig& config);

}  // namespace wayport::rpc
