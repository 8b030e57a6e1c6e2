// Utf8Check: whether bytes that come in pieces are UTF-8 (RFC 3629: shortest forms, no surrogates, up to U+10FFFF).
//
// Pure. A violation is found at the first byte that cannot be right, whatever the pieces.
#pragma once

#include <cstdint>

#include "wayport/base/bytes.h"

namespace wayport::transport::ws {

class Utf8Check {
 public:
  // False: not UTF-8; then false for ever, until reset().
  bool push(Bytes bytes) noexcept;
  // Nothing is missing at the end.
  bool complete() const noexcept { return missing_ == 0 && !failed_; }
  void reset() noexcept { *this = {}; }

 private:
  std::uint8_t missing_ = 0;  // continuation bytes still to come
  std::uint8_t low_ = 0x80;   // bounds of the next one
  std::uint8_t high_ = 0xbf;
  bool failed_ = false;
};

}  // namespace wayport::transport::ws
