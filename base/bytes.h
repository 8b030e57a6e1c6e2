// Bytes on their way: views, endian loads and stores, varints, hex.
//
// Pure functions; nothing here allocates unless it returns a std::string.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace wayport {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline Bytes as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

namespace detail {
template <std::unsigned_integral T>
constexpr T swap_to(std::endian order, T value) noexcept {
  if (order == std::endian::native) return value;
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(value));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(value));
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(value));
  return value;
}
}  // namespace detail

// `from` needs sizeof(T) readable bytes, of any alignment.
template <std::unsigned_integral T>
T load_be(const std::byte* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return detail::swap_to(std::endian::big, value);
}
template <std::unsigned_integral T>
T load_le(const std::byte* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return detail::swap_to(std::endian::little, value);
}
// `to` needs sizeof(T) writable bytes, of any alignment.
template <std::unsigned_integral T>
void store_be(std::byte* to, T value) noexcept {
  value = detail::swap_to(std::endian::big, value);
  std::memcpy(to, &value, sizeof(T));
}
template <std::unsigned_integral T>
void store_le(std::byte* to, T value) noexcept {
  value = detail::swap_to(std::endian::little, value);
  std::memcpy(to, &value, sizeof(T));
}

// Base-128 varints as protobuf writes them: least significant group first, at most 10 bytes.
inline constexpr std::size_t kVarintBytesMax = 10;

constexpr std::size_t varint_size(std::uint64_t value) noexcept {
  return static_cast<std::size_t>((std::bit_width(value | 1) + 6) / 7);
}
// Writes varint_size(value) bytes; returns the end.
inline std::byte* store_varint(std::byte* to, std::uint64_t value) noexcept {
  while (value >= 0x80) {
    *to++ = static_cast<std::byte>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<std::byte>(value);
  return to;
}
struct Varint {
  std::uint64_t value;
  std::size_t size;  // bytes it took
};
// nullopt: `from` ends inside the varint, or it is longer than 10 bytes. Bits past the 64th are dropped, as protobuf
// does.
inline std::optional<Varint> load_varint(Bytes from) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < from.size() && i < kVarintBytesMax; ++i) {
    const auto group = static_cast<std::uint64_t>(from[i]);
    value |= (group & 0x7f) << (7 * i);
    if ((group & 0x80) == 0) return Varint{value, i + 1};
  }
  return std::nullopt;
}

// Lower-case hex without separators.
std::string to_hex(Bytes bytes);
// nullopt: odd length or a character that is no hex digit. Both letter cases are accepted.
std::optional<std::string> from_hex(std::string_view hex);

// Text that came from a peer, made safe for logs and terminals: control characters, quotes, backslashes and bytes that
// are no UTF-8 become \xNN; at most `bytes_max` input bytes are shown, then "...(+N bytes)".
std::string escape(std::string_view text, std::size_t bytes_max = 256);

}  // namespace wayport
