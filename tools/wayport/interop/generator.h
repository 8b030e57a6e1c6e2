// Generator: the bytes of integration/CONTRACT.md, the same in every language: xorshift with 32 bits of state. Not for
// anything that must not be guessed.
//
// Pure. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "wayport/base/bytes.h"

namespace wayport::tools::interop {

class Generator {
 public:
  explicit Generator(std::uint32_t seed) noexcept : state_(seed == 0 ? 1 : seed) {}

  std::uint32_t step() noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_;
  }
  std::uint8_t byte() noexcept { return static_cast<std::uint8_t>(step()); }
  // 0 to `length_max`, below 2^32.
  std::size_t length(std::size_t length_max) noexcept { return step() % (length_max + 1); }
  std::string bytes(std::size_t count);
  // Of letters a to z.
  std::string letters(std::size_t count);

 private:
  std::uint32_t state_;
};

}  // namespace wayport::tools::interop
