#include "wayport/tools/wayport/packets/hex_text.h"

#include <algorithm>

#include "wayport/base/bytes.h"

namespace wayport::tools {
namespace {

int digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
bool is_between_bytes(char c) noexcept { return std::string_view(" \t\r\n:,").contains(c); }

}  // namespace

Result<void> HexText::read(std::string_view text, std::string& to) {
  for (const char c : text) {
    const int value = digit(c);
    if (value >= 0) {
      if (high_ < 0) {
        high_ = value;
      } else {
        to += static_cast<char>(high_ << 4 | value);
        high_ = -1;
      }
    } else if (c == 'x' && high_ == 0) {
      high_ = -1;  // "0x"
    } else if (!is_between_bytes(c) || high_ >= 0) {
      return fail(ErrorCode::malformed, "'" + escape({&c, 1}) + "' at character " + std::to_string(offset_) +
                                            (high_ >= 0 ? " is inside a byte of two hex digits" : " is no hex digit"));
    }
    ++offset_;
  }
  return {};
}

Result<void> HexText::finish() const {
  if (high_ >= 0) return fail(ErrorCode::malformed, "the hex text ends with half a byte");
  return {};
}

bool looks_like_hex(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return digit(c) >= 0 || is_between_bytes(c) || c == 'x'; });
}

}  // namespace wayport::tools
