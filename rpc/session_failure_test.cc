// Bad input and failure in bulk: whatever happens, each pull has exactly one outcome, and the session lives if it can.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "wayport/rpc/testing/session_pair.h"

namespace wayport::rpc {
namespace {

using testing::packet;
using testing::Pair;

TEST(SessionFailure, TenThousandCallsBeyondTheLimitEachHaveOneOutcome) {
  constexpr std::size_t kLimit = 100;
  constexpr std::size_t kBeyond = 10'000;
  SessionOptions options;
  options.calls_max = kLimit;
  Pair pair(options);
  pair.right.on_pull("/echo", testing::echo);
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < kLimit + kBeyond; ++i) accepted += pair.left.pull("/echo", "x").has_value() ? 1 : 0;
  EXPECT_EQ(accepted, kLimit);
  EXPECT_TRUE(pair.left.outcomes.empty());  // never from inside the call
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), kLimit + kBeyond);
  std::size_t replied = 0;
  std::size_t refused = 0;
  for (const testing::Outcome& outcome : pair.left.outcomes) {
    replied += outcome.replied ? 1 : 0;
    if (outcome.replied) continue;
    ++refused;
    EXPECT_EQ(outcome.status.code, code::kServiceUnavailable);
    EXPECT_TRUE(outcome.status.never_executed);
  }
  EXPECT_EQ(replied, kLimit);
  EXPECT_EQ(refused, kBeyond);
  EXPECT_EQ(pair.left.counters.calls_refused.read(), kBeyond);
  // And the session is as good as before.
  pair.left.outcomes.clear();
  pair.left.pull("/echo", "after");
  pair.drive();
  EXPECT_EQ(pair.left.outcomes.at(0).text, "echo:after");
}

TEST(SessionFailure, TenThousandPullsBeyondTheHandlersBoundAreEachAnswered) {
  SessionOptions server;
  server.handlers_max = 10;
  Pair pair({}, server);
  std::vector<std::unique_ptr<DeferredCall>> held;
  pair.right.on_pull("/hold", [&held](Call& call) {
    if (auto deferred = call.defer()) held.push_back(std::move(deferred));
  });
  constexpr std::size_t kCalls = 10'010;
  for (std::size_t i = 0; i < kCalls; ++i) pair.left.pull("/hold", "x");
  pair.drive();
  EXPECT_EQ(held.size(), 10u);
  EXPECT_EQ(pair.left.outcomes.size(), kCalls - 10);
  EXPECT_TRUE(std::all_of(pair.left.outcomes.begin(), pair.left.outcomes.end(), [](const testing::Outcome& outcome) {
    return outcome.status.code == code::kServiceUnavailable && outcome.status.origin == Status::Origin::remote;
  }));
  for (auto& call : held) testing::reply_text(*call, "done");
  held.clear();
  pair.drive();
  EXPECT_EQ(pair.left.outcomes.size(), kCalls);
}

TEST(SessionFailure, AReplyForAnUnknownSeqIsCountedAndHurtsNobody) {
  Pair pair;
  pair.right.on_pull("/echo", testing::echo);
  pair.left.pull("/echo", "x");
  pair.left.receive(packet(R"({"seq":77,"type":2,"uri":"/echo","status_code":200})", "s\"forged\""));
  EXPECT_TRUE(pair.left.outcomes.empty());
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].text, "echo:x");
  // A second reply to a pull that has ended is unknown, too.
  pair.left.receive(packet(R"({"seq":0,"type":2,"uri":"/echo","status_code":200})", "stwice"));
  pair.drive();
  EXPECT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.counters.replies_unmatched.read(), 2u);
  EXPECT_EQ(pair.left.core().state(), SessionCore::State::open);
}

TEST(SessionFailure, APeerThatVanishesEndsEachOfManyOutstandingPullsOnce) {
  Pair pair;
  std::vector<std::unique_ptr<DeferredCall>> held;
  pair.right.on_pull("/hold", [&held](Call& call) { held.push_back(call.defer()); });
  for (int i = 0; i < 1000; ++i) pair.left.pull("/hold", "x");
  pair.drive();
  ASSERT_EQ(held.size(), 1000u);
  pair.left.core().handle_closed(CloseReason::peer(ErrorCode::io, "reset"));
  pair.drive();
  EXPECT_EQ(pair.left.outcomes.size(), 1000u);
  EXPECT_TRUE(std::all_of(pair.left.outcomes.begin(), pair.left.outcomes.end(), [](const testing::Outcome& outcome) {
    return outcome.status.code == code::kConnectionClosed && !outcome.status.never_executed;
  }));
  // And the other side's handlers may still answer into nothing.
  pair.right.core().handle_closed(CloseReason::peer(ErrorCode::io, "reset"));
  for (auto& call : held) testing::reply_text(*call, "late");
  held.clear();
  pair.drive();
  EXPECT_EQ(pair.left.outcomes.size(), 1000u);
  EXPECT_EQ(pair.right.counters.replies_dropped.read(), 1000u);
}

}  // namespace
}  // namespace wayport::rpc
