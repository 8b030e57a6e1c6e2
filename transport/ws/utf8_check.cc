#include "wayport/transport/ws/utf8_check.h"

namespace wayport::transport::ws {

bool Utf8Check::push(Bytes bytes) noexcept {
  if (failed_) return false;
  std::size_t i = 0;
  while (i < bytes.size()) {
    if (missing_ == 0) {
      // Eight ASCII bytes at a time: what most text is.
      while (bytes.size() - i >= 8 && (load_le<std::uint64_t>(bytes.data() + i) & 0x8080808080808080u) == 0) i += 8;
      if (i == bytes.size()) break;
    }
    const auto byte = static_cast<std::uint8_t>(bytes[i++]);
    if (missing_ != 0) {
      if (byte < low_ || byte > high_) return !(failed_ = true);
      low_ = 0x80;
      high_ = 0xbf;
      --missing_;
      continue;
    }
    if (byte < 0x80) continue;
    if (byte >= 0xc2 && byte <= 0xdf) {
      missing_ = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
      missing_ = 2;
      if (byte == 0xe0) low_ = 0xa0;   // shorter forms exist
      if (byte == 0xed) high_ = 0x9f;  // surrogates
    } else if (byte >= 0xf0 && byte <= 0xf4) {
      missing_ = 3;
      if (byte == 0xf0) low_ = 0x90;
      if (byte == 0xf4) high_ = 0x8f;  // above U+10FFFF
    } else {
      return !(failed_ = true);
    }
  }
  return true;
}

}  // namespace wayport::transport::ws
