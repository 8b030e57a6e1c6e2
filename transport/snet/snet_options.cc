#include "wayport/transport/snet/snet_options.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "wayport/transport/parameters.h"

namespace wayport::transport {
namespace {

const std::initializer_list<std::string_view> kBoth = {"encrypt", "buffer", "wait", "peer_buffer"};
const std::initializer_list<std::string_view> kListening = {
    "encrypt", "buffer", "wait", "peer_buffer", "sessions", "per_address", "detached", "detached_bytes", "attempts"};

bool contains(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// Of the parameters that are snet's own, only those in `known`, each once.
Result<void> check_own(const Address& address, std::initializer_list<std::string_view> known) {
  std::vector<std::string_view> seen;
  for (const auto& [key, value] : address.parameters()) {
    if (!contains(kListening, key)) continue;
    if (!contains(known, key)) return bad_parameter(address, key, "is for listeners");
    if (std::ranges::find(seen, key) != seen.end()) return bad_parameter(address, key, "is given twice");
    seen.push_back(key);
  }
  return {};
}

Result<void> read_size(const Address& address, std::string_view key, std::size_t smallest, std::size_t& into) {
  WAYPORT_TRY_ASSIGN(const auto size, bytes_parameter(address, key));
  if (size && *size < smallest) return bad_parameter(address, key, "is less than " + std::to_string(smallest));
  into = size.value_or(into);
  return {};
}

Result<SnetOptions> read_common(const Address& address) {
  SnetOptions options;
  WAYPORT_TRY_ASSIGN(const auto encrypt, bool_parameter(address, "encrypt"));
  options.session.encrypt = encrypt.value_or(false);
  WAYPORT_TRY(read_size(address, "buffer", 1, options.session.ring_bytes));
  if (options.session.ring_bytes > SnetOptions::kRingBytesMax)
    return bad_parameter(address, "buffer", "is more than 1GiB");
  WAYPORT_TRY_ASSIGN(const auto peer_buffer, bytes_parameter(address, "peer_buffer"));
  if (peer_buffer) options.session.peer_ring_bytes_max = *peer_buffer;
  WAYPORT_TRY_ASSIGN(const auto wait, duration_parameter(address, "wait"));
  options.wait = wait.value_or(options.wait);
  return options;
}

}  // namespace

Result<SnetOptions> SnetOptions::for_dial(const Address& address) {
  WAYPORT_TRY(check_own(address, kBoth));
  return read_common(address);
}

Result<SnetOptions> SnetOptions::for_listen(const Address& address) {
  WAYPORT_TRY(check_own(address, kListening));
  WAYPORT_TRY_ASSIGN(SnetOptions options, read_common(address));
  WAYPORT_TRY(read_size(address, "sessions", 1, options.sessions_max));
  WAYPORT_TRY(read_size(address, "per_address", 0, options.sessions_per_address_max));
  WAYPORT_TRY(read_size(address, "detached", 0, options.detached_max));
  WAYPORT_TRY(read_size(address, "detached_bytes", 0, options.detached_bytes_max));
  WAYPORT_TRY(read_size(address, "attempts", 1, options.attempts_max));
  return options;
}

Address SnetOptions::below(const Address& address) { return address.below("tcp", kListening); }

}  // namespace wayport::transport
