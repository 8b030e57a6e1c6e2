#include "wayport/transport/kcp/extension.h"

namespace wayport::transport::kcp {
namespace {

// splitmix64's finalizer: any fixed function that spreads the conv over all bits would do.
std::uint64_t spread(std::uint64_t value) noexcept {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}
std::uint64_t mark_of(std::uint32_t conv) noexcept { return spread(0x7761790000000000u | conv); }

}  // namespace

std::uint32_t asking_ts(std::uint32_t conv) noexcept {
  return static_cast<std::uint32_t>(spread(0x61736b0000000000u | conv));
}

void write_extension(std::byte* to, Segment header, const ExtensionMessage& message) noexcept {
  const std::uint64_t mark = mark_of(header.conv);
  header.cmd = kTellWindow;
  header.frg = 0;
  header.sn = static_cast<std::uint32_t>(mark);
  header.ts = static_cast<std::uint32_t>(mark >> 32);
  write_segment_header(to, header, kExtensionPayloadBytes);
  to += kSegmentHeaderBytes;
  to[0] = std::byte{1};
  to[1] = static_cast<std::byte>(message.kind);
  store_le(to + 2, std::uint16_t{0});
  store_le(to + 4, message.value);
  store_le(to + 8, message.cookie);
}

std::optional<ExtensionMessage> read_extension(const Segment& segment) noexcept {
  const std::uint64_t mark = mark_of(segment.conv);
  if (segment.cmd != kTellWindow || segment.payload.size() != kExtensionPayloadBytes ||
      segment.sn != static_cast<std::uint32_t>(mark) || segment.ts != static_cast<std::uint32_t>(mark >> 32))
    return std::nullopt;
  const std::byte* const from = segment.payload.data();
  const auto kind = static_cast<std::uint8_t>(from[1]);
  if (from[0] != std::byte{1} || kind < 1 || kind > 7) return std::nullopt;
  return ExtensionMessage{static_cast<ExtensionKind>(kind), load_le<std::uint32_t>(from + 4),
                          load_le<std::uint64_t>(from + 8)};
}

}  // namespace wayport::transport::kcp
