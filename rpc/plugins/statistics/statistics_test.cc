// Statistics in virtual time: two session cores joined by byte queues.
#include "wayport/rpc/plugins/statistics/statistics.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "wayport/rpc/session_core.h"
#include "wayport/rpc/testing/session_pair.h"

namespace wayport::rpc::plugins {
namespace {

using rpc::testing::End;
using rpc::testing::Pair;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// What a peer does for a plugin when it starts.
void install(Statistics& statistics, End& end) {
  for (const std::unique_ptr<Route>& route : end.router.all()) {
    auto hooks = std::make_unique<RouteHooks>();
    hooks->guards.push_back(&statistics);
    route->hooks = std::move(hooks);
    if (end.router.find_exact(route->kind, route->path) != route.get()) continue;
    Registration registration(end.router, *route);
    ASSERT_TRUE(statistics.post_reg(registration).has_value());
  }
  auto hooks = std::make_unique<PeerHooks>();
  hooks->unrouted.guards.push_back(&statistics);
  hooks->pull_guards.push_back(&statistics);
  hooks->post_write_push.push_back(&statistics);
  end.router.set_hooks(std::move(hooks));
}

const CallStatistics& of(const std::vector<CallStatistics>& all, std::string_view name, bool push = false) {
  for (const CallStatistics& one : all) {
    if (one.name == name && one.push == push) return one;
  }
  ADD_FAILURE() << name << " is not there";
  static const CallStatistics kNone{false, {}, {}, 0, std::vector<std::uint64_t>(kLatencyBoundsMax + 1), {}};
  return kNone;
}

std::uint64_t count(const CallStatistics& one, CodeClass code_class) {
  return one.ended[static_cast<std::size_t>(code_class)];
}

class StatisticsTest : public ::testing::Test {
 protected:
  Pair pair;
  Statistics callee{{.latency_bounds = {milliseconds(1), milliseconds(10)}}};
  Statistics caller{{.latency_bounds = {milliseconds(1), milliseconds(10)}, .sent_paths_max = 2}};
  std::unique_ptr<DeferredCall> held;
};

TEST_F(StatisticsTest, CountsCallsPerRouteByCode) {
  pair.right.on_pull("/echo", rpc::testing::echo);
  pair.right.on_pull("/fails", [](Call& call) { call.fail(Status::make(1234, "mine")); });
  pair.right.on_pull("/throws", [](Call&) { throw std::runtime_error("x"); });
  pair.right.on_push("/note", [](Call&) {});
  install(callee, pair.right);
  for (const char* const uri : {"/echo", "/echo?a=1", "/fails", "/throws"}) pair.left.pull(uri, "x");
  ASSERT_TRUE(pair.left.push("/note", "x").has_value());
  pair.drive();
  const StatisticsSnapshot snapshot = callee.snapshot();
  EXPECT_EQ(count(of(snapshot.handled, "/echo"), CodeClass::ok), 2u);
  EXPECT_EQ(of(snapshot.handled, "/echo").ended_count(), 2u);
  EXPECT_EQ(count(of(snapshot.handled, "/fails"), CodeClass::application), 1u);
  EXPECT_EQ(count(of(snapshot.handled, "/throws"), CodeClass::callee), 1u);
  EXPECT_EQ(count(of(snapshot.handled, "/note", true), CodeClass::ok), 1u);
}

TEST_F(StatisticsTest, PathsWithoutARouteAreOneName) {
  install(callee, pair.right);
  for (const char* const uri : {"/a", "/b", "/c"}) pair.left.pull(uri);
  ASSERT_TRUE(pair.left.push("/d", "x").has_value());
  pair.drive();
  const StatisticsSnapshot snapshot = callee.snapshot();
  EXPECT_EQ(snapshot.handled.size(), 2u);
  EXPECT_EQ(count(of(snapshot.handled, kUnknownRoute), CodeClass::caller), 3u);
  EXPECT_EQ(of(snapshot.handled, kUnknownRoute, true).ended_count(), 1u);
}

TEST_F(StatisticsTest, WhatUnknownHandlersTakeIsOneNameToo) {
  pair.right.router.set_unknown(Call::Kind::pull, std::make_shared<rpc::testing::Function>(rpc::testing::echo));
  install(callee, pair.right);
  for (const char* const uri : {"/a", "/b"}) pair.left.pull(uri, "x");
  pair.drive();
  const StatisticsSnapshot snapshot = callee.snapshot();
  EXPECT_EQ(snapshot.handled.size(), 2u);
  EXPECT_EQ(count(of(snapshot.handled, kUnknownRoute), CodeClass::ok), 2u);
}

TEST_F(StatisticsTest, ACallIsInFlightUntilItIsAnsweredAndItsTimeIsKnownThen) {
  pair.right.on_pull("/later", [this](Call& call) { held = call.defer(); });
  install(callee, pair.right);
  install(caller, pair.left);
  pair.left.pull("/later", "x");
  pair.drive();
  EXPECT_EQ(of(callee.snapshot().handled, "/later").in_flight, 1);
  EXPECT_EQ(of(caller.snapshot().made, "/later").in_flight, 1);
  EXPECT_EQ(of(callee.snapshot().handled, "/later").ended_count(), 0u);
  pair.advance(milliseconds(5));
  held->reply_empty();
  held.reset();
  pair.drive();
  for (const CallStatistics& one : {of(callee.snapshot().handled, "/later"), of(caller.snapshot().made, "/later")}) {
    EXPECT_EQ(one.in_flight, 0);
    EXPECT_EQ(count(one, CodeClass::ok), 1u);
    EXPECT_EQ(one.time, milliseconds(5));
    EXPECT_EQ(one.buckets, (std::vector<std::uint64_t>{0, 1, 0}));
  }
}

TEST_F(StatisticsTest, ATimeOnABoundIsBelowItAndALongOneIsInTheLastBucket) {
  pair.right.on_pull("/later", [this](Call& call) { held = call.defer(); });
  install(callee, pair.right);
  for (const Duration time :
       {Duration(milliseconds(1)), Duration(milliseconds(1)) + Duration(1), Duration(seconds(1))}) {
    pair.left.pull("/later", "x");
    pair.drive();
    pair.advance(time);
    held.reset();
    pair.drive();
  }
  EXPECT_EQ(of(callee.snapshot().handled, "/later").buckets, (std::vector<std::uint64_t>{1, 1, 1}));
}

TEST_F(StatisticsTest, APullThatFailsHereEndsOnceWithItsLocalCode) {
  pair.right.on_pull("/later", [this](Call& call) { held = call.defer(); });
  install(caller, pair.left);
  pair.left.pull("/later", "x", milliseconds(20));  // times out
  pair.drive();
  pair.advance(milliseconds(30));
  held.reset();  // whose reply comes too late
  pair.drive();
  const std::optional<std::uint64_t> seq = pair.left.pull("/later", "x");
  pair.drive();
  pair.left.core().cancel(*seq);
  pair.left.pull("/later", "x");
  pair.drive();
  pair.left.core().abort(CloseReason::local(ErrorCode::local_closed, "test"));  // the session ends
  pair.drive();
  const CallStatistics one = of(caller.snapshot().made, "/later");
  EXPECT_EQ(count(one, CodeClass::callee), 1u);      // 504
  EXPECT_EQ(count(one, CodeClass::caller), 1u);      // 499
  EXPECT_EQ(count(one, CodeClass::connection), 1u);  // 101
  EXPECT_EQ(one.ended_count(), 3u);
  EXPECT_EQ(one.in_flight, 0);
  EXPECT_EQ(pair.left.outcomes.size(), 3u);
  held.reset();
}

TEST_F(StatisticsTest, APullThatNeverLeftIsNotCounted) {
  install(caller, pair.left);
  pair.left.core().close(CloseReason::local(ErrorCode::local_closed, "test"));
  pair.left.pull("/echo", "x");
  pair.drive();
  EXPECT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_TRUE(caller.snapshot().made.empty());
}

TEST_F(StatisticsTest, SentPathsAreToldApartUpToTheBound) {
  install(caller, pair.left);
  for (const char* const uri : {"/a?x=1", "/b", "/a?x=2", "/c", "/d"}) pair.left.pull(uri);
  ASSERT_TRUE(pair.left.push("/b", "x").has_value());
  ASSERT_TRUE(pair.left.push("/e", "x").has_value());
  pair.drive();
  const StatisticsSnapshot snapshot = caller.snapshot();
  EXPECT_EQ(snapshot.made.size(), 3u);
  EXPECT_EQ(count(of(snapshot.made, "/a"), CodeClass::caller), 2u);
  EXPECT_EQ(of(snapshot.made, "/b").ended_count(), 1u);
  EXPECT_EQ(of(snapshot.made, kOtherPaths).ended_count(), 2u);
  EXPECT_EQ(snapshot.pushed.size(), 2u);
  EXPECT_EQ(of(snapshot.pushed, "/b", true).ended_count(), 1u);
  EXPECT_EQ(of(snapshot.pushed, kOtherPaths, true).ended_count(), 1u);
}

TEST_F(StatisticsTest, AVeryLongPathIsOneOfTheOthers) {
  install(caller, pair.left);
  pair.left.pull("/" + std::string(kSentPathBytesMax - 1, 'a'));
  pair.left.pull("/" + std::string(kSentPathBytesMax, 'b'));
  pair.drive();
  const StatisticsSnapshot snapshot = caller.snapshot();
  EXPECT_EQ(snapshot.made.size(), 2u);
  EXPECT_EQ(of(snapshot.made, kOtherPaths).ended_count(), 1u);
}

TEST_F(StatisticsTest, CodesHaveClasses) {
  EXPECT_EQ(class_of(200), CodeClass::ok);
  EXPECT_EQ(class_of(0), CodeClass::none);
  EXPECT_EQ(class_of(100), CodeClass::connection);
  EXPECT_EQ(class_of(400), CodeClass::caller);
  EXPECT_EQ(class_of(499), CodeClass::caller);
  EXPECT_EQ(class_of(503), CodeClass::callee);
  EXPECT_EQ(class_of(1000), CodeClass::application);
  EXPECT_EQ(class_of(999), CodeClass::other);
  EXPECT_EQ(class_of(201), CodeClass::other);
  EXPECT_EQ(class_of(-7), CodeClass::other);
  EXPECT_EQ(to_string(CodeClass::none), "none");
}

TEST_F(StatisticsTest, RefusesBoundsThatDoNotAscendOrAreTooMany) {
  EXPECT_THROW(Statistics({.latency_bounds = {milliseconds(2), milliseconds(2)}}), std::invalid_argument);
  std::vector<Duration> many;
  for (int i = 0; i < static_cast<int>(kLatencyBoundsMax); ++i) many.emplace_back(microseconds(i + 1));
  EXPECT_NO_THROW(Statistics({.latency_bounds = many}));
  many.emplace_back(seconds(1));
  EXPECT_THROW(Statistics({.latency_bounds = many}), std::invalid_argument);
}

TEST_F(StatisticsTest, ServesOnePeerOnly) {
  pair.right.on_pull("/echo", rpc::testing::echo);
  pair.left.on_pull("/other", rpc::testing::echo);
  install(callee, pair.right);
  Registration registration(pair.left.router, *pair.left.router.all().front());
  const Result<void> again = callee.post_reg(registration);
  ASSERT_FALSE(again.has_value());
  EXPECT_NE(again.error().detail.find("/echo"), std::string::npos);
}

}  // namespace
}  // namespace wayport::rpc::plugins
