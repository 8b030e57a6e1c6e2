// The TCP segment in a captured frame: link layer, IPv4 or IPv6, TCP. Pure functions over the frame's bytes.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include "wayport/base/bytes.h"

namespace wayport::tools {

struct TcpEndpoint {
  std::array<std::uint8_t, 16> ip{};  // the first four are IPv4's
  bool is_v6 = false;
  std::uint16_t port = 0;

  std::string to_string() const;  // "10.0.0.1:80", "[::1]:80"
  friend auto operator<=>(const TcpEndpoint&, const TcpEndpoint&) = default;
};

struct TcpSegment {
  TcpEndpoint from;
  TcpEndpoint to;
  std::uint32_t seq = 0;
  bool syn = false;
  bool fin = false;
  bool rst = false;
  Bytes payload{};            // into the frame
  std::size_t cut_bytes = 0;  // payload that was on the wire, after `payload`, and is not in the capture
};

enum class FrameKind : std::uint8_t {
  tcp,
  other,        // another protocol
  fragment,     // an IP fragment that is not alone; they are not put together
  broken,       // headers that contradict each other, or that the capture cut
  unknown_link  // a link type that is not known here
};

// Known are Ethernet (with VLAN tags), loopback ("null", both orders), raw IP, and Linux cooked captures (1 and 2).
// `wire_bytes`: the frame's size before the capture cut it. `segment` is set for FrameKind::tcp only.
FrameKind find_tcp_segment(std::uint32_t link_type, Bytes frame, std::size_t wire_bytes, TcpSegment& segment);

}  // namespace wayport::tools
