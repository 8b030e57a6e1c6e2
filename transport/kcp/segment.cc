#include "wayport/transport/kcp/segment.h"

namespace wayport::transport::kcp {

void write_segment_header(std::byte* to, const Segment& segment, std::size_t payload_bytes) noexcept {
  store_le(to, segment.conv);
  to[4] = static_cast<std::byte>(segment.cmd);
  to[5] = static_cast<std::byte>(segment.frg);
  store_le(to + 6, segment.wnd);
  store_le(to + 8, segment.ts);
  store_le(to + 12, segment.sn);
  store_le(to + 16, segment.una);
  store_le(to + 20, static_cast<std::uint32_t>(payload_bytes));
}

std::optional<Segment> SegmentReader::next() noexcept {
  if (end_ != ParseEnd::whole || rest_.size() < kSegmentHeaderBytes) return std::nullopt;
  const std::byte* const from = rest_.data();
  Segment segment;
  segment.conv = load_le<std::uint32_t>(from);
  if (segment.conv != conv_) {
    end_ = ParseEnd::wrong_conv;
    return std::nullopt;
  }
  segment.cmd = static_cast<std::uint8_t>(from[4]);
  segment.frg = static_cast<std::uint8_t>(from[5]);
  segment.wnd = load_le<std::uint16_t>(from + 6);
  segment.ts = load_le<std::uint32_t>(from + 8);
  segment.sn = load_le<std::uint32_t>(from + 12);
  segment.una = load_le<std::uint32_t>(from + 16);
  const auto length = load_le<std::uint32_t>(from + 20);
  rest_ = rest_.subspan(kSegmentHeaderBytes);
  if (length > rest_.size()) {
    end_ = ParseEnd::truncated;
    return std::nullopt;
  }
  if (segment.cmd < kPush || segment.cmd > kTellWindow) {
    end_ = ParseEnd::unknown_command;
    return std::nullopt;
  }
  segment.payload = rest_.first(length);
  rest_ = rest_.subspan(length);
  return segment;
}

}  // namespace wayport::transport::kcp
