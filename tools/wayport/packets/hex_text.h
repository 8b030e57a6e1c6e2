// Hex digits as people paste them: blanks, line ends, colons, commas and "0x" between the bytes. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wayport/base/result.h"

namespace wayport::tools {

class HexText {
 public:
  // Appends the bytes of `text`, which may be cut anywhere, to `to`. malformed names the character and its place.
  Result<void> read(std::string_view text, std::string& to);
  // malformed: half a byte is left over.
  Result<void> finish() const;

 private:
  std::uint64_t offset_ = 0;
  int high_ = -1;  // the first digit of a byte
};

// True if `text` holds nothing else: how input without a stated form is recognised.
bool looks_like_hex(std::string_view text) noexcept;

}  // namespace wayport::tools
