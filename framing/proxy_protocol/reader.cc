#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "wayport/framing/proxy_protocol/proxy_protocol.h"
#include "wayport/framing/proxy_protocol/wire.h"

namespace wayport::proxy_protocol {
namespace {

constexpr std::string_view kV1Start = "PROXY ";

std::unexpected<Error> malformed(std::string what) {
  return fail(ErrorCode::malformed, "PROXY header: " + std::move(what));
}

bool begins_alike(std::string_view seen, std::string_view start) {
  return seen.substr(0, start.size()) == start.substr(0, seen.size());
}

std::string_view signature() {
  return {reinterpret_cast<const char*>(wire::kSignature.data()), wire::kSignature.size()};
}

// --- version 1 ---

// Up to the next blank, which is taken too; the last field ends with the line.
Result<std::string_view> next_field(std::string_view& line, bool last) {
  const std::size_t end = line.find(' ');
  if ((end == std::string_view::npos) != last) return malformed("a line with another number of fields than six");
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(last ? line.size() : end + 1);
  return field;
}

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool zeros = text.size() > 1 && text.front() == '0';
  if (error != std::errc() || end != text.data() + text.size() || zeros) {
    return malformed("the port \"" + escape(text) + "\"");
  }
  return port;
}

Result<SocketAddress> parse_ip(std::string_view text, std::string_view port, int family) {
  WAYPORT_TRY_ASSIGN(const std::uint16_t number, parse_port(port));
  Result<SocketAddress> address = SocketAddress::from_ip(text, number);
  if (!address || address->family() != family || text.find('%') != std::string_view::npos) {
    return malformed("the address \"" + escape(text) + "\"");
  }
  return address;
}

Result<Header> parse_line(std::string_view line) {
  Header header;
  line.remove_prefix(kV1Start.size());
  // What follows UNKNOWN is not ours to read.
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return header;
  WAYPORT_TRY_ASSIGN(const std::string_view family, next_field(line, false));
  if (family != "TCP4" && family != "TCP6") return malformed("the family \"" + escape(family) + "\"");
  WAYPORT_TRY_ASSIGN(const std::string_view source, next_field(line, false));
  WAYPORT_TRY_ASSIGN(const std::string_view destination, next_field(line, false));
  WAYPORT_TRY_ASSIGN(const std::string_view source_port, next_field(line, false));
  WAYPORT_TRY_ASSIGN(const std::string_view destination_port, next_field(line, true));
  const int wanted = family == "TCP4" ? AF_INET : AF_INET6;
  WAYPORT_TRY_ASSIGN(header.source, parse_ip(source, source_port, wanted));
  WAYPORT_TRY_ASSIGN(header.destination, parse_ip(destination, destination_port, wanted));
  return header;
}

Result<std::optional<ParsedHeader>> parse_v1(std::string_view seen) {
  const std::string_view line = seen.substr(0, kV1BytesMax);
  const std::size_t end = line.find('\n');
  if (end == std::string_view::npos) {
    if (line.size() == kV1BytesMax) return malformed("no end of line within 107 bytes");
    return std::nullopt;
  }
  if (end < kV1Start.size() || line[end - 1] != '\r') return malformed("a line that does not end with CR LF");
  ParsedHeader parsed;
  WAYPORT_TRY_ASSIGN(parsed.header, parse_line(line.substr(0, end - 1)));
  parsed.size = end + 1;
  return parsed;
}

// --- version 2 ---

struct Tlv {
  std::uint8_t type = 0;
  Bytes value{};
};

// Takes one from the front. REQUIRES: `rest` is not empty.
Result<Tlv> next_tlv(Bytes& rest) {
  if (rest.size() < wire::kTlvHeaderBytes) return malformed("a TLV that is cut in its first three bytes");
  const std::size_t size = load_be<std::uint16_t>(rest.data() + 1);
  const auto type = static_cast<std::uint8_t>(rest[0]);
  rest = rest.subspan(wire::kTlvHeaderBytes);
  if (size > rest.size()) {
    return malformed("a TLV of type " + std::to_string(type) + " says " + std::to_string(size) + " bytes, where " +
                     std::to_string(rest.size()) + " are left");
  }
  const Bytes value = rest.first(size);
  rest = rest.subspan(size);
  return Tlv{type, value};
}

Result<void> keep_once(std::string& to, const Tlv& tlv, std::size_t bytes_max) {
  if (!to.empty()) return malformed("a second TLV of type " + std::to_string(tlv.type));
  if (tlv.value.empty()) return malformed("an empty TLV of type " + std::to_string(tlv.type));
  if (tlv.value.size() > bytes_max) {
    return malformed("a TLV of type " + std::to_string(tlv.type) + " with " + std::to_string(tlv.value.size()) +
                     " bytes; at most " + std::to_string(bytes_max) + " are allowed");
  }
  to = as_text(tlv.value);
  return {};
}

Result<Ssl> parse_ssl(Bytes value) {
  if (value.size() < wire::kSslBytesMin) return malformed("an SSL TLV of " + std::to_string(value.size()) + " bytes");
  const auto flags = static_cast<std::uint8_t>(value[0]);
  Ssl ssl;
  ssl.tls = flags & wire::kClientTls;
  ssl.certificate_connection = flags & wire::kClientCertificateConnection;
  ssl.certificate_session = flags & wire::kClientCertificateSession;
  ssl.verified = load_be<std::uint32_t>(value.data() + 1) == 0;
  for (Bytes rest = value.subspan(wire::kSslBytesMin); !rest.empty();) {
    WAYPORT_TRY_ASSIGN(const Tlv tlv, next_tlv(rest));
    switch (tlv.type) {
      case wire::kSslVersion:
        WAYPORT_TRY(keep_once(ssl.version, tlv, value.size()));
        break;
      case wire::kSslCommonName:
        WAYPORT_TRY(keep_once(ssl.common_name, tlv, value.size()));
        break;
      case wire::kSslCipher:
        WAYPORT_TRY(keep_once(ssl.cipher, tlv, value.size()));
        break;
      case wire::kSslSignatureAlgorithm:
        WAYPORT_TRY(keep_once(ssl.signature_algorithm, tlv, value.size()));
        break;
      case wire::kSslKeyAlgorithm:
        WAYPORT_TRY(keep_once(ssl.key_algorithm, tlv, value.size()));
        break;
      default:
        break;  // of a later edition
    }
  }
  return ssl;
}

Result<void> check_crc(Bytes header, Bytes field) {
  std::string copy(as_text(header));
  std::fill_n(copy.begin() + (field.data() - header.data()), field.size(), '\0');
  const std::uint32_t said = load_be<std::uint32_t>(field.data());
  if (wire::crc32c(as_bytes(copy)) == said) return {};
  return malformed("its CRC32C does not fit its bytes");
}

Result<void> parse_tlvs(Bytes whole, Bytes rest, ParsedHeader& parsed) {
  Header& header = parsed.header;
  while (!rest.empty()) {
    WAYPORT_TRY_ASSIGN(const Tlv tlv, next_tlv(rest));
    switch (tlv.type) {
      case wire::kAlpn:
        WAYPORT_TRY(keep_once(header.alpn, tlv, whole.size()));
        break;
      case wire::kAuthority:
        WAYPORT_TRY(keep_once(header.authority, tlv, kAuthorityBytesMax));
        break;
      case wire::kUniqueId:
        WAYPORT_TRY(keep_once(header.unique_id, tlv, kUniqueIdBytesMax));
        break;
      case wire::kNetworkNamespace:
        WAYPORT_TRY(keep_once(header.network_namespace, tlv, whole.size()));
        break;
      case wire::kCrc32c:
        if (parsed.checksum) return malformed("a second CRC32C");
        if (tlv.value.size() != sizeof(std::uint32_t)) {
          return malformed("a CRC32C of " + std::to_string(tlv.value.size()) + " bytes");
        }
        WAYPORT_TRY(check_crc(whole, tlv.value));
        parsed.checksum = true;
        break;
      case wire::kSsl: {
        if (header.ssl) return malformed("a second SSL TLV");
        WAYPORT_TRY_ASSIGN(header.ssl, parse_ssl(tlv.value));
        break;
      }
      default:
        if (tlv.type >= kCustomTypeFirst && tlv.type <= kCustomTypeLast) {
          header.custom.push_back({tlv.type, std::string(as_text(tlv.value))});
        }
        break;  // padding, or of a later edition
    }
  }
  return {};
}

SocketAddress ip4(const std::byte* address, const std::byte* port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  std::memcpy(&in.sin_addr, address, sizeof in.sin_addr);
  std::memcpy(&in.sin_port, port, sizeof in.sin_port);
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&in), sizeof in);
}

SocketAddress ip6(const std::byte* address, const std::byte* port) {
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  std::memcpy(&in.sin6_addr, address, sizeof in.sin6_addr);
  std::memcpy(&in.sin6_port, port, sizeof in.sin6_port);
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&in), sizeof in);
}

// A path ends at its first zero byte; an abstract name, which begins with one, before its trailing ones.
SocketAddress unix_address(Bytes field) {
  std::string_view path = as_text(field);
  if (path.front() == '\0') {
    path = path.substr(0, path.find_last_not_of('\0') + 1);
  } else {
    path = path.substr(0, path.find('\0'));
  }
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path.data(), path.size());
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&un),
                             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size()));
}

// Gives the size of the address block.
Result<std::size_t> parse_addresses(std::uint8_t family, Bytes block, Header& header) {
  if (family == wire::kUnspecified) return std::size_t{0};
  const std::uint8_t protocol = family & 0x0f;
  const std::uint8_t kind = family & 0xf0;
  const std::size_t size = kind == wire::kIp4    ? wire::kIp4Bytes
                           : kind == wire::kIp6  ? wire::kIp6Bytes
                           : kind == wire::kUnix ? wire::kUnixBytes
                                                 : 0;
  if (size == 0 || (protocol != wire::kStream && protocol != wire::kDatagram)) {
    return malformed("the family " + std::to_string(family));
  }
  if (block.size() < size) {
    return malformed(std::to_string(block.size()) + " bytes of addresses, where family " + std::to_string(family) +
                     " has " + std::to_string(size));
  }
  const std::byte* const at = block.data();
  if (kind == wire::kIp4) {
    header.source = ip4(at, at + 8);
    header.destination = ip4(at + 4, at + 10);
  } else if (kind == wire::kIp6) {
    header.source = ip6(at, at + 32);
    header.destination = ip6(at + 16, at + 34);
  } else {
    header.source = unix_address(block.first(wire::kUnixPathBytes));
    header.destination = unix_address(block.subspan(wire::kUnixPathBytes, wire::kUnixPathBytes));
  }
  header.datagram = protocol == wire::kDatagram;
  return size;
}

Result<std::optional<ParsedHeader>> parse_v2(Bytes seen, std::size_t bytes_max) {
  constexpr std::size_t kCommandAt = wire::kSignature.size();
  if (seen.size() > kCommandAt) {
    const auto command = static_cast<std::uint8_t>(seen[kCommandAt]);
    if (command != (wire::kVersion | wire::kLocal) && command != (wire::kVersion | wire::kProxy)) {
      return malformed("version and command " + std::to_string(command));
    }
  }
  if (seen.size() < kV2BytesMin) return std::nullopt;
  const std::size_t size = kV2BytesMin + load_be<std::uint16_t>(seen.data() + 14);
  if (size > bytes_max) {
    return fail(ErrorCode::too_large, "PROXY header: " + std::to_string(size) +
                                          " bytes are announced, more than header_bytes_max " +
                                          std::to_string(bytes_max));
  }
  if (seen.size() < size) return std::nullopt;
  ParsedHeader parsed;
  parsed.version = Version::v2;
  parsed.size = size;
  parsed.header.local = static_cast<std::uint8_t>(seen[kCommandAt]) == (wire::kVersion | wire::kLocal);
  if (parsed.header.local) return parsed;  // whatever the block says
  const Bytes whole = seen.first(size);
  const Bytes block = whole.subspan(kV2BytesMin);
  WAYPORT_TRY_ASSIGN(const std::size_t addresses,
                     parse_addresses(static_cast<std::uint8_t>(seen[13]), block, parsed.header));
  WAYPORT_TRY(parse_tlvs(whole, block.subspan(addresses), parsed));
  return parsed;
}

}  // namespace

Result<std::optional<ParsedHeader>> parse_header(Bytes seen, const ReadOptions& options) {
  const std::string_view text = as_text(seen);
  if (text.empty()) return std::nullopt;
  // The two differ in their first byte.
  if (options.accept_v1 && begins_alike(text, kV1Start)) return parse_v1(text);
  if (options.accept_v2 && begins_alike(text, signature())) return parse_v2(seen, options.header_bytes_max);
  return malformed("the connection begins with \"" + escape(text.substr(0, kV2BytesMin)) +
                   "\", which is no header of a version that is accepted here");
}

}  // namespace wayport::proxy_protocol
