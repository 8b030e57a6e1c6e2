#include "wayport/rpc/plugins/proxy/balance.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

namespace wayport::rpc {
namespace {

using std::chrono::seconds;

struct Set {
  explicit Set(std::vector<std::uint32_t> weights) : shares(weights.size()) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      all.push_back({true, weights[i], 0, hash_text("backend " + std::to_string(i)), &shares[i]});
    }
  }
  std::vector<std::int64_t> shares;
  std::vector<Candidate> all;
};

TEST(Balancer, RoundRobinGoesByWeightAndSpreadsEvenly) {
  Set set({3, 1});
  Balancer balancer(Balance::round_robin);
  std::string order;
  for (int i = 0; i < 8; ++i) order += static_cast<char>('a' + balancer.pick(set.all, 0));
  EXPECT_EQ(order, "aabaaaba");
  set.all[0].usable = false;
  EXPECT_EQ(balancer.pick(set.all, 0), 1u);
  set.all[1].usable = false;
  EXPECT_EQ(balancer.pick(set.all, 0), Balancer::kNone);
  EXPECT_EQ(balancer.pick({}, 0), Balancer::kNone);
}

TEST(Balancer, LeastOutstandingGoesByLoadPerWeightAndTakesTiesInTurn) {
  Set set({1, 1, 4});
  Balancer balancer(Balance::least_outstanding);
  EXPECT_EQ(balancer.pick(set.all, 0), 2u);
  set.all[2].outstanding = 4;
  EXPECT_NE(balancer.pick(set.all, 0), 2u);
  set.all[0].outstanding = 1;
  EXPECT_EQ(balancer.pick(set.all, 0), 1u);
  set.all[1].usable = false;
  EXPECT_EQ(balancer.pick(set.all, 0), 2u);  // 5/4 before 2/1
  Set same({1, 1, 1});
  std::map<std::size_t, int> taken;
  for (int i = 0; i < 30; ++i) ++taken[balancer.pick(same.all, 0)];
  EXPECT_EQ(taken, (std::map<std::size_t, int>{{0, 10}, {1, 10}, {2, 10}}));
}

TEST(Balancer, HashKeepsAKeyAndMovesOnlyTheShareOfWhoGoes) {
  constexpr std::uint64_t kKeys = 4000;
  Set set({1, 1, 2});
  Balancer balancer(Balance::hash);
  std::map<std::size_t, int> taken;
  std::vector<std::size_t> before;
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    before.push_back(balancer.pick(set.all, key));
    EXPECT_EQ(balancer.pick(set.all, key), before.back());
    ++taken[before.back()];
  }
  EXPECT_NEAR(taken[0], 1000, 150);
  EXPECT_NEAR(taken[2], 2000, 150);
  set.all[1].usable = false;
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    const std::size_t now = balancer.pick(set.all, key);
    EXPECT_NE(now, 1u);
    if (before[key] != 1) {
      EXPECT_EQ(now, before[key]) << key;
    }
  }
}

TEST(Balancer, HashOfTextIsTheSameInEveryRelease) {
  EXPECT_EQ(hash_text(""), hash_text(""));
  EXPECT_NE(hash_text("10.0.0.7"), hash_text("10.0.0.8"));
  EXPECT_EQ(hash_text("10.0.0.7"), 16564551324205764126u);
}

TEST(Health, FailuresInARowEjectWithBackOffAndOneTrialAtATimeReadmits) {
  HealthOptions options{.failures_max = 3, .ejection = {.min = seconds(1), .max = seconds(3), .jitter = 0}};
  Health health(options);
  TimePoint now{seconds(100)};
  EXPECT_FALSE(health.failed(now, 0));
  EXPECT_FALSE(health.failed(now, 0));
  health.answered();  // not in a row
  EXPECT_FALSE(health.failed(now, 0));
  EXPECT_FALSE(health.failed(now, 0));
  EXPECT_TRUE(health.usable(now, 5));
  EXPECT_TRUE(health.failed(now, 0));
  EXPECT_EQ(health.ejected_until(), now + seconds(1));
  EXPECT_FALSE(health.failed(now, 0));  // was under way
  EXPECT_FALSE(health.usable(now + seconds(1) - Duration(1), 0));
  now += seconds(1);
  EXPECT_TRUE(health.usable(now, 0));
  EXPECT_FALSE(health.usable(now, 1));  // the trial is under way
  EXPECT_TRUE(health.failed(now, 0));   // one is enough now
  EXPECT_EQ(health.ejected_until(), now + seconds(2));
  now += seconds(2);
  EXPECT_TRUE(health.failed(now, 0));
  EXPECT_EQ(health.ejected_until(), now + seconds(3));  // max
  now += seconds(3);
  health.answered();
  EXPECT_TRUE(health.usable(now, 7));
  EXPECT_FALSE(health.failed(now, 0));  // counts from the start again
}

TEST(Health, ZeroFailuresMaxNeverEjects) {
  Health health({.failures_max = 0});
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(health.failed(TimePoint{seconds(1)}, 0));
  EXPECT_TRUE(health.usable(TimePoint{seconds(1)}, 0));
}

TEST(Health, ChecksTakeOutAfterFallAndInAfterRise) {
  Health health({.fall = 3, .rise = 2});
  EXPECT_FALSE(health.checked(false));
  EXPECT_FALSE(health.checked(false));
  EXPECT_FALSE(health.checked(true));
  EXPECT_FALSE(health.checked(false));
  EXPECT_FALSE(health.checked(false));
  EXPECT_FALSE(health.down());
  EXPECT_TRUE(health.checked(false));
  EXPECT_TRUE(health.down());
  EXPECT_FALSE(health.usable(TimePoint{seconds(1)}, 0));
  EXPECT_FALSE(health.checked(true));
  EXPECT_FALSE(health.checked(false));
  EXPECT_FALSE(health.checked(true));
  EXPECT_TRUE(health.checked(true));
  EXPECT_TRUE(health.usable(TimePoint{seconds(1)}, 0));
}

}  // namespace
}  // namespace wayport::rpc
