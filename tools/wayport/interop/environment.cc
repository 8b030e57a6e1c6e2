#include "wayport/tools/wayport/interop/environment.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "wayport/base/bytes.h"
#include "wayport/framing/gzip.h"
#include "wayport/transport/default_transports.h"

namespace wayport::tools::interop {
namespace {

constexpr std::string_view kCertificates = "/certs";

enum class Family : std::uint8_t { teleport, link, stream };

struct RoleName {
  std::string_view name;
  Role role;
  Family family;
  bool client;
};
constexpr std::array kRoles = {
    RoleName{"server", Role::server, Family::teleport, false},
    RoleName{"client", Role::client, Family::teleport, true},
    RoleName{"link-server", Role::link_server, Family::link, false},
    RoleName{"link-client", Role::link_client, Family::link, true},
    RoleName{"stream-server", Role::stream_server, Family::stream, false},
    RoleName{"stream-client", Role::stream_client, Family::stream, true},
};

struct CaseName {
  std::string_view name;
  Case what;
  Family family;
  bool count;  // its client needs INTEROP_COUNT
  bool bytes;  // INTEROP_BYTES
};
constexpr std::array kCases = {
    CaseName{"echo", Case::echo, Family::teleport, true, true},
    CaseName{"large", Case::large, Family::teleport, false, true},
    CaseName{"concurrent", Case::concurrent, Family::teleport, true, false},
    CaseName{"order", Case::order, Family::teleport, false, false},
    CaseName{"push", Case::push, Family::teleport, true, false},
    CaseName{"status", Case::status, Family::teleport, false, false},
    CaseName{"not-found", Case::not_found, Family::teleport, false, false},
    CaseName{"bad-body", Case::bad_body, Family::teleport, false, false},
    CaseName{"query", Case::query, Family::teleport, false, false},
    CaseName{"back", Case::back, Family::teleport, true, false},
    CaseName{"limit", Case::limit, Family::teleport, false, false},
    CaseName{"link-echo", Case::link_echo, Family::link, true, true},
    CaseName{"link-max", Case::link_max, Family::link, false, false},
    CaseName{"link-many", Case::link_many, Family::link, true, false},
    CaseName{"link-unknown", Case::link_unknown, Family::link, false, false},
    CaseName{"link-close", Case::link_close, Family::link, false, false},
    CaseName{"link-key", Case::link_key, Family::link, false, false},
    CaseName{"link-dialed", Case::link_dialed, Family::link, false, false},
    CaseName{"stream", Case::stream, Family::stream, false, true},
    CaseName{"stream-half", Case::stream_half, Family::stream, false, true},
    CaseName{"stream-slow", Case::stream_slow, Family::stream, false, true},
    CaseName{"stream-cut", Case::stream_cut, Family::stream, false, true},
    CaseName{"route-refused", Case::route_refused, Family::stream, false, false},
};

std::unexpected<Error> unknown(std::string_view name, std::string_view value) {
  return fail(ErrorCode::unsupported, std::string(name) + "=" + escape(value) + " is not supported");
}

class Reader {
 public:
  explicit Reader(const Lookup& lookup) : lookup_(lookup) {}

  std::optional<std::string> find(const char* name) const {
    const char* const value = lookup_(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  }
  Result<std::string> text(const char* name) const {
    if (std::optional<std::string> value = find(name)) return *std::move(value);
    return fail(ErrorCode::invalid_argument, std::string(name) + " is not set");
  }
  Result<std::int64_t> number(const char* name, std::int64_t least, std::int64_t most) const {
    WAYPORT_TRY_ASSIGN(const std::string value, text(name));
    std::int64_t read = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), read);
    if (error != std::errc() || end != value.data() + value.size() || read < least || read > most) {
      return fail(ErrorCode::invalid_argument, std::string(name) + "=" + escape(value) + " is no whole number from " +
                                                   std::to_string(least) + " to " + std::to_string(most));
    }
    return read;
  }

 private:
  const Lookup& lookup_;
};

Result<void> read_teleport(const Reader& reader, Settings& to) {
  WAYPORT_TRY_ASSIGN(const std::string version, reader.text("INTEROP_VERSION"));
  const std::optional<framing::PeerVersion> known = framing::parse_peer_version(version);
  if (!known) return unknown("INTEROP_VERSION", version);
  to.version = *known;
  WAYPORT_TRY_ASSIGN(const std::string codec, reader.text("INTEROP_CODEC"));
  if (codec == "json") {
    to.codec = framing::kCodecJson;
  } else if (codec == "protobuf") {
    to.codec = framing::kCodecProtobuf;
  } else if (codec == "plain") {
    to.codec = framing::kCodecString;
  } else {
    return unknown("INTEROP_CODEC", codec);
  }
  WAYPORT_TRY_ASSIGN(const std::string header, reader.text("INTEROP_HEADER"));
  if (header != "json" && header != "protobuf") return unknown("INTEROP_HEADER", header);
  to.header_codec = header == "json" ? framing::kCodecJson : framing::kCodecProtobuf;
  WAYPORT_TRY_ASSIGN(const std::int64_t gzip, reader.number("INTEROP_GZIP", INT32_MIN, INT32_MAX));
  to.gzip = static_cast<std::int32_t>(gzip);
  if (to.gzip != 0 && !framing::is_gzip_level(to.gzip)) return unknown("INTEROP_GZIP", std::to_string(gzip));
  return {};
}

Result<void> read_link(const Reader& reader, const RoleName& role, Settings& to) {
  WAYPORT_TRY_ASSIGN(const std::int64_t id, reader.number("INTEROP_ID", 0, UINT32_MAX));
  to.id = static_cast<std::uint32_t>(id);
  if (!role.client) {
    WAYPORT_TRY_ASSIGN(to.key, reader.text("INTEROP_KEY"));
    if (to.key.size() > Settings::kKeyBytesMax) {
      return fail(ErrorCode::invalid_argument,
                  "INTEROP_KEY has more than " + std::to_string(Settings::kKeyBytesMax) + " bytes");
    }
  }
  if (reader.find("INTEROP_MAX_PACKET")) {
    WAYPORT_TRY_ASSIGN(const std::int64_t bytes,
                       reader.number("INTEROP_MAX_PACKET", Settings::kMaxPacketMin, Settings::kMaxPacketMax));
    to.max_packet = static_cast<std::uint32_t>(bytes);
  }
  if (to.what == Case::link_key && role.client) return unknown("INTEROP_ROLE", role.name);
  return {};
}

// A transport whose ends are told one by one, by itself or below a route.
bool ends_by_halves(const transport::Address& address) {
  return std::ranges::all_of(address.layers(), [](const std::string& layer) {
    return layer == "tcp" || layer == "tls" || layer == "unix" || layer == "route";
  });
}

Result<void> check_transport(const RoleName& role, const Settings& settings) {
  const std::vector<std::string> known = transport::default_transports().schemes();
  const std::vector<std::string>& layers = settings.address.layers();
  const bool all_known = std::ranges::all_of(
      layers, [&](const std::string& layer) { return std::ranges::find(known, layer) != known.end(); });
  const bool listens_by_route = role.family != Family::link && !role.client && has_layer(settings.address, "route");
  const bool cannot_end = settings.what == Case::stream_half && !ends_by_halves(settings.address);
  const bool no_route = settings.what == Case::route_refused && role.client && !has_layer(settings.address, "route");
  const bool no_snet = settings.what == Case::stream_cut && !has_layer(settings.address, "snet");
  // kcp does not tell that a session has ended.
  const bool no_end = settings.what == Case::limit && has_layer(settings.address, "kcp");
  if (all_known && !listens_by_route && !cannot_end && !no_route && !no_snet && !no_end) return {};
  return fail(ErrorCode::unsupported, std::string(role.name) + " of " + std::string(to_string(settings.what)) +
                                          " over " + settings.address.scheme() + " is not supported");
}

}  // namespace

bool has_layer(const transport::Address& address, std::string_view layer) noexcept {
  return std::ranges::find(address.layers(), layer) != address.layers().end();
}

std::string_view to_string(Case what) noexcept {
  return std::ranges::find(kCases, what, &CaseName::what)->name;  // all of them are there
}

void add_certificates(transport::Address& address, bool listening, std::string_view directory) {
  if (!has_layer(address, "tls") && !has_layer(address, "wss")) return;
  const std::string in(directory);
  if (listening) {
    if (address.parameter("cert") != nullptr) return;
    address.set_parameter("cert", in + "/cert.pem");
    address.set_parameter("key", in + "/key.pem");
  } else if (address.parameter("ca") == nullptr && address.parameter("insecure") == nullptr) {
    address.set_parameter("ca", in + "/ca.pem");
  }
}

Result<Settings> read_settings(const Lookup& lookup) {
  const Reader reader(lookup);
  Settings settings;
  WAYPORT_TRY_ASSIGN(const std::string role_name, reader.text("INTEROP_ROLE"));
  const auto role = std::ranges::find(kRoles, role_name, &RoleName::name);
  if (role == kRoles.end()) return unknown("INTEROP_ROLE", role_name);
  settings.role = role->role;
  WAYPORT_TRY_ASSIGN(const std::string case_name, reader.text("INTEROP_CASE"));
  const auto what = std::ranges::find(kCases, case_name, &CaseName::name);
  if (what == kCases.end() || what->family != role->family) return unknown("INTEROP_CASE", case_name);
  settings.what = what->what;

  WAYPORT_TRY_ASSIGN(const std::string address, reader.text("INTEROP_ADDRESS"));
  Result<transport::Address> parsed = transport::Address::parse(address);
  if (!parsed) return fail(ErrorCode::invalid_argument, "INTEROP_ADDRESS: " + parsed.error().detail);
  settings.address = *std::move(parsed);
  WAYPORT_TRY(check_transport(*role, settings));
  add_certificates(settings.address, !role->client && role->family != Family::link, kCertificates);

  WAYPORT_TRY_ASSIGN(const std::int64_t seed, reader.number("INTEROP_SEED", 0, UINT32_MAX));
  settings.seed = static_cast<std::uint32_t>(seed);
  WAYPORT_TRY_ASSIGN(const std::int64_t seconds, reader.number("INTEROP_TIMEOUT", 1, Settings::kTimeoutSecondsMax));
  settings.timeout = std::chrono::seconds(seconds);

  if (role->family == Family::teleport) WAYPORT_TRY(read_teleport(reader, settings));
  if (role->family == Family::link) WAYPORT_TRY(read_link(reader, *role, settings));
  if (role->client && what->count) {
    WAYPORT_TRY_ASSIGN(const std::int64_t count, reader.number("INTEROP_COUNT", 1, Settings::kCountMax));
    settings.count = static_cast<std::uint32_t>(count);
  }
  if (role->client && what->bytes) {
    // A message of a link has at least one byte, and fits a frame.
    const bool of_link = role->family == Family::link;
    const std::int64_t most = of_link ? settings.max_packet - 4 : Settings::kBytesMax;
    WAYPORT_TRY_ASSIGN(const std::int64_t bytes, reader.number("INTEROP_BYTES", of_link ? 1 : 0, most));
    settings.bytes = static_cast<std::uint64_t>(bytes);
  }
  return settings;
}

}  // namespace wayport::tools::interop
