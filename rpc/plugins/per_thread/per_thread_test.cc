#include "wayport/rpc/plugins/per_thread/per_thread.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "wayport/base/counters.h"

namespace wayport::rpc::plugins {
namespace {

std::uint64_t sum_of(const PerThread<Counter>& counters) {
  std::uint64_t sum = 0;
  counters.for_each([&](const Counter& counter) { sum += counter.read(); });
  return sum;
}

TEST(PerThread, SumsUpWhatEachThreadCounted) {
  PerThread<Counter> counters;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) counters.local().add();
    });
  }
  EXPECT_LE(sum_of(counters), 4000u);  // while they count
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum_of(counters), 4000u);
}

TEST(PerThread, GivesAThreadTheSameObjectAgain) {
  PerThread<Counter> a;
  PerThread<Counter> b;
  Counter* const first = &a.local();
  EXPECT_NE(static_cast<void*>(first), static_cast<void*>(&b.local()));
  EXPECT_EQ(&a.local(), first);
}

TEST(PerThread, DoesNotGiveWhatAnEarlierOneLeftInTheSameSlot) {
  std::optional<PerThread<Counter>> counters(std::in_place);
  counters->local().add(7);
  counters.emplace();
  EXPECT_EQ(counters->local().read(), 0u);
}

}  // namespace
}  // namespace wayport::rpc::plugins
