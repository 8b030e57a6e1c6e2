#include "wayport/framing/base64.h"

#include <array>
#include <cstdint>

namespace wayport::framing {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr auto kValues = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kDigits.size(); ++i)
    values[static_cast<unsigned char>(kDigits[i])] = static_cast<std::int8_t>(i);
  return values;
}();

}  // namespace

char* write_base64(char* to, Bytes from) noexcept {
  const auto digit = [](std::uint32_t bits) { return kDigits[bits & 63]; };
  while (from.size() >= 3) {
    const std::uint32_t bits = static_cast<std::uint32_t>(from[0]) << 16 | static_cast<std::uint32_t>(from[1]) << 8 |
                               static_cast<std::uint32_t>(from[2]);
    *to++ = digit(bits >> 18);
    *to++ = digit(bits >> 12);
    *to++ = digit(bits >> 6);
    *to++ = digit(bits);
    from = from.subspan(3);
  }
  if (!from.empty()) {
    std::uint32_t bits = static_cast<std::uint32_t>(from[0]) << 16;
    if (from.size() == 2) bits |= static_cast<std::uint32_t>(from[1]) << 8;
    *to++ = digit(bits >> 18);
    *to++ = digit(bits >> 12);
    *to++ = from.size() == 2 ? digit(bits >> 6) : '=';
    *to++ = '=';
  }
  return to;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  int bit_count = 0;
  for (const char c : text) {
    const std::int8_t value = kValues[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      out.push_back(static_cast<char>(bits >> bit_count & 0xff));
    }
  }
  if ((bits & ((1u << bit_count) - 1)) != 0) return std::nullopt;
  return out;
}

}  // namespace wayport::framing
