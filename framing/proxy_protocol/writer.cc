#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <string>

#include "wayport/framing/proxy_protocol/proxy_protocol.h"
#include "wayport/framing/proxy_protocol/wire.h"

namespace wayport::proxy_protocol {
namespace {

constexpr std::size_t kPayloadBytesMax = 0xffff;

Result<void> check_families(const Header& header) {
  if (header.source.family() == header.destination.family()) return {};
  return fail(ErrorCode::invalid_argument, "PROXY header: source " + header.source.to_string() + " and destination " +
                                               header.destination.to_string() + " are of different families");
}

// Without the scope of a link-local address, which means nothing elsewhere.
std::string plain_ip(const SocketAddress& address) {
  std::string ip = address.ip();
  ip.resize(std::min(ip.size(), ip.find('%')));
  return ip;
}

// The block after the length word.
struct Block {
  std::string bytes{};

  template <class T>
  void number(T value) {
    std::array<std::byte, sizeof(T)> raw;
    store_be(raw.data(), value);
    bytes += as_text(raw);
  }
  void ip(const SocketAddress& address) {
    sockaddr_storage storage{};
    address.store(storage);
    if (address.family() == AF_INET) {
      sockaddr_in in;
      std::memcpy(&in, &storage, sizeof in);
      bytes.append(reinterpret_cast<const char*>(&in.sin_addr), sizeof in.sin_addr);
    } else {
      sockaddr_in6 in;
      std::memcpy(&in, &storage, sizeof in);
      bytes.append(reinterpret_cast<const char*>(&in.sin6_addr), sizeof in.sin6_addr);
    }
  }
  void path(const SocketAddress& address) {
    sockaddr_storage storage{};
    const socklen_t size = address.store(storage);
    sockaddr_un un{};
    std::memcpy(&un, &storage, std::min<std::size_t>(size, sizeof un));
    bytes.append(un.sun_path, wire::kUnixPathBytes);
  }
  Result<void> tlv(std::uint8_t type, std::string_view value) {
    if (value.size() > kPayloadBytesMax) {
      return fail(ErrorCode::too_large, "PROXY header: a TLV of type " + std::to_string(type) + " with " +
                                            std::to_string(value.size()) + " bytes; at most 65535 fit");
    }
    bytes += static_cast<char>(type);
    number(static_cast<std::uint16_t>(value.size()));
    bytes += value;
    return {};
  }
  Result<void> tlv_unless_empty(std::uint8_t type, std::string_view value) {
    return value.empty() ? Result<void>() : tlv(type, value);
  }
};

Result<void> add_bounded(Block& block, std::uint8_t type, const char* name, std::string_view value, std::size_t max) {
  if (value.size() <= max) return block.tlv_unless_empty(type, value);
  return fail(ErrorCode::too_large, std::string("PROXY header: ") + name + " of " + std::to_string(value.size()) +
                                        " bytes; at most " + std::to_string(max) + " are allowed");
}

Result<void> add_ssl(Block& to, const Ssl& ssl) {
  Block block;
  block.bytes += static_cast<char>((ssl.tls ? wire::kClientTls : 0) |
                                   (ssl.certificate_connection ? wire::kClientCertificateConnection : 0) |
                                   (ssl.certificate_session ? wire::kClientCertificateSession : 0));
  block.number(static_cast<std::uint32_t>(ssl.verified ? 0 : 1));
  WAYPORT_TRY(block.tlv_unless_empty(wire::kSslVersion, ssl.version));
  WAYPORT_TRY(block.tlv_unless_empty(wire::kSslCommonName, ssl.common_name));
  WAYPORT_TRY(block.tlv_unless_empty(wire::kSslCipher, ssl.cipher));
  WAYPORT_TRY(block.tlv_unless_empty(wire::kSslSignatureAlgorithm, ssl.signature_algorithm));
  WAYPORT_TRY(block.tlv_unless_empty(wire::kSslKeyAlgorithm, ssl.key_algorithm));
  return to.tlv(wire::kSsl, block.bytes);
}

Result<void> add_tlvs(Block& block, const Header& header) {
  WAYPORT_TRY(block.tlv_unless_empty(wire::kAlpn, header.alpn));
  WAYPORT_TRY(add_bounded(block, wire::kAuthority, "authority", header.authority, kAuthorityBytesMax));
  WAYPORT_TRY(add_bounded(block, wire::kUniqueId, "unique id", header.unique_id, kUniqueIdBytesMax));
  if (header.ssl) WAYPORT_TRY(add_ssl(block, *header.ssl));
  WAYPORT_TRY(block.tlv_unless_empty(wire::kNetworkNamespace, header.network_namespace));
  for (const CustomTlv& custom : header.custom) {
    if (custom.type < kCustomTypeFirst || custom.type > kCustomTypeLast) {
      return fail(ErrorCode::invalid_argument,
                  "PROXY header: a custom TLV of type " + std::to_string(custom.type) + "; use 0xe0 to 0xef");
    }
    WAYPORT_TRY(block.tlv(custom.type, custom.value));
  }
  return {};
}

}  // namespace

Result<void> append_v1(Chain& to, const Header& header) {
  const bool has_tlvs = !header.alpn.empty() || !header.authority.empty() || !header.unique_id.empty() ||
                        !header.network_namespace.empty() || header.ssl || !header.custom.empty();
  if (!header.local && (has_tlvs || header.datagram)) {
    return fail(ErrorCode::invalid_argument, "PROXY header: version 1 has no TLVs and no datagrams; use version 2");
  }
  WAYPORT_TRY(check_families(header));
  const int family = header.local ? AF_UNSPEC : header.source.family();
  if (family != AF_INET && family != AF_INET6) {
    to.append(std::string_view("PROXY UNKNOWN\r\n"));
    return {};
  }
  std::string line = family == AF_INET ? "PROXY TCP4 " : "PROXY TCP6 ";
  line += plain_ip(header.source) + ' ' + plain_ip(header.destination) + ' ' + std::to_string(header.source.port()) +
          ' ' + std::to_string(header.destination.port()) + "\r\n";
  WAYPORT_ASSERT(line.size() <= kV1BytesMax, "no two addresses are longer");
  to.append(std::string_view(line));
  return {};
}

Result<void> append_v2(Chain& to, const Header& header, bool with_crc32c) {
  Block block;
  std::uint8_t family = wire::kUnspecified;
  if (!header.local) {
    WAYPORT_TRY(check_families(header));
    switch (header.source.family()) {
      case AF_INET:
      case AF_INET6:
        family = header.source.family() == AF_INET ? wire::kIp4 : wire::kIp6;
        block.ip(header.source);
        block.ip(header.destination);
        block.number(header.source.port());
        block.number(header.destination.port());
        break;
      case AF_UNIX:
        family = wire::kUnix;
        block.path(header.source);
        block.path(header.destination);
        break;
      default:
        if (header.datagram) {
          return fail(ErrorCode::invalid_argument, "PROXY header: a datagram between unknown addresses");
        }
    }
    if (family != wire::kUnspecified) family |= header.datagram ? wire::kDatagram : wire::kStream;
    WAYPORT_TRY(add_tlvs(block, header));
  }
  std::size_t checksum_at = 0;
  if (with_crc32c) {
    WAYPORT_TRY(block.tlv(wire::kCrc32c, std::string_view("\0\0\0\0", 4)));
    checksum_at = kV2BytesMin + block.bytes.size() - 4;
  }
  if (block.bytes.size() > kPayloadBytesMax) {
    return fail(ErrorCode::too_large, "PROXY header: addresses and TLVs take " + std::to_string(block.bytes.size()) +
                                          " bytes; at most 65535 fit. Send fewer or shorter TLVs");
  }
  Block whole;
  for (const unsigned char byte : wire::kSignature) whole.bytes += static_cast<char>(byte);
  whole.bytes += static_cast<char>(wire::kVersion | (header.local ? wire::kLocal : wire::kProxy));
  whole.bytes += static_cast<char>(family);
  whole.number(static_cast<std::uint16_t>(block.bytes.size()));
  whole.bytes += block.bytes;
  if (with_crc32c) {
    store_be(reinterpret_cast<std::byte*>(whole.bytes.data()) + checksum_at, wire::crc32c(as_bytes(whole.bytes)));
  }
  to.append(std::string_view(whole.bytes));
  return {};
}

}  // namespace wayport::proxy_protocol
