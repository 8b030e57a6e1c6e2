#include "wayport/base/system_clock.h"

#include <gtest/gtest.h>

namespace wayport {
namespace {

TEST(SystemClock, NeverGoesBack) {
  const SystemClock clock;
  TimePoint last = clock.now();
  EXPECT_GT(last, TimePoint{});
  for (int i = 0; i < 1000; ++i) {
    const TimePoint next = clock.now();
    EXPECT_GE(next, last);
    last = next;
  }
}

}  // namespace
}  // namespace wayport
