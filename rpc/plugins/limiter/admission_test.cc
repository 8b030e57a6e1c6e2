#include "wayport/rpc/plugins/limiter/admission.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <vector>

namespace wayport::rpc::plugins {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Verdict = Admission::Verdict;

constexpr SourceSeeds kSeeds{0x1234567890abcdef, 0xfedcba0987654321};
constexpr SourceKey kAnna{4, 1};
constexpr SourceKey kBert{4, 2};

class AdmissionTest : public ::testing::Test {
 protected:
  TimePoint now{std::chrono::hours(1)};
};

TEST_F(AdmissionTest, TakesAsManyAtOnceAsTheTotalSaysAndNotOneMore) {
  Admission admission({.at_once = 2}, {}, 8, kSeeds);
  EXPECT_FALSE(admission.limits_sources());
  EXPECT_EQ(admission.enter({}, now), Verdict::admitted);
  EXPECT_EQ(admission.enter({}, now), Verdict::admitted);
  EXPECT_EQ(admission.enter({}, now), Verdict::total_at_once);
  EXPECT_EQ(admission.inside(), 2u);
  admission.leave({});
  EXPECT_EQ(admission.enter({}, now), Verdict::admitted);
}

TEST_F(AdmissionTest, TakesAsManyAtOnceFromASourceAsItSaysAndOthersStill) {
  Admission admission({}, {.at_once = 2}, 8, kSeeds);
  EXPECT_EQ(admission.enter(kAnna, now), Verdict::admitted);
  EXPECT_EQ(admission.enter(kAnna, now), Verdict::admitted);
  EXPECT_EQ(admission.enter(kAnna, now), Verdict::source_at_once);
  EXPECT_EQ(admission.enter(kBert, now), Verdict::admitted);
  EXPECT_EQ(admission.sources(), 2u);
  admission.leave(kAnna);
  EXPECT_EQ(admission.enter(kAnna, now), Verdict::admitted);
}

TEST_F(AdmissionTest, ARateAllowsItsBurstAndThenOnePerInterval) {
  Admission admission({.per_second = 10, .burst = 3}, {}, 8, kSeeds);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(admission.enter({}, now), Verdict::admitted) << i;
  EXPECT_EQ(admission.enter({}, now), Verdict::total_per_second);
  now += milliseconds(99);
  EXPECT_EQ(admission.enter({}, now), Verdict::total_per_second);
  now += milliseconds(1);
  EXPECT_EQ(admission.enter({}, now), Verdict::admitted);
  EXPECT_EQ(admission.enter({}, now), Verdict::total_per_second);
  now += seconds(100);  // and no more than the burst is saved up
  for (int i = 0; i < 3; ++i) EXPECT_EQ(admission.enter({}, now), Verdict::admitted) << i;
  EXPECT_EQ(admission.enter({}, now), Verdict::total_per_second);
}

TEST_F(AdmissionTest, ABurstIsWhatComesIn100MsUnlessGiven) {
  Admission many({.per_second = 100}, {}, 8, kSeeds);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(many.enter({}, now), Verdict::admitted) << i;
  EXPECT_EQ(many.enter({}, now), Verdict::total_per_second);
  Admission few({.per_second = 0.5}, {}, 8, kSeeds);
  EXPECT_EQ(few.enter({}, now), Verdict::admitted);
  EXPECT_EQ(few.enter({}, now), Verdict::total_per_second);
}

TEST_F(AdmissionTest, TheRateOfASourceIsItsOwnAndIsNotForgottenWhenItLeaves) {
  Admission admission({}, {.per_second = 1, .burst = 2}, 8, kSeeds);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(admission.enter(kAnna, now), Verdict::admitted);
    admission.leave(kAnna);
  }
  EXPECT_EQ(admission.sources(), 0u);
  EXPECT_EQ(admission.enter(kAnna, now), Verdict::source_per_second);
  EXPECT_EQ(admission.enter(kBert, now), Verdict::admitted);
}

TEST_F(AdmissionTest, WhoIsRefusedByTheTotalLeavesNothingBehind) {
  Admission admission({.at_once = 1}, {.at_once = 5}, 8, kSeeds);
  EXPECT_EQ(admission.enter(kAnna, now), Verdict::admitted);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(admission.enter(kBert, now), Verdict::total_at_once);
  EXPECT_EQ(admission.sources(), 1u);
  EXPECT_EQ(admission.inside(), 1u);
}

// The table has one set of eight places here, whatever the seed.
TEST_F(AdmissionTest, ATableThatIsFullAdmitsUntrackedAndOnlyThen) {
  Admission admission({}, {.at_once = 1}, 8, kSeeds);
  for (std::uint64_t i = 0; i < 8; ++i) EXPECT_EQ(admission.enter({6, i}, now), Verdict::admitted) << i;
  EXPECT_EQ(admission.enter({6, 8}, now), Verdict::untracked);
  EXPECT_EQ(admission.enter({6, 0}, now), Verdict::source_at_once);
  admission.leave({6, 8});  // which takes no other's place away
  EXPECT_EQ(admission.sources(), 8u);
  EXPECT_EQ(admission.inside(), 8u);
  admission.leave({6, 3});
  EXPECT_EQ(admission.enter({6, 9}, now), Verdict::admitted);
}

TEST_F(AdmissionTest, APlaceWhoseBucketIsNotFullIsNotGivenAway) {
  Admission admission({}, {.per_second = 1, .burst = 1}, 8, kSeeds);
  for (std::uint64_t i = 0; i < 8; ++i) {
    EXPECT_EQ(admission.enter({6, i}, now), Verdict::admitted);
    admission.leave({6, i});
  }
  EXPECT_EQ(admission.enter({6, 8}, now), Verdict::untracked);
  admission.leave({6, 8});
  EXPECT_EQ(admission.enter({6, 0}, now), Verdict::source_per_second);
  now += seconds(1);
  EXPECT_EQ(admission.enter({6, 8}, now), Verdict::admitted);
}

TEST_F(AdmissionTest, ManySourcesFindAPlaceInATableOfTheirSize) {
  Admission admission({}, {.at_once = 1}, 4096, kSeeds);
  std::size_t untracked = 0;
  for (std::uint64_t i = 0; i < 1024; ++i) untracked += admission.enter({4, i}, now) == Verdict::untracked;
  EXPECT_LE(untracked, 8u);  // sets of 8 with 2 in the mean
  EXPECT_EQ(admission.sources(), 1024 - untracked);
}

TEST_F(AdmissionTest, RefusesLimitsThatMeanNothing) {
  EXPECT_THROW(Admission({.per_second = -1}, {}, 8, kSeeds), std::invalid_argument);
  EXPECT_THROW(Admission({}, {.per_second = 1, .burst = 0.5}, 8, kSeeds), std::invalid_argument);
}

// Goal: threads lose nothing and never exceed the total. Method: they enter and leave at will; the most that was ever
// inside is taken note of, and everybody leaves.
TEST_F(AdmissionTest, HoldsWithManyThreads) {
  Admission admission({.at_once = 3}, {.at_once = 2}, 8, kSeeds);
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::atomic<std::uint64_t> admitted{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20'000; ++i) {
        const SourceKey source{4, t % 2};
        if (admission.enter(source, now) != Verdict::admitted) continue;
        const int here = inside.fetch_add(1) + 1;
        int seen = most.load();
        while (seen < here && !most.compare_exchange_weak(seen, here)) {
        }
        admitted.fetch_add(1);
        inside.fetch_sub(1);
        admission.leave(source);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(admitted.load(), 0u);
  EXPECT_LE(most.load(), 3);
  EXPECT_EQ(admission.inside(), 0u);
  EXPECT_EQ(admission.sources(), 0u);
}

}  // namespace
}  // namespace wayport::rpc::plugins
