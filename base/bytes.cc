#include "wayport/base/bytes.h"

#include <algorithm>

namespace wayport {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

struct CodePoint {
  char32_t value = 0;
  std::size_t size = 0;  // 0: no UTF-8
};

// The code point at the start of `text`: shortest form only, no surrogates, at most U+10FFFF.
CodePoint decode_utf8(std::string_view text) noexcept {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {first, 1};
  std::size_t size = 0;
  char32_t value = 0;
  char32_t minimum = 0;
  if (first >= 0xc2 && first <= 0xdf) {
    size = 2, value = first & 0x1f, minimum = 0x80;
  } else if ((first & 0xf0) == 0xe0) {
    size = 3, value = first & 0x0f, minimum = 0x800;
  } else if (first >= 0xf0 && first <= 0xf4) {
    size = 4, value = first & 0x07, minimum = 0x10000;
  }
  if (size == 0 || text.size() < size) return {};
  for (std::size_t i = 1; i < size; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    value = (value << 6) | (next & 0x3f);
  }
  if (value < minimum || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, size};
}

// What would steer a terminal, end a line, reorder text on a screen, or end our own quoting.
bool is_unsafe(char32_t c) noexcept {
  return c < 0x20 || c == '"' || c == '\\' || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200e && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

}  // namespace

std::string to_hex(Bytes bytes) {
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    hex += kDigits[static_cast<unsigned>(b) >> 4];
    hex += kDigits[static_cast<unsigned>(b) & 15];
  }
  return hex;
}

std::optional<std::string> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_value(hex[i]);
    const int low = hex_value(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

std::string escape(std::string_view text, std::size_t bytes_max) {
  std::string out;
  out.reserve(std::min(text.size(), bytes_max));
  std::size_t at = 0;
  while (at < text.size()) {
    const CodePoint point = decode_utf8(text.substr(at));
    const std::size_t size = point.size == 0 ? 1 : point.size;
    if (size > bytes_max - at) break;  // never cuts a code point
    if (point.size != 0 && !is_unsafe(point.value)) {
      out.append(text, at, size);
    } else {
      for (std::size_t i = at; i < at + size; ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        out += "\\x";
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
      }
    }
    at += size;
  }
  if (at < text.size()) out += "...(+" + std::to_string(text.size() - at) + " bytes)";
  return out;
}

}  // namespace wayport
