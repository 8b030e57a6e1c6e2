#include "wayport/tools/wayport/capture/tcp_segment.h"

#include <arpa/inet.h>

#include <algorithm>

namespace wayport::tools {
namespace {

// https://www.tcpdump.org/linktypes.html
constexpr std::uint32_t kLinkNull = 0;
constexpr std::uint32_t kLinkEthernet = 1;
constexpr std::uint32_t kLinkRawOld = 12;
constexpr std::uint32_t kLinkRawOpenBsd = 14;
constexpr std::uint32_t kLinkRaw = 101;
constexpr std::uint32_t kLinkLoop = 108;
constexpr std::uint32_t kLinkCooked = 113;
constexpr std::uint32_t kLinkIpv4 = 228;
constexpr std::uint32_t kLinkIpv6 = 229;
constexpr std::uint32_t kLinkCooked2 = 276;

constexpr std::uint16_t kEtherIpv4 = 0x0800;
constexpr std::uint16_t kEtherIpv6 = 0x86dd;
constexpr std::uint16_t kEtherVlan = 0x8100;
constexpr std::uint16_t kEtherVlanOuter = 0x88a8;

constexpr std::uint8_t kProtocolTcp = 6;

std::uint8_t byte_at(Bytes bytes, std::size_t index) { return static_cast<std::uint8_t>(bytes[index]); }

// Drops what is in front of the packet.
bool drop(Bytes& bytes, std::size_t count) {
  if (bytes.size() < count) return false;
  bytes = bytes.subspan(count);
  return true;
}

// `rest` is from the TCP header to the end of the datagram as captured, `wire_bytes` the same on the wire.
FrameKind find_in_ip_payload(Bytes rest, std::size_t wire_bytes, TcpSegment& segment) {
  constexpr std::size_t kHeaderMin = 20;
  if (rest.size() < kHeaderMin) return FrameKind::broken;
  const std::size_t header = (byte_at(rest, 12) >> 4) * std::size_t{4};
  if (header < kHeaderMin || header > rest.size()) return FrameKind::broken;
  segment.from.port = load_be<std::uint16_t>(rest.data());
  segment.to.port = load_be<std::uint16_t>(rest.data() + 2);
  segment.seq = load_be<std::uint32_t>(rest.data() + 4);
  const std::uint8_t flags = byte_at(rest, 13);
  segment.fin = (flags & 1) != 0;
  segment.syn = (flags & 2) != 0;
  segment.rst = (flags & 4) != 0;
  segment.payload = rest.subspan(header);
  segment.cut_bytes = wire_bytes - rest.size();
  return FrameKind::tcp;
}

FrameKind find_in_ipv4(Bytes packet, std::size_t wire_bytes, TcpSegment& segment) {
  constexpr std::size_t kHeaderMin = 20;
  if (packet.size() < kHeaderMin) return FrameKind::broken;
  const std::size_t header = (byte_at(packet, 0) & 15) * std::size_t{4};
  // Zero: the network card was to fill it in (segmentation offload).
  std::size_t total = load_be<std::uint16_t>(packet.data() + 2);
  if (total == 0) total = wire_bytes;
  if (header < kHeaderMin || header > packet.size() || header > total || total > wire_bytes) return FrameKind::broken;
  if ((load_be<std::uint16_t>(packet.data() + 6) & 0x3fff) != 0) return FrameKind::fragment;
  if (byte_at(packet, 9) != kProtocolTcp) return FrameKind::other;
  segment.from.is_v6 = segment.to.is_v6 = false;
  std::memcpy(segment.from.ip.data(), packet.data() + 12, 4);
  std::memcpy(segment.to.ip.data(), packet.data() + 16, 4);
  // Ethernet pads short packets: what counts is the datagram's own length.
  return find_in_ip_payload(packet.first(std::min(total, packet.size())).subspan(header), total - header, segment);
}

FrameKind find_in_ipv6(Bytes packet, std::size_t wire_bytes, TcpSegment& segment) {
  constexpr std::size_t kHeader = 40;
  if (packet.size() < kHeader) return FrameKind::broken;
  std::size_t payload = load_be<std::uint16_t>(packet.data() + 4);
  if (payload == 0) payload = wire_bytes - kHeader;
  if (payload > wire_bytes - kHeader) return FrameKind::broken;
  segment.from.is_v6 = segment.to.is_v6 = true;
  std::memcpy(segment.from.ip.data(), packet.data() + 8, 16);
  std::memcpy(segment.to.ip.data(), packet.data() + 24, 16);
  std::uint8_t next = byte_at(packet, 6);
  Bytes rest = packet.subspan(kHeader);
  rest = rest.first(std::min(payload, rest.size()));
  // Extension headers.
  while (next != kProtocolTcp) {
    constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kAuthentication = 51, kDestination = 60;
    if (next != kHopByHop && next != kRouting && next != kFragment && next != kAuthentication && next != kDestination) {
      return FrameKind::other;
    }
    if (rest.size() < 8) return FrameKind::broken;
    std::size_t size = 8;
    if (next == kFragment) {
      if ((load_be<std::uint16_t>(rest.data() + 2) & 0xfff9) != 0) return FrameKind::fragment;
    } else if (next == kAuthentication) {
      size = (byte_at(rest, 1) + std::size_t{2}) * 4;
    } else {
      size = (byte_at(rest, 1) + std::size_t{1}) * 8;
    }
    next = byte_at(rest, 0);
    if (!drop(rest, size)) return FrameKind::broken;
    payload -= size;
  }
  return find_in_ip_payload(rest, payload, segment);
}

FrameKind find_in_ip(Bytes packet, std::size_t wire_bytes, TcpSegment& segment) {
  if (packet.empty()) return FrameKind::broken;
  switch (byte_at(packet, 0) >> 4) {
    case 4:
      return find_in_ipv4(packet, wire_bytes, segment);
    case 6:
      return find_in_ipv6(packet, wire_bytes, segment);
    default:
      return FrameKind::broken;
  }
}

// The bytes before the IP packet; 0 and `kind` when there is none.
std::size_t link_header_bytes(std::uint32_t link_type, Bytes frame, FrameKind& kind) {
  kind = FrameKind::broken;
  std::size_t size = 0;
  std::uint16_t ether_type = 0;
  switch (link_type) {
    case kLinkNull:
    case kLinkLoop:
      // An address family in some byte order; the version in the IP header tells more.
      return 4;
    case kLinkEthernet:
      size = 14;
      if (frame.size() < size) return 0;
      ether_type = load_be<std::uint16_t>(frame.data() + 12);
      while (ether_type == kEtherVlan || ether_type == kEtherVlanOuter) {
        if (frame.size() < size + 4) return 0;
        ether_type = load_be<std::uint16_t>(frame.data() + size + 2);
        size += 4;
      }
      break;
    case kLinkCooked:
      size = 16;
      if (frame.size() < size) return 0;
      ether_type = load_be<std::uint16_t>(frame.data() + 14);
      break;
    case kLinkCooked2:
      size = 20;
      if (frame.size() < size) return 0;
      ether_type = load_be<std::uint16_t>(frame.data());
      break;
    default:
      kind = FrameKind::unknown_link;
      return 0;
  }
  if (ether_type != kEtherIpv4 && ether_type != kEtherIpv6) {
    kind = FrameKind::other;
    return 0;
  }
  return size;
}

bool is_raw_ip(std::uint32_t link_type) {
  return link_type == kLinkRaw || link_type == kLinkRawOld || link_type == kLinkRawOpenBsd || link_type == kLinkIpv4 ||
         link_type == kLinkIpv6;
}

}  // namespace

std::string TcpEndpoint::to_string() const {
  char text[INET6_ADDRSTRLEN] = "?";
  inet_ntop(is_v6 ? AF_INET6 : AF_INET, ip.data(), text, sizeof(text));
  const std::string host = is_v6 ? "[" + std::string(text) + "]" : std::string(text);
  return host + ":" + std::to_string(port);
}

FrameKind find_tcp_segment(std::uint32_t link_type, Bytes frame, std::size_t wire_bytes, TcpSegment& segment) {
  segment = {};
  // A file that claims less on the wire than it holds is not to be believed.
  wire_bytes = std::max(wire_bytes, frame.size());
  if (!is_raw_ip(link_type)) {
    FrameKind kind;
    const std::size_t header = link_header_bytes(link_type, frame, kind);
    if (header == 0) return kind;
    if (!drop(frame, header)) return FrameKind::broken;
    wire_bytes -= header;
  }
  return find_in_ip(frame, wire_bytes, segment);
}

}  // namespace wayport::tools
