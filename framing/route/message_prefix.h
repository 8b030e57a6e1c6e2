// What a route gateway puts in front of each WebSocket message on its way to the backend (spec/route.md 1):
//
//     client -> gateway    one message, text or binary, of n bytes
//     gateway -> backend   u32 little endian n | the n bytes                an empty message is four zero bytes
//
// Only in this direction: what the backend sends goes to the client as it is. The prefix needs the whole length, so a
// fragmented message is collected first, up to the gateway's limit. Pure; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "wayport/base/bytes.h"

namespace wayport::route {

inline constexpr std::size_t kMessagePrefixBytes = 4;
inline constexpr std::uint32_t kMessageBytesMax = 1024 * 1024;  // of a message, unless configured; over it: close 1009

using MessagePrefix = std::array<std::byte, kMessagePrefixBytes>;

inline MessagePrefix message_prefix(std::uint32_t message_bytes) noexcept {
  MessagePrefix prefix;
  store_le(prefix.data(), message_bytes);
  return prefix;
}

}  // namespace wayport::route
