#include "wayport/rpc/pool/backoff.h"

#include <gtest/gtest.h>

#include <limits>

namespace wayport::rpc {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kLongest = 0;
constexpr std::uint64_t kShortest = std::numeric_limits<std::uint64_t>::max();

TEST(Backoff, DoublesFromMinToMaxAndStartsAgainAfterASuccess) {
  Backoff backoff({.min = milliseconds(100), .max = milliseconds(500), .jitter = 0.5});
  for (const int expected : {100, 200, 400, 500, 500}) EXPECT_EQ(backoff.next(kLongest), milliseconds(expected));
  backoff.reset();
  EXPECT_EQ(backoff.next(kLongest), milliseconds(100));
}

TEST(Backoff, JitterTakesAwayItsPartAndNoMore) {
  for (const double jitter : {0.0, 0.25, 1.0}) {
    Backoff backoff({.min = milliseconds(100), .max = milliseconds(100), .jitter = jitter});
    const Duration least = backoff.next(kShortest);
    EXPECT_NEAR(static_cast<double>(least.count()), 1e8 * (1 - jitter), 1e3) << jitter;
    EXPECT_EQ(backoff.next(kLongest), milliseconds(100)) << jitter;
  }
}

TEST(Backoff, OptionsThatCannotBeAreMadePossible) {
  Backoff reversed({.min = milliseconds(100), .max = milliseconds(10), .jitter = 7});
  EXPECT_EQ(reversed.next(kLongest), milliseconds(100));
  EXPECT_GE(reversed.next(kShortest), Duration::zero());
  Backoff zero({.min = Duration::zero(), .max = Duration::zero(), .jitter = -1});
  EXPECT_GT(zero.next(kLongest), Duration::zero());
  Backoff endless({.min = milliseconds(100), .max = Duration::max(), .jitter = 0});
  for (int i = 0; i < 200; ++i) EXPECT_GT(endless.next(kLongest), Duration::zero());
}

}  // namespace
}  // namespace wayport::rpc
