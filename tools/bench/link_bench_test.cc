#include "wayport/tools/bench/link_bench.h"

#include <gtest/gtest.h>

namespace wayport::tools {
namespace {

LinkResults good() {
  LinkResults results;
  results.frames.emplace();
  results.frames->answered = 10;
  results.frames->forwarded = 20;
  results.isolation.emplace();
  results.isolation->rounds.resize(2);
  results.isolation->flood = {.clients = 1, .virtuals = 8, .bytes = 1 << 24, .closed = 8, .strays = 30};
  results.isolation->counts = {{"closed_virtual_queue", 4}, {"closed_client_queue", 1}, {"closed_by_loss", 3}};
  results.dial.emplace();
  results.dial->dials = 7;
  results.dial->counts = {{"dials_accepted", 7}, {"closed_by_endpoint", 7}};
  results.idle.emplace();
  return results;
}

TEST(LinkResults, AreBelievedIfAllCountsAgree) {
  EXPECT_EQ(good().trouble(), "");
  EXPECT_EQ(LinkResults{}.trouble(), "");
  EXPECT_EQ(good().isolation->closed_slow(), 5u);
}

TEST(LinkResults, AreNotBelievedIfFramesAreMissing) {
  LinkResults results = good();
  results.frames->comparison.ours.failed = 1;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.frames->comparison.raw.wrong = 1;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.frames->surprises = 1;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.frames->forwarded = 19;
  EXPECT_NE(results.trouble(), "");
}

TEST(LinkResults, AreNotBelievedIfNobodyWasStuckOrOthersNoticed) {
  LinkResults results = good();
  results.isolation->counts = {{"closed_virtual_queue", 0}, {"closed_client_queue", 0}, {"closed_by_loss", 8}};
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.isolation->rounds[1].with.failed = 1;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.isolation->rounds[0].without.wrong = 1;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.isolation->surprises = 1;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.isolation->flood.closed = 7;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.isolation->counts["closed_by_loss"] = 2;
  EXPECT_NE(results.trouble(), "");
}

TEST(LinkResults, AreNotBelievedIfDialsAreMissing) {
  LinkResults results = good();
  results.dial->refused = 1;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.dial->surprises = 1;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.dial->counts["dials_accepted"] = 8;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.dial->counts["closed_by_endpoint"] = 6;
  EXPECT_NE(results.trouble(), "");
}

TEST(LinkMemoryBound, IsAllThatTheOptionsAllow) {
  // 4 MiB + 64 KiB for the one who is stuck, 8 MiB of free chunks for each loop.
  EXPECT_EQ(link_memory_bound(1).bytes(), (12u << 20) + (64u << 10));
  EXPECT_EQ(link_memory_bound(3).bytes(), (28u << 20) + (64u << 10));
}

}  // namespace
}  // namespace wayport::tools
