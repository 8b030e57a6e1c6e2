#include "wayport/gateway/program/settings.h"

#include <algorithm>

#include "wayport/base/bytes.h"
#include "wayport/transport/address.h"

namespace wayport::gateway {
namespace {

constexpr std::size_t kLoopsMax = 256;
constexpr Duration kDrainMax = std::chrono::hours(24);

std::unexpected<Error> invalid(std::string detail) { return fail(ErrorCode::invalid_argument, std::move(detail)); }

Result<void> check_addresses(std::string_view name, const std::vector<std::string>& addresses) {
  if (addresses.empty()) return invalid(std::string(name) + " is empty; name an address such as \":4900\"");
  for (const std::string& address : addresses) {
    if (const auto parsed = transport::Address::parse(address); !parsed) {
      return invalid(std::string(name) + ": " + parsed.error().detail);
    }
  }
  return {};
}

Result<void> check_positive(std::string_view name, Duration value) {
  if (value > Duration::zero()) return {};
  return invalid(std::string(name) + " is " + format_duration(value) + "; it has to be more than 0");
}

}  // namespace

Result<std::string> listen_address(std::string_view text) {
  const Result<transport::Address> address = transport::Address::parse(text);
  if (!address) return invalid("no address to listen on: " + address.error().detail);
  return address->to_string();
}

void LinkSettings::fit_queues(bool virtual_bytes_set, bool client_bytes_set, bool server_bytes_set) {
  const std::size_t frame = link::kLengthBytes + std::size_t{switching.packet_bytes_max};
  const auto fit = [frame](std::size_t& bytes, bool set) {
    if (!set) bytes = std::max(bytes, frame);
  };
  fit(switching.virtual_queue.bytes_max, virtual_bytes_set);
  fit(switching.client_queue.bytes_max, client_bytes_set);
  fit(switching.server_queue.bytes_max, server_bytes_set);
  fit(switching.mail_bytes_max, false);
}

Result<void> LinkSettings::validate() const {
  WAYPORT_TRY(check_addresses("the client address", client_addresses));
  WAYPORT_TRY(check_addresses("the server address", server_addresses));
  if (!server_auth_key.empty() && !server_auth_key_file.empty()) {
    return invalid("the server key is given twice: as it is and by the file " + escape(server_auth_key_file));
  }
  WAYPORT_TRY(switching.validate());
  WAYPORT_TRY(check_positive("transport_handshake_timeout", transport_handshake_timeout));
  if (transport_handshakes_max == 0) return invalid("transport_handshakes_max is 0; it has to be at least 1");
  return {};
}

Result<void> Settings::validate() const {
  if (link) WAYPORT_TRY(link->validate());
  if (drain < Duration::zero() || drain > kDrainMax) {
    return invalid("the time to drain is " + format_duration(drain) + "; it has to be 0 to 24h");
  }
  if (!admin_address.empty()) WAYPORT_TRY(check_addresses("the admin address", {admin_address}));
  if (admin_connections_max == 0) return invalid("admin connections_max is 0; it has to be at least 1");
  WAYPORT_TRY(check_positive("admin request_timeout", admin_request_timeout));
  if (loops > kLoopsMax) return invalid("loops is " + std::to_string(loops) + "; it has to be at most 256, or 0");
  if (profile_prefix.empty()) return invalid("profile_prefix is empty; profiles need a name");
  WAYPORT_TRY(check_positive("ready_timeout", ready_timeout));
  return {};
}

}  // namespace wayport::gateway
