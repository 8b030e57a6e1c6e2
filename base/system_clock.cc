#include "wayport/base/system_clock.h"

#include <time.h>

namespace wayport {

TimePoint SystemClock::now() const noexcept {
  timespec at;
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return TimePoint(std::chrono::seconds(at.tv_sec) + std::chrono::nanoseconds(at.tv_nsec));
}

}  // namespace wayport
