// What a link does to packets in one direction, and how people write it: "delay=40ms jitter=5ms loss=2% rate=10Mbit".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/base/time.h"

namespace wayport::emulator {

// The defaults are a perfect link. Chances are from 0 to 1.
struct LinkOptions {
  Duration delay{0};
  Duration jitter{0};  // up to so much on top of the delay, evenly spread; packets stay in order

  double loss = 0;           // chance of each packet, independent of the others
  double burst_loss = 0;     // part of the packets that bursts take (Gilbert's model)
  double burst_packets = 8;  // mean length of a burst
  double duplicate = 0;      // chance of a second copy
  double corrupt = 0;        // chance that one bit, anywhere in the packet, is turned
  double reorder = 0;        // chance to be held back, so that later packets overtake
  Duration reorder_delay = std::chrono::milliseconds(10);

  std::uint64_t bits_per_second = 0;     // of the bottleneck; zero: there is none
  std::size_t queue_bytes = 256 * 1024;  // in front of it, with the packet being sent; what does not fit is dropped

  std::size_t held_bytes_max = 64 * 1024 * 1024;  // in the whole direction; what does not fit is dropped
  bool up = true;                                 // false: nothing passes, and what was under way is lost
};

inline constexpr Duration kDelayMax = std::chrono::hours(1);
inline constexpr std::uint64_t kBitsPerSecondMax = 1'000'000'000'000;
inline constexpr std::size_t kHeldBytesMax = std::size_t{4} << 30;

// invalid_argument names what is out of its bounds.
Result<void> check(const LinkOptions& options);

// `base` changed by words with blanks or commas between them, later words win:
//   delay=40ms jitter=5ms loss=2% burst=1%/8 duplicate=0.1% corrupt=0.01% reorder=1%/10ms
//   rate=10Mbit queue=64KiB held=8MiB up down
// A chance is written as 2% or 0.02; a rate in bit, kbit, Mbit or Gbit for a second, 0 for none; `perfect` puts all back to
// the defaults.
Result<LinkOptions> changed(const LinkOptions& base, std::string_view words);

// What differs from a perfect link, in words that changed() reads; "perfect" if nothing does.
std::string to_string(const LinkOptions& options);

}  // namespace wayport::emulator
