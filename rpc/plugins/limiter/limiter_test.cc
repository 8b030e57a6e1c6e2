// Limiters in virtual time: two session cores joined by byte queues. Whatever is answered is looked for in the output of
// the turn that read it.
#include "wayport/rpc/plugins/limiter/limiter.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/socket.h"
#include "wayport/framing/codec.h"
#include "wayport/rpc/session_core.h"
#include "wayport/rpc/testing/session_pair.h"

namespace wayport::rpc::plugins {
namespace {

using rpc::testing::End;
using rpc::testing::Pair;
using std::chrono::milliseconds;
using std::chrono::seconds;

void install(CallLimiter& limiter, End& end) {
  for (const std::unique_ptr<Route>& route : end.router.all()) {
    auto hooks = std::make_unique<RouteHooks>();
    hooks->guards.push_back(&limiter);
    route->hooks = std::move(hooks);
  }
  auto hooks = std::make_unique<PeerHooks>();
  hooks->unrouted.guards.push_back(&limiter);
  end.router.set_hooks(std::move(hooks));
}

std::uint64_t count(const LimiterCounts& counts, Refusal refusal) {
  return counts.refused[static_cast<std::size_t>(refusal)];
}

// A host whose clock handlers can move while the turn's time stands, as that of a loop.
class SlowHost final : public SessionHost {
 public:
  TimePoint now() const noexcept override { return turn_; }
  TimePoint exact_now() const noexcept override { return exact_; }
  void arm(Timer&, TimePoint) override {}
  void flush_soon() override {}
  std::size_t unsent() const noexcept override { return 0; }
  void set_reading(bool) override {}
  void peer_drains() override {}
  void close_stream(const CloseReason&, Duration) override {}
  std::shared_ptr<void> keep_alive() override { return nullptr; }
  void handlers_finished() override {}
  std::string peer_name() const override { return "mem://peer"; }

  void work(Duration time) { exact_ += time; }
  void begin_turn() { turn_ = exact_; }

 private:
  TimePoint turn_{std::chrono::hours(1)};
  TimePoint exact_{std::chrono::hours(1)};
};

struct SlowEnd {
  SlowEnd() : core(host, environment, std::make_shared<const SessionOptions>()) {}
  SlowHost host;
  framing::CodecRegistry codecs;
  framing::ProtocolContext context{codecs};
  RouterCore router;
  SessionCounters counters;
  MemoryLog log;
  LogLimit limit{1000, 1000};
  SessionEnvironment environment{context, router, counters, log, limit, limit};
  SessionCore core;
};

std::string pull_packet(int seq, const char* uri) {
  return rpc::testing::packet(
      R"({"seq":)" + std::to_string(seq) + R"(,"type":1,"uri":")" + uri + R"(","gzip":0,"status_code":0,"status":""})",
      "s");
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Sources by address need a session of a peer (limiter_peer_test.cc), so they have no limit here.
class CallLimiterTest : public ::testing::Test {
 protected:
  Pair pair;
  std::vector<std::unique_ptr<DeferredCall>> held;
  void hold_calls() {
    pair.right.on_pull("/later", [this](Call& call) { held.push_back(call.defer()); });
  }
};

TEST_F(CallLimiterTest, CallsInFlightAreBoundedAndTheRestGets503AtOnce) {
  CallLimiter limiter({.total = {.at_once = 2}, .per_source = {}});
  hold_calls();
  install(limiter, pair.right);
  for (int i = 0; i < 3; ++i) pair.left.pull("/later", "x");
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, code::kServiceUnavailable);
  EXPECT_EQ(pair.left.outcomes[0].status.text, "too many calls at once: more than 2; not executed, try again later");
  EXPECT_EQ(held.size(), 2u);
  EXPECT_EQ(limiter.counts().at_once, 2u);
  EXPECT_EQ(count(limiter.counts(), Refusal::total_at_once), 1u);
  held.clear();
  pair.left.pull("/later", "x");
  pair.drive();
  EXPECT_EQ(held.size(), 1u);
  EXPECT_EQ(limiter.counts().at_once, 1u);
  EXPECT_EQ(limiter.counts().admitted, 3u);
  held.clear();
}

TEST_F(CallLimiterTest, CallsPerSecondAreBoundedOverTime) {
  CallLimiter limiter({.total = {.per_second = 1, .burst = 2}, .per_source = {}, .turn_budget = {}});
  pair.right.on_pull("/echo", rpc::testing::echo);
  install(limiter, pair.right);
  for (int i = 0; i < 3; ++i) pair.left.pull("/echo", "x");
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 3u);
  EXPECT_TRUE(pair.left.outcomes[1].replied);
  EXPECT_EQ(pair.left.outcomes[2].status.code, code::kServiceUnavailable);
  pair.advance(seconds(1));
  pair.left.pull("/echo", "x");
  pair.drive();
  EXPECT_TRUE(pair.left.outcomes[3].replied);
  EXPECT_EQ(count(limiter.counts(), Refusal::total_per_second), 1u);
}

TEST_F(CallLimiterTest, SourcesHaveLimitsOfTheirOwn) {
  CallLimiter limiter({.per_source = {.at_once = 1}, .source_of = [](const Call& call) {
                         return SourceKey{0, static_cast<std::uint64_t>(call.raw_query().front())};
                       }});
  hold_calls();
  install(limiter, pair.right);
  for (const char* const uri : {"/later?a", "/later?a", "/later?b"}) pair.left.pull(uri, "x");
  pair.drive();
  EXPECT_EQ(held.size(), 2u);
  EXPECT_EQ(count(limiter.counts(), Refusal::source_at_once), 1u);
  EXPECT_EQ(limiter.counts().sources, 2u);
  held.clear();
  EXPECT_EQ(limiter.counts().sources, 0u);
}

TEST_F(CallLimiterTest, PushesOverALimitAreDroppedAndCounted) {
  CallLimiter limiter({.total = {.per_second = 1, .burst = 1}, .per_source = {}});
  int handled = 0;
  pair.right.on_push("/note", [&](Call&) { ++handled; });
  install(limiter, pair.right);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pair.left.push("/note", "x").has_value());
  pair.drive();
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(limiter.counts().pushes_dropped, 2u);
  EXPECT_EQ(limiter.counts().refused_count(), 2u);
  EXPECT_FALSE(pair.left.closed);
}

TEST_F(CallLimiterTest, PushesMayBeLeftAlone) {
  CallLimiter limiter({.total = {.per_second = 1, .burst = 1}, .per_source = {}, .limit_pushes = false});
  int handled = 0;
  pair.right.on_push("/note", [&](Call&) { ++handled; });
  install(limiter, pair.right);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pair.left.push("/note", "x").has_value());
  pair.drive();
  EXPECT_EQ(handled, 3);
  EXPECT_EQ(limiter.counts().refused_count(), 0u);
  EXPECT_EQ(limiter.counts().at_once, 0u);
}

TEST_F(CallLimiterTest, PushesThatGoOnWithWhatWasAdmittedPass) {
  CallLimiter limiter({.total = {.per_second = 1, .burst = 1}, .per_source = {}});
  int handled = 0;
  pair.right.on_push("/data", [&](Call&) { ++handled; });
  pair.right.router.all().back()->continuation = true;
  install(limiter, pair.right);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pair.left.push("/data", "x").has_value());
  pair.drive();
  EXPECT_EQ(handled, 3);
  EXPECT_EQ(limiter.counts().refused_count(), 0u);
  EXPECT_EQ(limiter.counts().at_once, 0u);
}

TEST_F(CallLimiterTest, WhatHasNoRouteIsLimitedToo) {
  CallLimiter limiter({.total = {.per_second = 1, .burst = 1}, .per_source = {}});
  install(limiter, pair.right);
  for (int i = 0; i < 2; ++i) pair.left.pull("/nowhere");
  pair.drive();
  EXPECT_EQ(pair.left.outcomes[0].status.code, code::kNotFound);
  EXPECT_EQ(pair.left.outcomes[1].status.code, code::kServiceUnavailable);
}

// Goal: what the turn has no time for is refused in that turn. Method: ten pulls in one read; each handler takes 3 ms of
// a budget of 10; the output is taken at the end of the same read.
TEST(TurnBudget, TheRestOfTheBatchGets503InTheTurnThatReadIt) {
  SlowEnd end;
  CallLimiter limiter({.per_source = {}, .turn_budget = milliseconds(10)});
  auto& route = end.router.add(Call::Kind::pull, "/work", std::make_shared<rpc::testing::Function>([&](Call& call) {
                                 end.host.work(milliseconds(3));
                                 rpc::testing::reply_text(call, "done");
                               }));
  auto hooks = std::make_unique<RouteHooks>();
  hooks->guards.push_back(&limiter);
  route.hooks = std::move(hooks);
  end.core.handle_open();

  std::string batch;
  for (int i = 0; i < 10; ++i) batch += pull_packet(i, "/work");
  EXPECT_EQ(end.core.handle_bytes(as_bytes(batch)), batch.size());
  const std::string replies = end.core.flush().to_string();
  EXPECT_EQ(occurrences(replies, "done"), 4u);  // after three, 9 ms had passed
  EXPECT_EQ(occurrences(replies, "overloaded: handlers took more than turn_budget 10ms"), 6u);
  EXPECT_EQ(count(limiter.counts(), Refusal::turn_budget), 6u);

  // The next turn begins with its whole budget.
  end.host.begin_turn();
  const std::string one = pull_packet(10, "/work");
  EXPECT_EQ(end.core.handle_bytes(as_bytes(one)), one.size());
  EXPECT_EQ(occurrences(end.core.flush().to_string(), "done"), 1u);
}

TEST(TurnBudget, ExactlyTheBudgetIsWithinItAndOneNanosecondMoreIsNot) {
  for (const auto& [time, answer] : {std::pair(Duration(milliseconds(10)), "done"),
                                     std::pair(Duration(milliseconds(10)) + Duration(1), "overloaded")}) {
    SlowEnd end;
    CallLimiter limiter({.per_source = {}, .turn_budget = milliseconds(10)});
    auto& route = end.router.add(Call::Kind::pull, "/work", std::make_shared<rpc::testing::Function>([](Call& call) {
                                   rpc::testing::reply_text(call, "done");
                                 }));
    auto hooks = std::make_unique<RouteHooks>();
    hooks->guards.push_back(&limiter);
    route.hooks = std::move(hooks);
    end.core.handle_open();
    end.host.work(time);
    const std::string one = pull_packet(0, "/work");
    end.core.handle_bytes(as_bytes(one));
    EXPECT_EQ(occurrences(end.core.flush().to_string(), answer), 1u) << answer;
  }
}

// --- connections ---

transport::PeerInfo from(const char* ip) {
  transport::PeerInfo peer;
  peer.remote = *SocketAddress::from_ip(ip, 1234);
  return peer;
}

TEST(SourceOfAddress, IsTheIpv4AddressTheIpv6NetworkOrTheUser) {
  EXPECT_EQ(source_of_address(from("10.0.0.1")), source_of_address(from("10.0.0.1")));
  EXPECT_NE(source_of_address(from("10.0.0.1")), source_of_address(from("10.0.0.2")));
  EXPECT_EQ(source_of_address(from("10.0.0.1")), source_of_address(from("::ffff:10.0.0.1")));
  EXPECT_EQ(source_of_address(from("2001:db8:1:2::1")), source_of_address(from("2001:db8:1:2:ffff::2")));
  EXPECT_NE(source_of_address(from("2001:db8:1:2::1")), source_of_address(from("2001:db8:1:3::1")));
  transport::PeerInfo anna;
  anna.unix_peer = transport::UnixPeer{.pid = 1, .uid = 1000, .gid = 1};
  transport::PeerInfo bert;
  bert.unix_peer = transport::UnixPeer{.pid = 1, .uid = 1001, .gid = 1};
  EXPECT_NE(source_of_address(anna), source_of_address(bert));
}

TEST(ConnectionLimiterTest, BoundsConnectionsInAllAndOfEachSource) {
  ConnectionLimiter limiter({.total = {.at_once = 3}, .per_source = {.at_once = 2}});
  const transport::PeerInfo anna = from("10.0.0.1");
  EXPECT_TRUE(limiter.begin_session(anna).ok());
  EXPECT_TRUE(limiter.begin_session(anna).ok());
  EXPECT_EQ(limiter.begin_session(anna).text, "too many connections of this source at once: more than 2");
  EXPECT_TRUE(limiter.begin_session(from("10.0.0.2")).ok());
  EXPECT_EQ(limiter.begin_session(from("10.0.0.3")).text, "too many connections at once: more than 3");
  limiter.end_session(anna);
  EXPECT_TRUE(limiter.begin_session(from("10.0.0.3")).ok());
  const LimiterCounts counts = limiter.counts();
  EXPECT_EQ(counts.at_once, 3u);
  EXPECT_EQ(counts.admitted, 4u);
  EXPECT_EQ(count(counts, Refusal::source_at_once), 1u);
  EXPECT_EQ(count(counts, Refusal::total_at_once), 1u);
}

TEST(ConnectionLimiterTest, BoundsNewConnectionsPerSecond) {
  ManualClock clock;
  ConnectionLimiter limiter({.per_source = {.per_second = 2, .burst = 1}}, &clock);
  EXPECT_TRUE(limiter.begin_session(from("10.0.0.1")).ok());
  EXPECT_EQ(limiter.begin_session(from("10.0.0.1")).text,
            "too many connections of this source: more than 2 per second");
  EXPECT_TRUE(limiter.begin_session(from("10.0.0.2")).ok());
  clock.advance(milliseconds(500));
  EXPECT_TRUE(limiter.begin_session(from("10.0.0.1")).ok());
}

}  // namespace
}  // namespace wayport::rpc::plugins
