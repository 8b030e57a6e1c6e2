// Backoff: how long to wait before the next attempt. Doubles from `min` to `max`; a part of each delay is random, so that
// clients that lost the same server do not come back in the same moment.
//
// Core: the random numbers are the caller's. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>

#include "wayport/base/time.h"

namespace wayport::rpc {

struct BackoffOptions {
  Duration min = std::chrono::milliseconds(100);
  Duration max = std::chrono::seconds(30);
  double jitter = 0.5;  // part of a delay that is random, 0 to 1: the delay lies in [(1 - jitter) * d, d]
};

class Backoff {
 public:
  explicit Backoff(BackoffOptions options = {}) noexcept : options_(options) {
    options_.min = std::max(options_.min, Duration(1));
    options_.max = std::max(options_.max, options_.min);
    options_.jitter = std::clamp(options_.jitter, 0.0, 1.0);
    next_ = options_.min;
  }

  // The delay after one more failure. `random`: uniform over 64 bits.
  Duration next(std::uint64_t random) noexcept {
    const Duration whole = next_;
    next_ = next_ > options_.max / 2 ? options_.max : next_ * 2;
    const double part = options_.jitter * (static_cast<double>(random >> 11) / 9007199254740992.0);
    return whole - std::chrono::duration_cast<Duration>(whole * part);
  }
  // After a success.
  void reset() noexcept { next_ = options_.min; }

 private:
  BackoffOptions options_;
  Duration next_;
};

}  // namespace wayport::rpc
