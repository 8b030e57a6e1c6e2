// The run log in virtual time: two session cores joined by byte queues.
#include "wayport/rpc/plugins/run_log/run_log.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/log_testing.h"
#include "wayport/rpc/session_core.h"
#include "wayport/rpc/testing/session_pair.h"

namespace wayport::rpc::plugins {
namespace {

using rpc::testing::End;
using rpc::testing::Pair;
using std::chrono::milliseconds;
using std::chrono::seconds;

void install(RunLog& log, End& end) {
  for (const std::unique_ptr<Route>& route : end.router.all()) {
    auto hooks = std::make_unique<RouteHooks>();
    hooks->guards.push_back(&log);
    hooks->post_write_reply.push_back(&log);
    route->hooks = std::move(hooks);
  }
  auto hooks = std::make_unique<PeerHooks>();
  hooks->unrouted.guards.push_back(&log);
  hooks->unrouted.post_write_reply.push_back(&log);
  hooks->post_read_pull_header.push_back(&log);
  hooks->post_write_pull.push_back(&log);
  hooks->post_read_reply_header.push_back(&log);
  hooks->post_write_push.push_back(&log);
  end.router.set_hooks(std::move(hooks));
}

class RunLogTest : public ::testing::Test {
 protected:
  // Both sides log, each to its own.
  void install_with(const RunLogOptions& options) {
    left_log = std::make_unique<RunLog>(left, options);
    right_log = std::make_unique<RunLog>(right, options);
    install(*left_log, pair.left);
    install(*right_log, pair.right);
  }
  static std::string line(const MemoryLog& log, std::string_view begin) {
    for (const std::string& one : log.lines()) {
      if (one.starts_with(begin)) return one;
    }
    return "(no line begins with " + std::string(begin) + ")";
  }

  Pair pair;
  MemoryLog left;
  MemoryLog right;
  std::unique_ptr<RunLog> left_log;
  std::unique_ptr<RunLog> right_log;
  std::unique_ptr<DeferredCall> held;
};

TEST_F(RunLogTest, TellsAllSixKindsOfPackets) {
  pair.right.on_pull("/echo", rpc::testing::echo);
  pair.right.on_push("/note", [](Call&) {});
  install_with({});
  pair.left.pull("/echo?a=1", "hello");
  ASSERT_TRUE(pair.left.push("/note", "hello").has_value());
  pair.drive();
  EXPECT_EQ(line(left, "info  pull sent"),
            "info  pull sent peer=mem://peer seq=0 uri=\"/echo?a=1\" header_codec=json body_codec=string "
            "packet_bytes=43 body_bytes=5");
  EXPECT_EQ(line(right, "info  pull received"),
            "info  pull received peer=mem://peer seq=0 uri=\"/echo?a=1\" header_codec=json body_codec=string "
            "packet_bytes=43 body_bytes=5");
  EXPECT_EQ(line(right, "info  reply sent"),
            "info  reply sent peer=mem://peer seq=0 cost=0s uri=\"/echo?a=1\" status_code=200 status=OK "
            "header_codec=json body_codec=string packet_bytes=80");
  EXPECT_EQ(line(left, "info  reply received"),
            "info  reply received peer=mem://peer seq=0 cost=0s uri=\"/echo?a=1\" status_code=200 status=OK "
            "header_codec=json body_codec=string packet_bytes=80 body_bytes=10");
  EXPECT_EQ(line(left, "info  push sent"),
            "info  push sent peer=mem://peer seq=0 uri=/note header_codec=json body_codec=string packet_bytes=39 "
            "body_bytes=5");
  EXPECT_EQ(line(right, "info  push received"),
            "info  push received peer=mem://peer seq=0 cost=0s uri=/note status_code=200 header_codec=json "
            "body_codec=string packet_bytes=39 body_bytes=5");
  EXPECT_EQ(left.lines().size() + right.lines().size(), 6u);
}

TEST_F(RunLogTest, TellsWhatHasNoRouteOrABadUri) {
  install_with({});
  pair.left.pull("/nowhere");
  pair.left.pull("/%zz");
  pair.drive();
  EXPECT_EQ(right.count("pull received"), 2u);
  EXPECT_EQ(right.count("status_code=404"), 1u);
  EXPECT_EQ(right.count("status_code=400"), 1u);
}

TEST_F(RunLogTest, BodiesAreShownOnlyWhenAskedForAndShortenedAndEscaped) {
  pair.right.on_pull("/echo", rpc::testing::echo);
  pair.right.on_push("/note", [](Call&) {});
  install_with({.print_body = true, .body_bytes_max = 8});
  pair.left.pull("/echo", "a\n\"b");
  ASSERT_TRUE(pair.left.push("/note", "0123456789").has_value());
  pair.drive();
  EXPECT_EQ(right.count("body=\"a\\x0a\\x22b\""), 1u) << right.lines().at(0);
  EXPECT_EQ(left.count("body=\"a\\x0a\\x22b\""), 1u);
  // echo: in front makes nine bytes
  EXPECT_EQ(right.count("body=\"echo:a\\x0a\\x22...(+1 bytes)\""), 1u);
  EXPECT_EQ(left.count("body=\"echo:a\\x0a\\x22...(+1 bytes)\""), 1u);
  EXPECT_EQ(right.count("body=01234567...(+2 bytes)") + right.count("body=\"01234567...(+2 bytes)\""), 1u);

  left.clear();
  right.clear();
  Pair quiet;
  quiet.right.on_pull("/echo", rpc::testing::echo);
  RunLog without(right);
  install(without, quiet.right);
  quiet.left.pull("/echo", "secret");
  quiet.drive();
  EXPECT_EQ(right.lines().size(), 2u);
  EXPECT_EQ(right.count("secret"), 0u);
}

TEST_F(RunLogTest, ACompressedBodyIsShownAsItWas) {
  Pair zipped({.gzip = 5});
  zipped.right.on_pull("/echo", rpc::testing::echo);
  RunLog log(right, {.print_body = true});
  install(log, zipped.right);
  Request request;
  const std::string text = "hello hello hello";
  request.uri = "/echo";
  request.gzip = 5;
  request.body = End::string_body(text);
  zipped.left.core().pull(request, std::make_unique<rpc::testing::Recorder>(zipped.left.outcomes));
  zipped.drive();
  ASSERT_EQ(zipped.left.outcomes.size(), 1u);
  EXPECT_EQ(zipped.left.outcomes[0].text, "echo:" + text);  // the log did not disturb it
  EXPECT_EQ(right.count("gzip=5"), 2u);
  EXPECT_EQ(right.count("body=\"hello hello hello\""), 1u);
  EXPECT_EQ(right.count("body=\"echo:hello hello hello\""), 1u);
}

TEST_F(RunLogTest, LongUrisAreShortened) {
  install_with({.uri_bytes_max = 10});
  pair.left.pull("/0123456789abc");
  pair.drive();
  EXPECT_EQ(right.count("/012345678...(+4 bytes)"), 2u) << right.lines().at(0);
}

TEST_F(RunLogTest, CallsFromTheThresholdOnAreSlowOnBothSidesAndWarnedOf) {
  for (const auto& [time, slow] :
       {std::pair(Duration(milliseconds(100)), true), std::pair(Duration(milliseconds(100)) - Duration(1), false)}) {
    Pair one;
    left.clear();
    right.clear();
    one.right.on_pull("/later", [this](Call& call) { held = call.defer(); });
    RunLog caller(left, {.count_time = false, .slow_call = milliseconds(100)});
    RunLog callee(right, {.count_time = false, .slow_call = milliseconds(100)});
    install(caller, one.left);
    install(callee, one.right);
    one.left.pull("/later", "x");
    one.drive();
    one.advance(time);
    held->reply_empty();
    held.reset();
    one.drive();
    EXPECT_EQ(line(right, "warning reply sent").starts_with("(no"), !slow);
    EXPECT_EQ(line(left, "warning reply received").starts_with("(no"), !slow);
    EXPECT_EQ(right.count("slow=true"), slow ? 1u : 0u);
    if (slow) EXPECT_EQ(right.count("cost=100ms"), 1u);
  }
}

TEST_F(RunLogTest, ASlowPushIsWarnedOf) {
  pair.right.on_push("/note", [this](Call& call) { held = call.defer(); });
  install_with({.slow_call = milliseconds(5)});
  ASSERT_TRUE(pair.left.push("/note", "x").has_value());
  pair.drive();
  EXPECT_EQ(right.count("push received"), 0u);
  pair.advance(milliseconds(7));
  held.reset();
  EXPECT_EQ(line(right, "warning push received").find("warning push received peer=mem://peer seq=0 cost=7ms slow=true"),
            0u);
}

TEST_F(RunLogTest, WithoutCountTimeThereIsNoCost) {
  pair.right.on_pull("/echo", rpc::testing::echo);
  install_with({.count_time = false});
  pair.left.pull("/echo", "x");
  pair.drive();
  EXPECT_EQ(right.count("cost="), 0u);
  EXPECT_EQ(left.count("cost="), 0u);
  EXPECT_EQ(left.lines().size() + right.lines().size(), 4u);
}

TEST_F(RunLogTest, LinesAreLimitedPerKindAndTheNextTellsHowManyWereNot) {
  pair.right.on_pull("/echo", rpc::testing::echo);
  install_with({.lines_per_second = 1, .lines_burst = 2});
  for (int i = 0; i < 5; ++i) pair.left.pull("/echo", "x");
  pair.drive();
  EXPECT_EQ(right.count("pull received"), 2u);
  EXPECT_EQ(right.count("reply sent"), 2u);
  pair.advance(seconds(2));
  pair.left.pull("/echo", "x");
  pair.drive();
  EXPECT_EQ(right.count("suppressed=3"), 2u);
}

TEST_F(RunLogTest, SlowCallsHaveALimitOfTheirOwn) {
  pair.right.on_pull("/later", [this](Call& call) { held = call.defer(); });
  install_with({.slow_call = milliseconds(5),
                .lines_per_second = 1,
                .lines_burst = 1,
                .slow_lines_per_second = 0.001,
                .slow_lines_burst = 2});
  for (int i = 0; i < 3; ++i) {
    pair.left.pull("/later", "x");
    pair.drive();
    pair.advance(milliseconds(5));
    held.reset();
    pair.drive();
  }
  EXPECT_EQ(right.count("warning reply sent"), 2u);
  EXPECT_EQ(right.count("info  reply sent"), 0u);
}

TEST_F(RunLogTest, ALogThatTakesOnlyWarningsGetsSlowCallsOnly) {
  MemoryLog warnings(LogLevel::warning);
  pair.right.on_pull("/later", [this](Call& call) { held = call.defer(); });
  RunLog log(warnings, {.slow_call = milliseconds(5)});
  install(log, pair.right);
  pair.left.pull("/later", "x");
  pair.drive();
  EXPECT_TRUE(warnings.lines().empty());
  pair.advance(milliseconds(5));
  held.reset();
  pair.drive();
  EXPECT_EQ(warnings.lines().size(), 1u);
}

}  // namespace
}  // namespace wayport::rpc::plugins
