#include "wayport/rpc/config/peer_config_options.h"

#include <algorithm>

#include "wayport/rpc/config/config_entries.h"
#include "wayport/rpc/options.h"
#include "wayport/transport/address.h"

namespace wayport::rpc {
namespace {

Result<std::string> listen_address(const PeerConfig& config, const std::string& text) {
  if (!detail::is_bare_address(text)) return text;
  if (config.tls_cert_file.empty()) return "tcp://" + text;
  WAYPORT_TRY_ASSIGN(transport::Address address, transport::Address::parse("tls://" + text));
  address.set_parameter("cert", config.tls_cert_file);
  address.set_parameter("key", config.tls_key_file);
  return address.to_string();
}

std::string tls_note(const PeerConfig& config) {
  if (config.tls_cert_file.empty()) return {};
  const auto bare = std::ranges::count_if(config.listen_addrs, detail::is_bare_address);
  if (bare == 0) return "tls_cert_file and tls_key_file are not used: listen_addrs has no bare host:port";
  return "tls_cert_file and tls_key_file are set: " + std::to_string(bare) + " of " +
         std::to_string(config.listen_addrs.size()) +
         " addresses in listen_addrs are listened on with TLS (the original ignored these keys); write tcp://host:port "
         "to listen without";
}

}  // namespace

Result<PeerOptions> to_peer_options(const PeerConfig& config, std::string* note) {
  WAYPORT_TRY(check(config));
  PeerOptions options;
  for (const std::string& text : config.listen_addrs) {
    WAYPORT_TRY_ASSIGN(std::string address, listen_address(config, text));
    options.listen.emplace_back(std::move(address));
  }
  options.session.read_timeout = std::max(config.default_read_timeout, Duration::zero());
  options.session.write_timeout = std::max(config.default_write_timeout, Duration::zero());
  WAYPORT_TRY_ASSIGN(options.session.header_codec, detail::header_codec_id(config.default_header_codec));
  WAYPORT_TRY_ASSIGN(options.session.body_codec, detail::body_codec_id(config.default_body_codec));
  options.session.gzip = config.default_body_gzip_level;
  if (note != nullptr) *note = tls_note(config);
  return options;
}

DialOptions to_dial_options(const PeerConfig& config) {
  DialOptions options;
  options.timeout = std::max(config.default_dial_timeout, Duration::zero());
  return options;
}

}  // namespace wayport::rpc
