// The PROXY protocol, versions 1 and 2: the first bytes on a connection to a backend, in which whoever relays says whose
// connection it carries. From the public specification of HAProxy, "The PROXY protocol, versions 1 & 2".
//
//   v1   PROXY TCP4 192.0.2.1 198.51.100.7 50112 443 CR LF          one line, at most 107 bytes
//   v2   signature 12 | 0x20 + command | family | length u16 BE | addresses | TLVs (type 1, length u16 BE, value)
//
// parse_header() is a stateless decoder: it is shown what has come so far and either needs more (nullopt), or says what
// the header was and how many bytes it took, or fails at the first byte that no header has. Any segmentation gives the
// same. It is strict: numbers without leading zeros, known families only, no TLV that overruns, each standard TLV once,
// a CRC32C that fits.
//
// Errors: `malformed`; `too_large` above header_bytes_max; the writers also say `invalid_argument`, and append nothing
// then. Pure; any thread. A header is only as true as its sender: believe it from addresses that you chose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/base/socket.h"

namespace wayport::proxy_protocol {

enum class Version : std::uint8_t { v1 = 1, v2 = 2 };

inline constexpr std::size_t kV1BytesMax = 107;  // CR LF included
inline constexpr std::size_t kV2BytesMin = 16;
inline constexpr std::size_t kUniqueIdBytesMax = 128;
inline constexpr std::size_t kAuthorityBytesMax = 255;
// Types that are an application's own, such as for the claims of a token.
inline constexpr std::uint8_t kCustomTypeFirst = 0xe0;
inline constexpr std::uint8_t kCustomTypeLast = 0xef;

// The client's TLS, as the relaying side saw it.
struct Ssl {
  bool tls = true;                      // the client connected over TLS
  bool certificate_connection = false;  // it presented a certificate on this connection
  bool certificate_session = false;     // at least once in this TLS session
  bool verified = false;                // it presented one, and that was verified
  std::string version{};                // "TLSv1.3"
  std::string common_name{};            // of the certificate's subject
  std::string cipher{};                 // "ECDHE-RSA-AES128-GCM-SHA256"
  std::string signature_algorithm{};    // "SHA256"
  std::string key_algorithm{};          // "RSA2048"

  friend bool operator==(const Ssl&, const Ssl&) = default;
};

struct CustomTlv {
  std::uint8_t type = kCustomTypeFirst;
  std::string value{};

  friend bool operator==(const CustomTlv&, const CustomTlv&) = default;
};

struct Header {
  // The relaying side speaks for itself (a health check): use the real addresses. Nothing else is read or written then.
  bool local = false;
  // Both IPv4, both IPv6, both unix (v2; in v1 they are unknown), or both empty: unknown.
  SocketAddress source{};
  SocketAddress destination{};
  bool datagram = false;  // v2 only, and not of unknown addresses
  // Version 2 only; empty: not there.
  std::string alpn{};
  std::string authority{};  // the name that the client asked for: SNI
  std::string unique_id{};
  std::string network_namespace{};
  std::optional<Ssl> ssl{};
  std::vector<CustomTlv> custom{};

  friend bool operator==(const Header&, const Header&) = default;
};

// `invalid_argument`: addresses of two families, or TLVs and datagrams, which version 1 cannot say.
Result<void> append_v1(Chain& to, const Header& header);
// `with_crc32c`: a checksum over the whole header is added. `too_large`: a TLV above its bound, or more than 65,535 bytes.
Result<void> append_v2(Chain& to, const Header& header, bool with_crc32c = true);

struct ReadOptions {
  bool accept_v1 = true;
  bool accept_v2 = true;
  std::size_t header_bytes_max = 4096;  // of version 2; below kUnconsumedBytesMax of streams, so that it may wait there
};

struct ParsedHeader {
  Header header{};
  Version version = Version::v1;
  bool checksum = false;  // it had a CRC32C, which fits
  std::size_t size = 0;   // bytes that it took from the front
};

// nullopt: `seen` begins a header, and more is needed.
Result<std::optional<ParsedHeader>> parse_header(Bytes seen, const ReadOptions& options = {});

}  // namespace wayport::proxy_protocol
