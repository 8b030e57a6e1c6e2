#include "wayport/transport/link/link_address.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <initializer_list>
#include <utility>
#include <vector>

#include "wayport/transport/parameters.h"

namespace wayport::link {
namespace {

using transport::Address;
using transport::bad_parameter;

const std::initializer_list<std::string_view> kOwn = {"server", "packet", "ping",           "ping_timeout",
                                                      "idle",   "queue",  "queue_messages", "slow"};

Result<std::uint32_t> parse_id(const Address& address, std::string_view text, std::string_view where) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return fail(ErrorCode::invalid_argument, "link address " + address.to_log() + ": " + std::string(where) +
                                                 " must be an id, 0 to 4294967295, as in link+tcp://gateway:7001/42");
  }
  return id;
}

Result<void> check_own(const Address& address) {
  std::vector<std::string_view> seen;
  for (const auto& [key, value] : address.parameters()) {
    if (std::ranges::find(kOwn, key) == kOwn.end()) continue;
    if (std::ranges::find(seen, key) != seen.end()) return bad_parameter(address, key, "is given twice");
    seen.push_back(key);
  }
  return {};
}

Result<Address> address_below(const Address& address, bool take_key_file) {
  const std::vector<std::string> key_files = transport::repeated_parameter(address, "key_file");
  Address below = take_key_file ? address.below("tcp", {"server", "packet", "ping", "ping_timeout", "idle", "queue",
                                                        "queue_messages", "slow", "key_file"})
                                : address.below("tcp", {"server", "packet", "ping", "ping_timeout", "idle", "queue",
                                                        "queue_messages", "slow"});
  if (take_key_file && key_files.size() > 2) return bad_parameter(address, "key_file", "is given more than twice");
  if (take_key_file && key_files.size() == 2) below.set_parameter("key_file", key_files[1]);
  // The id, which has only digits, is the end of the printed path.
  std::string text = below.to_string();
  const std::size_t path_end = std::min(text.find('?'), text.size());
  const std::size_t slash = text.rfind('/', path_end - 1);
  text.erase(slash, path_end - slash);
  return Address::parse(text);
}

Result<LinkAddress> read(const Address& address, bool listen) {
  WAYPORT_TRY(check_own(address));
  LinkAddress link;
  const std::size_t slash = address.path().rfind('/');
  const std::string_view path = address.path();
  WAYPORT_TRY_ASSIGN(link.id, parse_id(address, slash == path.npos ? "" : path.substr(slash + 1), "the path's end"));
  const std::string* const server = address.parameter("server");
  if (listen) {
    if (server) return bad_parameter(address, "server", "is for dialing; who listens is in the path");
    link.server = true;
    link.server_id = link.id;
  } else if (server) {
    link.server = true;
    WAYPORT_TRY_ASSIGN(link.server_id, parse_id(address, *server, "server"));
  }
  if (link.server) {
    const std::string* const key_file = address.parameter("key_file");
    if (!key_file || key_file->empty()) {
      return fail(ErrorCode::invalid_argument, "link address " + address.to_log() +
                                                   ": key_file is needed to be a server: the file with the gateway's "
                                                   "ServerAuthKey (an empty file for the empty key)");
    }
    link.key_file = *key_file;
  }

  EndpointOptions& options = link.options;
  options.receive_policy = link.server ? EndpointOptions::Slow::close : EndpointOptions::Slow::pause;
  WAYPORT_TRY_ASSIGN(const auto packet, transport::bytes_parameter(address, "packet"));
  if (packet && *packet > 0xffff'ffffu) return bad_parameter(address, "packet", "is more than a length word holds");
  if (packet) options.packet_bytes_max = static_cast<std::uint32_t>(*packet);
  WAYPORT_TRY_ASSIGN(const auto ping, transport::duration_parameter(address, "ping"));
  options.ping_interval = ping.value_or(options.ping_interval);
  WAYPORT_TRY_ASSIGN(const auto ping_timeout, transport::duration_parameter(address, "ping_timeout"));
  options.ping_timeout = ping_timeout.value_or(options.ping_timeout);
  WAYPORT_TRY_ASSIGN(const auto idle, transport::duration_parameter(address, "idle"));
  options.gateway_idle_timeout = idle.value_or(options.gateway_idle_timeout);
  WAYPORT_TRY_ASSIGN(const auto queue, transport::bytes_parameter(address, "queue"));
  WAYPORT_TRY_ASSIGN(const auto messages, transport::bytes_parameter(address, "queue_messages"));
  for (EndpointOptions::Limits* limits : {&options.virtual_receive, &options.virtual_send}) {
    limits->bytes_max = queue.value_or(limits->bytes_max);
    limits->messages_max = messages.value_or(limits->messages_max);
  }
  for (EndpointOptions::Limits* limits : {&options.receive, &options.send}) {
    limits->bytes_max = std::max(limits->bytes_max, options.virtual_receive.bytes_max);
    limits->messages_max = std::max(limits->messages_max, options.virtual_receive.messages_max);
  }
  if (const std::string* slow = address.parameter("slow")) {
    Result<EndpointOptions::Slow> policy = parse_endpoint_policy(*slow);
    if (!policy) return bad_parameter(address, "slow", policy.error().detail);
    options.receive_policy = *policy;
  }
  if (Result<void> valid = options.validate(); !valid) {
    return fail(ErrorCode::invalid_argument, "link address " + address.to_log() + ": " + valid.error().detail);
  }
  WAYPORT_TRY_ASSIGN(link.below, address_below(address, link.server));
  return link;
}

}  // namespace

Result<LinkAddress> LinkAddress::for_dial(const Address& address) { return read(address, false); }
Result<LinkAddress> LinkAddress::for_listen(const Address& address) { return read(address, true); }

Result<EndpointIdentity> LinkAddress::identity() const {
  if (!server) return EndpointIdentity::client();
  errno = 0;
  std::ifstream file(key_file, std::ios::binary);
  if (!file) return fail(system_error(errno, "link: key_file " + key_file));
  std::string key(kKeyBytesMax + 1, '\0');
  file.read(key.data(), static_cast<std::streamsize>(key.size()));
  if (file.bad()) return fail(system_error(errno, "link: key_file " + key_file));
  key.resize(static_cast<std::size_t>(file.gcount()));
  if (key.size() > kKeyBytesMax) {
    return fail(ErrorCode::too_large,
                "link: key_file " + key_file + " has more than " + std::to_string(kKeyBytesMax) + " bytes");
  }
  if (key.ends_with('\n')) key.pop_back();
  if (key.ends_with('\r')) key.pop_back();
  return EndpointIdentity::as_server(server_id, std::move(key));
}

}  // namespace wayport::link
