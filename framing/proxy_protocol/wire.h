// Numbers of version 2 that reader and writer share.
#pragma once

#include <array>
#include <boost/crc.hpp>
#include <cstdint>

#include "wayport/base/bytes.h"

namespace wayport::proxy_protocol::wire {

inline constexpr std::array<unsigned char, 12> kSignature = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                             0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
inline constexpr std::uint8_t kVersion = 0x20;  // the command is in the low half
inline constexpr std::uint8_t kLocal = 0x00;
inline constexpr std::uint8_t kProxy = 0x01;

// Family in the high half, stream or datagram in the low one.
inline constexpr std::uint8_t kUnspecified = 0x00;
inline constexpr std::uint8_t kIp4 = 0x10;
inline constexpr std::uint8_t kIp6 = 0x20;
inline constexpr std::uint8_t kUnix = 0x30;
inline constexpr std::uint8_t kStream = 0x01;
inline constexpr std::uint8_t kDatagram = 0x02;

inline constexpr std::size_t kIp4Bytes = 12;
inline constexpr std::size_t kIp6Bytes = 36;
inline constexpr std::size_t kUnixPathBytes = 108;
inline constexpr std::size_t kUnixBytes = 2 * kUnixPathBytes;

enum Type : std::uint8_t {
  kAlpn = 0x01,
  kAuthority = 0x02,
  kCrc32c = 0x03,
  kNoop = 0x04,
  kUniqueId = 0x05,
  kSsl = 0x20,
  kSslVersion = 0x21,
  kSslCommonName = 0x22,
  kSslCipher = 0x23,
  kSslSignatureAlgorithm = 0x24,
  kSslKeyAlgorithm = 0x25,
  kNetworkNamespace = 0x30,
};
inline constexpr std::size_t kTlvHeaderBytes = 3;
inline constexpr std::size_t kSslBytesMin = 5;  // client flags, verify
inline constexpr std::uint8_t kClientTls = 0x01;
inline constexpr std::uint8_t kClientCertificateConnection = 0x02;
inline constexpr std::uint8_t kClientCertificateSession = 0x04;

// Of a header whose checksum field is zero.
inline std::uint32_t crc32c(Bytes bytes) {
  boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

}  // namespace wayport::proxy_protocol::wire
