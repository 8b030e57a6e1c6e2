// The extension between wayport ends: orderly close, reset, keep-alive (spec/kcp.md 8).
//
// Its messages are `wins` segments with a payload: kcp-go and ikcp take the window from them and skip the rest, so that
// even one that goes astray does nothing. No byte of it is sent before both ends are known to ask:
//
//   dialer asks     its clock (ts) starts at a number computed from the conv; nothing else on the wire changes
//   listener asks   it sees that number in the first push, and answers with `hello` and a random cookie
//   agreed          at the dialer by the hello; at the listener by any message that repeats the cookie
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "wayport/base/bytes.h"
#include "wayport/transport/kcp/segment.h"

namespace wayport::transport::kcp {

inline constexpr std::size_t kExtensionPayloadBytes = 16;

enum class ExtensionKind : std::uint8_t {
  hello = 1,      // listener: I ask, too; the cookie is new
  confirm = 2,    // dialer: heard
  ask_alive = 3,  // answer with alive
  alive = 4,
  close = 5,   // value: the number after my last segment; answered by closed
  closed = 6,  // value: repeated
  reset = 7,   // the session is over at once
};

struct ExtensionMessage {
  ExtensionKind kind = ExtensionKind::alive;
  std::uint32_t value = 0;
  std::uint64_t cookie = 0;
};

// payload: version 1 u8 | kind u8 | zero u16 | value u32 | cookie u64, with sn and ts of the segment holding a mark
// computed from the conv. `to` has kSegmentHeaderBytes + kExtensionPayloadBytes.
void write_extension(std::byte* to, Segment header, const ExtensionMessage& message) noexcept;
// nullopt: not ours, or a version or kind that we do not know.
std::optional<ExtensionMessage> read_extension(const Segment& segment) noexcept;

// Where the clock of a dialer that asks starts, and for how long after that a first push still counts as asking.
std::uint32_t asking_ts(std::uint32_t conv) noexcept;
inline constexpr std::uint32_t kAskingMs = 16384;
constexpr bool asks(std::uint32_t first_push_ts, std::uint32_t asking) noexcept {
  return first_push_ts - asking < kAskingMs;
}

}  // namespace wayport::transport::kcp
