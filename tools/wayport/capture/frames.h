// Captured frames made by hand, for tests: TCP segments in IP packets in link-layer frames, and pcap files of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "wayport/base/bytes.h"

namespace wayport::tools {

template <std::unsigned_integral T>
void put_be(std::string& to, T value) {
  std::array<std::byte, sizeof(T)> bytes;
  store_be(bytes.data(), value);
  to += as_text(bytes);
}
template <std::unsigned_integral T>
void put(std::string& to, T value, bool big_endian) {
  std::array<std::byte, sizeof(T)> bytes;
  big_endian ? store_be(bytes.data(), value) : store_le(bytes.data(), value);
  to += as_text(bytes);
}

struct TcpFields {
  std::uint16_t from_port = 40000;
  std::uint16_t to_port = 9090;
  std::uint32_t seq = 1;
  std::uint8_t flags = 0x10;  // ACK; FIN 1, SYN 2, RST 4
};

inline std::string tcp(const TcpFields& fields, std::string_view payload) {
  std::string out;
  put_be(out, fields.from_port);
  put_be(out, fields.to_port);
  put_be(out, fields.seq);
  put_be(out, std::uint32_t{0});  // acknowledged
  out += char{0x60};              // 24 bytes of header: one word of options
  out += static_cast<char>(fields.flags);
  put_be(out, std::uint16_t{65535});  // window
  put_be(out, std::uint32_t{0});      // checksum, urgent pointer
  put_be(out, std::uint32_t{0x01010101});
  out += payload;
  return out;
}
// 10.0.0.1 to 10.0.0.2
inline std::string ipv4(std::string_view segment, std::uint16_t fragment = 0, std::uint8_t protocol = 6) {
  std::string out;
  out += char{0x45};
  out += '\0';
  put_be(out, static_cast<std::uint16_t>(20 + segment.size()));
  put_be(out, std::uint16_t{0});
  put_be(out, fragment);
  out += char{64};
  out += static_cast<char>(protocol);
  put_be(out, std::uint16_t{0});
  put_be(out, std::uint32_t{0x0a000001});
  put_be(out, std::uint32_t{0x0a000002});
  out += segment;
  return out;
}
// ::1 to ::2, with one hop-by-hop header in front if `extended`
inline std::string ipv6(std::string_view segment, bool extended = false) {
  std::string out;
  put_be(out, std::uint32_t{0x60000000});
  put_be(out, static_cast<std::uint16_t>(segment.size() + (extended ? 8 : 0)));
  out += extended ? char{0} : char{6};
  out += char{64};
  for (const char last : {char{1}, char{2}}) {
    out.append(15, '\0');
    out += last;
  }
  if (extended) {
    out += char{6};
    out.append(7, '\0');
  }
  out += segment;
  return out;
}
inline std::string ethernet(std::string_view packet, std::uint16_t type = 0x0800, bool vlan = false) {
  std::string out(12, '\x02');
  if (vlan) put_be(out, std::uint32_t{0x81000007});
  put_be(out, type);
  out += packet;
  return out;
}

// A pcap file.
class PcapText {
 public:
  explicit PcapText(std::uint32_t link_type, bool big_endian = false, bool nanoseconds = false)
      : big_endian_(big_endian) {
    put(text_, nanoseconds ? std::uint32_t{0xa1b23c4d} : std::uint32_t{0xa1b2c3d4}, big_endian_);
    put(text_, std::uint16_t{2}, big_endian_);
    put(text_, std::uint16_t{4}, big_endian_);
    put(text_, std::uint32_t{0}, big_endian_);
    put(text_, std::uint32_t{0}, big_endian_);
    put(text_, std::uint32_t{65535}, big_endian_);
    put(text_, link_type, big_endian_);
  }
  // `wire_bytes` 0: as many as the frame has.
  PcapText& add(std::string_view frame, std::uint32_t wire_bytes = 0) {
    put(text_, seconds_++, big_endian_);
    put(text_, std::uint32_t{5}, big_endian_);
    put(text_, static_cast<std::uint32_t>(frame.size()), big_endian_);
    put(text_, wire_bytes ? wire_bytes : static_cast<std::uint32_t>(frame.size()), big_endian_);
    text_ += frame;
    return *this;
  }
  const std::string& text() const noexcept { return text_; }

 private:
  const bool big_endian_;
  std::uint32_t seconds_ = 1'500'000'000;
  std::string text_;
};

}  // namespace wayport::tools
