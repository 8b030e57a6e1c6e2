#include "wayport/base/counters.h"

#include <thread>

#include <gtest/gtest.h>

namespace wayport {
namespace {

TEST(Counters, AreReadByOtherThreadsWhileTheyGrow) {
  Counter counter;
  Gauge gauge;
  std::thread reader([&] {
    std::uint64_t last = 0;
    while (last < 1000) {
      const std::uint64_t next = counter.read();
      EXPECT_GE(next, last);
      last = next;
    }
  });
  for (int i = 0; i < 1000; ++i) {
    counter.add();
    gauge.add(2);
    gauge.add(-1);
  }
  reader.join();
  EXPECT_EQ(counter.read(), 1000u);
  EXPECT_EQ(gauge.read(), 1000);
  gauge.set(-5);
  EXPECT_EQ(gauge.read(), -5);
}

}  // namespace
}  // namespace wayport
