// Goal: every rule of the session state machine. Method: two cores, byte queues between them, one virtual clock.
#include "wayport/rpc/session_core.h"

#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <stdexcept>
#include <typeinfo>

#include "wayport/framing/body_ops.h"
#include "wayport/rpc/testing/session_pair.h"

namespace wayport::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::echo;
using testing::End;
using testing::Outcome;
using testing::packet;
using testing::Pair;
using testing::reply_text;

TEST(SessionCore, APullGetsTheReplyOfItsHandlerAtEverySplitSize) {
  for (const std::size_t piece : {1, 2, 3, 5, 8, 1000}) {
    Pair pair;
    pair.right.on_pull("/echo", echo);
    pair.left.pull("/echo?x=1", "a");
    pair.left.pull("/echo", "b");
    pair.drive(piece);
    ASSERT_EQ(pair.left.outcomes.size(), 2u) << "piece " << piece;
    EXPECT_EQ(pair.left.outcomes[0].text, "echo:a");
    EXPECT_EQ(pair.left.outcomes[1].text, "echo:b");
  }
}

TEST(SessionCore, BothSidesPullOnTheSameSession) {
  Pair pair;
  pair.left.on_pull("/echo", echo);
  pair.right.on_pull("/echo", echo);
  pair.left.pull("/echo", "l");
  pair.right.pull("/echo", "r");
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  ASSERT_EQ(pair.right.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].text, "echo:l");
  EXPECT_EQ(pair.right.outcomes[0].text, "echo:r");
}

TEST(SessionCore, PullsAndPushesCountTheirSequenceNumbersApart) {
  Pair pair;
  std::vector<std::pair<char, std::uint64_t>> seen;
  pair.right.on_pull("/p", [&](Call& call) { seen.emplace_back('p', call.header().seq), call.reply_empty(); });
  pair.right.on_push("/q", [&](Call& call) { seen.emplace_back('q', call.header().seq); });
  pair.left.pull("/p");
  ASSERT_TRUE(pair.left.push("/q", "x").has_value());
  pair.left.pull("/p");
  ASSERT_TRUE(pair.left.push("/q", "x").has_value());
  pair.drive();
  const std::vector<std::pair<char, std::uint64_t>> expected = {{'p', 0}, {'q', 0}, {'p', 1}, {'q', 1}};
  EXPECT_EQ(seen, expected);
}

TEST(SessionCore, RepliesMayComeOutOfOrder) {
  Pair pair;
  std::vector<std::unique_ptr<DeferredCall>> waiting;
  pair.right.on_pull("/later", [&](Call& call) { waiting.push_back(call.defer()); });
  pair.left.pull("/later", "one");
  pair.left.pull("/later", "two");
  pair.drive();
  ASSERT_EQ(waiting.size(), 2u);
  for (int i : {1, 0}) {
    echo(*waiting[i]);
    waiting[i].reset();
  }
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 2u);
  EXPECT_EQ(pair.left.outcomes[0].text, "echo:two");
  EXPECT_EQ(pair.left.outcomes[1].text, "echo:one");
}

TEST(SessionCore, AnUnknownRouteIs404AndABadUriIs400WithTheParsersText) {
  Pair pair;
  pair.left.pull("/none");
  pair.left.pull("/a%zz");
  ASSERT_TRUE(pair.left.push("/none", "x").has_value());
  ASSERT_TRUE(pair.left.push("/a%zz", "x").has_value());
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 2u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, 404);
  EXPECT_EQ(pair.left.outcomes[0].status.text, "Not Found");
  EXPECT_EQ(pair.left.outcomes[0].status.origin, Status::Origin::remote);
  EXPECT_EQ(pair.left.outcomes[1].status.code, 400);
  EXPECT_EQ(pair.left.outcomes[1].status.text, "parse \"/a%zz\": invalid URL escape \"%zz\"");
  EXPECT_EQ(pair.right.counters.routes_unknown.read(), 2u);
  EXPECT_EQ(pair.right.counters.uris_bad.read(), 2u);
  EXPECT_FALSE(pair.left.closed);
}

TEST(SessionCore, AHandlerThatThrowsAnswers500AndTheSessionLives) {
  Pair pair;
  pair.right.on_pull("/throw", [](Call&) { throw std::runtime_error("secret path"); });
  pair.right.on_pull("/status", [](Call&) { throw StatusError(1234, "mine"); });
  pair.right.on_pull("/silent", [](Call&) {});
  pair.right.on_pull("/zero", [](Call& call) { call.fail(Status::make(0, "code zero")); });
  for (const char* uri : {"/throw", "/status", "/silent", "/zero"}) pair.left.pull(uri);
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 4u);
  EXPECT_EQ(pair.left.outcomes[0].status.to_string(), "500 Internal Server Error (from the peer)");
  EXPECT_EQ(pair.left.outcomes[1].status.to_string(), "1234 mine (from the peer)");
  EXPECT_EQ(pair.left.outcomes[2].status.code, 500);
  EXPECT_EQ(pair.left.outcomes[3].status.to_string(), "0 code zero (from the peer)");
  EXPECT_FALSE(pair.left.outcomes[3].replied);
  EXPECT_EQ(pair.right.counters.handler_exceptions.read(), 1u);
  pair.right.on_pull("/echo", echo);
  pair.left.pull("/echo", "still here");
  pair.drive();
  EXPECT_EQ(pair.left.outcomes.back().text, "echo:still here");
}

TEST(SessionCore, ACallThatNobodyAnswersTimesOutLocallyAndItsLateReplyIsIgnored) {
  Pair pair;
  std::unique_ptr<DeferredCall> waiting;
  pair.right.on_pull("/later", [&](Call& call) { waiting = call.defer(); });
  pair.left.pull("/later", "x", milliseconds(50));
  pair.drive();
  pair.advance(milliseconds(49));
  EXPECT_TRUE(pair.left.outcomes.empty());
  pair.advance(milliseconds(2));
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, code::kTimeout);
  EXPECT_EQ(pair.left.outcomes[0].status.origin, Status::Origin::local);
  EXPECT_EQ(pair.left.outcomes[0].status.text, "no reply from mem://peer within 50ms");
  echo(*waiting);
  waiting.reset();
  pair.drive();
  EXPECT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.counters.replies_unmatched.read(), 1u);
}

TEST(SessionCore, ACanceledCallEndsWith499Once) {
  Pair pair;
  pair.right.on_pull("/echo", echo);
  const std::optional<std::uint64_t> seq = pair.left.pull("/echo", "x");
  ASSERT_TRUE(seq.has_value());
  pair.left.core().cancel(*seq);
  pair.left.core().cancel(*seq);
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, code::kCanceled);
}

TEST(SessionCore, OutstandingCallsFailWith101WhenTheConnectionGoes) {
  Pair pair;
  pair.partitioned = true;
  pair.left.pull("/echo", "x");
  pair.left.pull("/echo", "y");
  pair.drive();
  pair.left.core().handle_closed(CloseReason::peer(ErrorCode::peer_closed, "reset"));
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 2u);
  for (const Outcome& outcome : pair.left.outcomes) EXPECT_EQ(outcome.status.code, code::kConnectionClosed);
  pair.left.pull("/echo", "z");
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 3u);
  EXPECT_EQ(pair.left.outcomes[2].status.code, code::kWriteFailed);
  EXPECT_FALSE(pair.left.push("/q", "x").has_value());
}

// --- graceful close ---

TEST(SessionCore, CloseWaitsForRunningHandlersAndOutstandingPulls) {
  Pair pair;
  std::unique_ptr<DeferredCall> left_handler;
  std::unique_ptr<DeferredCall> right_handler;
  pair.left.on_pull("/l", [&](Call& call) { left_handler = call.defer(); });
  pair.right.on_pull("/r", [&](Call& call) { right_handler = call.defer(); });
  pair.left.pull("/r", "x");
  pair.right.pull("/l", "y");
  pair.drive();
  pair.left.core().close(CloseReason::local(ErrorCode::local_closed, "done"));
  pair.drive();
  EXPECT_FALSE(pair.left.closed);
  echo(*right_handler);
  right_handler.reset();
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 1u) << "an outstanding pull still gets its reply";
  EXPECT_EQ(pair.left.outcomes[0].text, "echo:x");
  EXPECT_FALSE(pair.left.closed);
  echo(*left_handler);
  left_handler.reset();
  pair.drive();
  EXPECT_TRUE(pair.left.closed);
  ASSERT_EQ(pair.right.outcomes.size(), 1u) << "a running handler is still answered";
  EXPECT_EQ(pair.right.outcomes[0].text, "echo:y");
}

TEST(SessionCore, NothingNewIsExecutedOrTakenOnceCloseHasBegun) {
  Pair pair;
  int ran = 0;
  std::unique_ptr<DeferredCall> holding;
  pair.left.on_pull("/hold", [&](Call& call) { holding = call.defer(); });
  pair.left.on_pull("/count", [&](Call& call) { ++ran, call.reply_empty(); });
  pair.right.pull("/hold");
  pair.drive();
  pair.left.core().close(CloseReason::local(ErrorCode::local_closed, "done"));
  pair.right.pull("/count");
  pair.left.pull("/any");
  pair.drive();
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(pair.left.counters.requests_after_close.read(), 1u);
  ASSERT_EQ(pair.right.outcomes.size(), 1u);
  EXPECT_EQ(pair.right.outcomes[0].status.to_string(), "503 the peer is closing; not executed (local)");
  EXPECT_TRUE(pair.right.outcomes[0].status.never_executed);
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, code::kWriteFailed);
  holding.reset();
  pair.drive();
  EXPECT_TRUE(pair.left.closed);
}

TEST(SessionCore, APlainHandlerThatClosesItsOwnSessionIsStillAnswered) {
  Pair pair;
  pair.right.on_pull("/bye", [&](Call& call) {
    call.session().close(CloseReason::local(ErrorCode::local_closed, "bye"));
    reply_text(call, "bye");
  });
  pair.left.pull("/bye");
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].text, "bye");
  EXPECT_TRUE(pair.right.closed);
}

TEST(SessionCore, CancelingTheLastOutstandingPullEndsAClose) {
  Pair pair;
  std::unique_ptr<DeferredCall> held;
  pair.right.on_pull("/later", [&](Call& call) { held = call.defer(); });
  const std::optional<std::uint64_t> seq = pair.left.pull("/later");
  pair.drive();
  pair.left.core().close(CloseReason::local(ErrorCode::local_closed, "done"));
  pair.drive();
  EXPECT_FALSE(pair.left.closed);
  pair.left.core().cancel(*seq);
  pair.drive();
  EXPECT_TRUE(pair.left.closed);
}

TEST(SessionCore, TwoSidesThatCloseAtTheSameTimeDoNotWaitForEachOther) {
  Pair pair;
  for (End* end : {&pair.left, &pair.right}) {
    end->on_pull("/echo", echo);
    end->pull("/echo", "x");
    end->core().close(CloseReason::local(ErrorCode::local_closed, "done"));
  }
  pair.drive();
  for (End* end : {&pair.left, &pair.right}) {
    EXPECT_TRUE(end->closed);
    ASSERT_EQ(end->outcomes.size(), 1u);
    EXPECT_EQ(end->outcomes[0].status.code, 503);
  }
}

TEST(SessionCore, ADrainTellsWhichPullsWillNeverBeExecuted) {
  Pair pair;
  int ran = 0;
  std::vector<std::unique_ptr<DeferredCall>> held;
  pair.right.on_pull("/hold", [&](Call& call) { held.push_back(call.defer()); });
  pair.right.on_pull("/count", [&](Call& call) { ++ran, call.reply_empty(); });
  pair.left.pull("/hold");
  pair.left.pull("/hold");
  pair.drive();
  // These two cross the notice.
  pair.right.core().close(CloseReason::local(ErrorCode::local_closed, "restart"));
  pair.left.pull("/count");
  pair.left.pull("/count");
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 2u);
  for (const auto& outcome : pair.left.outcomes) {
    EXPECT_EQ(outcome.status.code, code::kServiceUnavailable);
    EXPECT_EQ(outcome.status.origin, Status::Origin::local);
    EXPECT_TRUE(outcome.status.never_executed);
  }
  EXPECT_EQ(pair.left.core().outstanding_calls(), 2u) << "those that were read before are answered";
  EXPECT_EQ(pair.left.peer_drains_count, 1);
  EXPECT_EQ(pair.left.counters.drains_received.read(), 1u);
  EXPECT_EQ(pair.right.counters.drains_announced.read(), 1u);

  // What comes later does not leave.
  const std::uint64_t written = pair.left.counters.packets_written.read();
  pair.left.pull("/count");
  const Result<void> pushed = pair.left.push("/note", "x");
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 3u);
  EXPECT_TRUE(pair.left.outcomes[2].status.never_executed);
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().code, ErrorCode::peer_closed);
  EXPECT_EQ(pair.left.counters.packets_written.read(), written);

  for (auto& call : held) reply_text(*call, "done");
  held.clear();
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 5u);
  EXPECT_EQ(pair.left.outcomes[3].text, "done");
  EXPECT_EQ(pair.left.outcomes[4].text, "done");
  EXPECT_EQ(ran, 0);
  EXPECT_TRUE(pair.right.closed);
}

TEST(SessionCore, APullThatWasReadAndThenLostIsNotCalledUnexecuted) {
  Pair pair;
  std::unique_ptr<DeferredCall> held;
  pair.right.on_pull("/hold", [&](Call& call) { held = call.defer(); });
  pair.left.pull("/hold");
  pair.drive();
  pair.right.core().close(CloseReason::local(ErrorCode::local_closed, "restart"));
  pair.drive();
  pair.left.core().abort(CloseReason::local(ErrorCode::local_closed, "cut"));
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, code::kConnectionClosed);
  EXPECT_FALSE(pair.left.outcomes[0].status.never_executed);
  held.reset();
}

TEST(SessionCore, WithoutDrainNoticesALatePullIsAnsweredByThePeer) {
  SessionOptions silent;
  silent.announce_drain = false;
  for (const bool announcing : {true, false}) {
    // One side alone suffices to do without: the other one does not send it, or does not believe it.
    Pair pair(announcing ? silent : SessionOptions{}, announcing ? SessionOptions{} : silent);
    std::unique_ptr<DeferredCall> held;
    pair.right.on_pull("/hold", [&](Call& call) { held = call.defer(); });
    pair.left.pull("/hold");
    pair.drive();
    pair.right.core().close(CloseReason::local(ErrorCode::local_closed, "restart"));
    pair.left.pull("/late");
    pair.drive();
    ASSERT_EQ(pair.left.outcomes.size(), 1u);
    EXPECT_EQ(pair.left.outcomes[0].status.to_string(), "503 the session is closing; not executed (from the peer)");
    EXPECT_FALSE(pair.left.outcomes[0].status.never_executed);
    EXPECT_EQ(pair.left.peer_drains_count, 0);
    EXPECT_EQ(pair.right.counters.drains_announced.read(), announcing ? 1u : 0u);
    held.reset();
  }
}

TEST(SessionCore, OnlyTheFirstWellFormedDrainNoticeCounts) {
  const auto notice = [](std::string_view uri) {
    return packet(R"({"seq":18446744073709551615,"type":2,"uri":")" + std::string(uri) + R"(","status_code":503})", "");
  };
  Pair pair;
  pair.left.pull("/a");
  pair.left.pull("/b");
  pair.left.turn();
  for (const char* uri : {"", "/wayport/drain", "/wayport/drain?from=", "/wayport/drain?from=-1",
                          "/wayport/drain?from=1x", "/wayport/drain?from=18446744073709551616", "/other?from=0"}) {
    pair.left.receive(notice(uri));
  }
  EXPECT_EQ(pair.left.counters.replies_unmatched.read(), 7u);
  EXPECT_EQ(pair.left.peer_drains_count, 0);
  EXPECT_EQ(pair.left.core().outstanding_calls(), 2u);
  pair.left.receive(notice("/wayport/drain?from=1"));
  pair.left.receive(notice("/wayport/drain?from=0"));
  pair.left.turn();
  EXPECT_EQ(pair.left.peer_drains_count, 1);
  EXPECT_EQ(pair.left.counters.drains_received.read(), 1u);
  EXPECT_EQ(pair.left.core().outstanding_calls(), 1u) << "/a was read, whatever a second notice says";
  EXPECT_EQ(pair.left.outcomes.size(), 1u);
}

TEST(SessionCore, CloseIsBoundedInTime) {
  SessionOptions options;
  options.close_timeout = seconds(3);
  Pair pair(options);
  std::unique_ptr<DeferredCall> stuck;
  pair.left.on_pull("/stuck", [&](Call& call) { stuck = call.defer(); });
  pair.right.pull("/stuck");
  pair.left.pull("/never");
  std::unique_ptr<DeferredCall> never;
  pair.right.on_pull("/never", [&](Call& call) { never = call.defer(); });
  pair.drive();
  pair.left.core().close(CloseReason::local(ErrorCode::local_closed, "done"));
  pair.advance(milliseconds(2999));
  EXPECT_FALSE(pair.left.closed);
  pair.advance(milliseconds(2));
  EXPECT_TRUE(pair.left.closed);
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.handlers_finished_count, 0);
  stuck.reset();
  EXPECT_EQ(pair.left.handlers_finished_count, 1);
  EXPECT_EQ(pair.left.counters.replies_dropped.read(), 1u);
}

TEST(SessionCore, ThePeersHalfCloseStillLetsRunningHandlersAnswer) {
  Pair pair;
  std::unique_ptr<DeferredCall> waiting;
  pair.right.on_pull("/later", [&](Call& call) { waiting = call.defer(); });
  pair.left.pull("/later", "x");
  pair.drive();
  pair.right.core().handle_read_end();
  pair.drive();
  EXPECT_FALSE(pair.right.closed);
  echo(*waiting);
  waiting.reset();
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].text, "echo:x");
  EXPECT_TRUE(pair.right.closed);
}

TEST(SessionCore, AStreamThatEndsInsideAPacketRunsNoHandler) {
  Pair pair;
  int ran = 0;
  pair.right.on_pull("/echo", [&](Call& call) { ++ran, echo(call); });
  pair.left.pull("/echo", "complete?");
  pair.left.turn();
  pair.right.receive(pair.left.outbox.substr(0, pair.left.outbox.size() - 1));
  pair.right.core().handle_read_end();
  pair.right.turn();
  EXPECT_EQ(ran, 0);
  EXPECT_TRUE(pair.right.closed);
  EXPECT_EQ(pair.right.core().close_reason().error.code, ErrorCode::malformed);
  EXPECT_NE(pair.right.core().close_reason().error.detail.find("inside a packet"), std::string::npos);
  pair.left.outbox.clear();
}

// --- time-outs ---

TEST(SessionCore, ReadTimeoutEndsAnIdleSessionAndTrafficPutsItOff) {
  SessionOptions options;
  options.read_timeout = seconds(1);
  Pair pair({}, options);
  pair.right.on_pull("/echo", echo);
  for (int i = 0; i < 5; ++i) {
    pair.advance(milliseconds(900));
    pair.left.pull("/echo", "x");
    pair.drive();
  }
  EXPECT_FALSE(pair.right.closed);
  pair.advance(milliseconds(999));
  EXPECT_FALSE(pair.right.closed);
  pair.advance(milliseconds(1001));
  EXPECT_TRUE(pair.right.closed);
  EXPECT_EQ(pair.right.core().close_reason().error.code, ErrorCode::timed_out);
  EXPECT_EQ(pair.right.counters.read_timeouts.read(), 1u);
}

TEST(SessionCore, ReadTimeoutIsNotExtendedByDribbledBytesButByRunningHandlers) {
  SessionOptions options;
  options.read_timeout = seconds(1);
  Pair pair({}, options);
  std::unique_ptr<DeferredCall> waiting;
  pair.right.on_pull("/later", [&](Call& call) { waiting = call.defer(); });
  pair.left.pull("/later");
  pair.drive();
  pair.advance(seconds(5));
  EXPECT_FALSE(pair.right.closed) << "the peer waits for us";
  waiting.reset();
  pair.drive();
  for (int i = 0; i < 40 && !pair.right.closed; ++i) {
    pair.right.receive(std::string_view("\0", 1));
    pair.advance(milliseconds(50));
  }
  EXPECT_TRUE(pair.right.closed);
}

TEST(SessionCore, WriteTimeoutEndsASessionWhosePeerTakesNothing) {
  SessionOptions options;
  options.write_timeout = seconds(2);
  Pair pair(options);
  pair.partitioned = true;
  pair.left.pull("/echo", "x");
  pair.drive();
  for (int i = 0; i < 4; ++i) pair.advance(milliseconds(600));
  EXPECT_TRUE(pair.left.closed);
  EXPECT_EQ(pair.left.counters.write_timeouts.read(), 1u);
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, code::kConnectionClosed);
}

TEST(SessionCore, WriteTimeoutSparesASlowPeerThatMakesProgress) {
  SessionOptions options;
  options.write_timeout = seconds(2);
  Pair pair(options);
  pair.partitioned = true;
  pair.left.pull("/echo", std::string(100, 'x'));
  pair.drive();
  for (int i = 0; i < 20; ++i) {
    pair.left.outbox.erase(0, 1);
    pair.advance(seconds(1));
  }
  EXPECT_FALSE(pair.left.closed);
  pair.left.outbox.clear();
}

// --- bounds ---

TEST(SessionCore, CallsAreBoundedAtTheLimitAndNotBelow) {
  SessionOptions options;
  options.calls_max = 3;
  Pair pair(options);
  pair.partitioned = true;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pair.left.pull("/echo").has_value());
  EXPECT_FALSE(pair.left.pull("/echo").has_value());
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, code::kServiceUnavailable);
  EXPECT_EQ(pair.left.outcomes[0].status.origin, Status::Origin::local);
  EXPECT_EQ(pair.left.counters.calls_refused.read(), 1u);
}

TEST(SessionCore, RunningHandlersAreBoundedAndTheRestGets503) {
  SessionOptions options;
  options.handlers_max = 2;
  Pair pair({}, options);
  std::vector<std::unique_ptr<DeferredCall>> waiting;
  pair.right.on_pull("/later", [&](Call& call) {
    if (auto deferred = call.defer()) waiting.push_back(std::move(deferred));
  });
  for (int i = 0; i < 3; ++i) pair.left.pull("/later");
  pair.drive();
  EXPECT_EQ(waiting.size(), 2u);
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, 503);
  EXPECT_EQ(pair.right.counters.handlers_refused.read(), 1u);
  waiting.clear();
  pair.left.pull("/later");
  pair.drive();
  EXPECT_EQ(waiting.size(), 1u);
}

TEST(SessionCore, UnsentOutputIsBounded) {
  SessionOptions options;
  options.output_bytes_max = 1000;
  Pair pair(options);
  pair.partitioned = true;
  int accepted = 0;
  while (pair.left.push("/q", std::string(100, 'x')).has_value()) ASSERT_LT(++accepted, 100);
  EXPECT_GE(accepted, 6);
  EXPECT_LE(accepted, 10);
  EXPECT_EQ(pair.left.counters.calls_refused.read(), 1u);
  pair.left.pull("/echo");
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 1u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, 503);
}

TEST(SessionCore, APeerThatDoesNotTakeRepliesCannotOrderMore) {
  SessionOptions options;
  options.output_high_water_bytes = 10'000;
  Pair pair({}, options);
  int ran = 0;
  pair.right.pressure_at = 20'000;
  pair.right.on_pull("/big", [&](Call& call) { ++ran, reply_text(call, std::string(1000, 'r')); });
  for (int i = 0; i < 500; ++i) pair.left.pull("/big");
  pair.left.reading = false;
  pair.drive();
  EXPECT_LT(ran, 40);
  EXPECT_FALSE(pair.right.reading);
  EXPECT_GE(pair.right.counters.reading_paused.read(), 1u);
  pair.left.reading = true;
  pair.drive();
  EXPECT_EQ(ran, 500) << "nothing was lost";
  EXPECT_EQ(pair.left.outcomes.size(), 500u);
  EXPECT_TRUE(pair.right.reading);
}

TEST(SessionCore, TwoPeersThatBothOrderMuchNeverStopReadingEachOther) {
  SessionOptions options;
  options.output_high_water_bytes = 10'000;
  Pair pair(options, options);
  for (End* end : {&pair.left, &pair.right}) {
    end->pressure_at = 20'000;
    end->on_pull("/big", [&](Call& call) { reply_text(call, std::string(5000, 'r')); });
    for (int i = 0; i < 300; ++i) end->pull("/big", std::string(5000, 'a'));
  }
  pair.drive(3000);
  for (End* end : {&pair.left, &pair.right}) {
    ASSERT_EQ(end->outcomes.size(), 300u);
    for (const Outcome& outcome : end->outcomes) EXPECT_TRUE(outcome.replied) << outcome.status.to_string();
  }
}

TEST(SessionCore, PullsThatTimedOutStillCountAsOwedSoNobodyStopsReading) {
  SessionOptions options;
  options.output_high_water_bytes = 10'000;
  Pair pair(options, options);
  for (End* end : {&pair.left, &pair.right}) {
    end->pressure_at = 20'000;
    end->on_pull("/big", [&](Call& call) { reply_text(call, std::string(5000, 'r')); });
    for (int i = 0; i < 100; ++i) end->pull("/big", std::string(5000, 'a'), milliseconds(1));
  }
  pair.partitioned = true;
  pair.advance(milliseconds(5));
  pair.partitioned = false;
  pair.drive(3000);
  EXPECT_EQ(pair.left.counters.replies_unmatched.read(), 100u);
  EXPECT_EQ(pair.right.counters.replies_unmatched.read(), 100u);
}

TEST(SessionCore, ASessionThatPausedBelowTheStreamsMarkReadsOn) {
  SessionOptions options;
  options.output_high_water_bytes = 1000;
  Pair pair({}, options);
  int ran = 0;
  pair.right.on_pull("/big", [&](Call& call) { ++ran, reply_text(call, std::string(600, 'r')); });
  pair.right.on_push("/note", [&](Call&) { ++ran; });
  pair.partitioned = true;
  for (int i = 0; i < 10; ++i) pair.left.pull("/big");
  pair.left.turn();
  const std::string requests = std::exchange(pair.left.outbox, {});
  pair.right.receive(requests);
  for (int i = 0; i < 10; ++i) pair.right.turn();
  EXPECT_EQ(ran, 10) << "the stream has room, so nothing is owed to wake us";
  EXPECT_TRUE(pair.right.reading);
}

TEST(SessionCore, ASideThatMustReadOnRefusesPullsBeyondItsOutputBound) {
  SessionOptions options;
  options.output_high_water_bytes = 10'000;
  options.output_bytes_max = 50'000;
  Pair pair({}, options);
  int ran = 0;
  pair.right.pressure_at = 20'000;
  pair.right.on_pull("/big", [&](Call& call) { ++ran, reply_text(call, std::string(5000, 'r')); });
  std::unique_ptr<DeferredCall> held;
  pair.left.on_pull("/held", [&](Call& call) { held = call.defer(); });
  pair.right.pull("/held");
  pair.drive();
  for (int i = 0; i < 100; ++i) pair.left.pull("/big");
  pair.left.reading = false;
  pair.drive();
  EXPECT_GE(ran, 9);
  EXPECT_LE(ran, 12);
  EXPECT_EQ(pair.right.counters.pulls_shed.read(), 100u - static_cast<unsigned>(ran));
  pair.left.reading = true;
  pair.drive();
  EXPECT_EQ(pair.left.outcomes.size(), 100u);
  EXPECT_EQ(pair.left.outcomes.back().status.code, 503);
}

// --- peers of other releases ---

TEST(SessionCore, PushesUseTheTypeOfThePeersRelease) {
  for (const auto version : {framing::PeerVersion::v2_0, framing::PeerVersion::v2_1, framing::PeerVersion::v2_5,
                             framing::PeerVersion::v2_6}) {
    SessionOptions options;
    options.version = version;
    Pair pair(options, options);
    std::vector<std::int32_t> types;
    pair.right.on_push("/q", [&](Call& call) { types.push_back(call.header().type); });
    ASSERT_TRUE(pair.left.push("/q", "x").has_value());
    pair.drive();
    EXPECT_EQ(types, std::vector<std::int32_t>{framing::push_type(version)});
  }
}

TEST(SessionCore, AnUnsupportedTypeClosesWithoutAnswerAndIsLoggedWithItsFields) {
  for (const int type : {0, 4, 9, -1}) {
    Pair pair;
    pair.right.receive(packet("{\"seq\":7,\"type\":" + std::to_string(type) + ",\"uri\":\"/x\"}", "shello"));
    pair.right.turn();
    EXPECT_TRUE(pair.right.closed) << type;
    EXPECT_TRUE(pair.right.outbox.empty()) << type;
    EXPECT_EQ(pair.right.core().close_reason().error.code, ErrorCode::unsupported);
    ASSERT_EQ(pair.right.log.lines().size(), 1u);
    const std::string line = pair.right.log.lines()[0];
    EXPECT_NE(line.find("seq=7"), std::string::npos) << line;
    EXPECT_NE(line.find("/x"), std::string::npos) << line;
    EXPECT_NE(line.find(to_hex(as_bytes("shello"))), std::string::npos) << line;
  }
}

TEST(SessionCore, ReleasesUpTo24AnswerAnUnsupportedTypeButNeverTypeZero) {
  for (const auto version : {framing::PeerVersion::v2_0, framing::PeerVersion::v2_1}) {
    SessionOptions options;
    options.version = version;
    Pair pair({}, options);
    pair.right.receive(packet("{\"type\":9}", ""));
    pair.right.turn();
    EXPECT_EQ(pair.right.outbox, packet("{\"status_code\":410,\"status\":\"Unsupported transaction type\"}", ""));
    pair.right.outbox.clear();
    pair.right.receive(packet("{\"status_code\":410,\"status\":\"Unsupported transaction type\"}", ""));
    pair.right.turn();
    EXPECT_TRUE(pair.right.outbox.empty());
    EXPECT_FALSE(pair.right.closed);
  }
}

TEST(SessionCore, ARequestWithAnImpossibleGzipLevelIsAnsweredUncompressed) {
  Pair pair;
  pair.right.on_pull("/echo", [](Call& call) { reply_text(call, "r"); });
  pair.right.receive(packet("{\"type\":1,\"uri\":\"/echo\",\"gzip\":99}", ""));
  pair.right.turn();
  EXPECT_EQ(pair.right.outbox,
            packet("{\"type\":2,\"uri\":\"/echo\",\"status_code\":200,\"status\":\"OK\"}", "j\"r\""));
  pair.right.outbox.clear();
}

TEST(SessionCore, AnUndecodableBodyClosesWithoutReplyAndWithoutRunningTheHandlersWork) {
  Pair pair;
  bool worked = false;
  pair.right.on_pull("/json", [&](Call& call) {
    int value = 0;
    if (!call.decode({&framing::body_ops<int>(), &value})) return;
    worked = true;
  });
  pair.right.receive(packet("{\"type\":1,\"uri\":\"/json\"}", "j{bad"));
  pair.right.turn();
  EXPECT_FALSE(worked);
  EXPECT_TRUE(pair.right.closed);
  EXPECT_TRUE(pair.right.outbox.empty());
  EXPECT_EQ(pair.right.core().close_reason().error.code, ErrorCode::malformed);
}

TEST(SessionCore, RepliesOfEarlierPacketsStillLeaveWhenALaterOneIsMalformed) {
  Pair pair;
  pair.right.on_pull("/echo", echo);
  pair.right.receive(packet("{\"type\":1,\"uri\":\"/echo\"}", "sx") + packet("{bad", ""));
  pair.right.turn();
  EXPECT_EQ(pair.right.outbox,
            packet("{\"type\":2,\"uri\":\"/echo\",\"status_code\":200,\"status\":\"OK\"}", "secho:x"));
  EXPECT_TRUE(pair.right.closed);
  pair.right.outbox.clear();
}

TEST(SessionCore, AConversionThatThrowsLeavesNoHalfPacket) {
  static const framing::BodyOps kThrowing = [] {
    framing::BodyOps ops;
    ops.type = &typeid(int);
    ops.to_json = [](const void*, boost::json::value&) -> Result<void> { throw std::runtime_error("conversion"); };
    return ops;
  }();
  Pair pair;
  pair.right.on_pull("/throws", [](Call& call) { call.reply({&kThrowing, &kThrowing}); });
  pair.right.on_pull("/echo", echo);
  pair.left.pull("/throws");
  pair.left.pull("/echo", "next");
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 2u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, 500);
  EXPECT_EQ(pair.left.outcomes[1].text, "echo:next");
}

TEST(SessionCore, AReplyThatCannotBeEncodedIs500AndLeavesNoOrphanBytes) {
  Pair pair;
  pair.right.on_pull("/bad", [](Call& call) {
    call.set_reply_codec(200);
    reply_text(call, "x");
  });
  pair.right.on_pull("/echo", echo);
  pair.left.pull("/bad");
  pair.left.pull("/echo", "next");
  pair.drive();
  ASSERT_EQ(pair.left.outcomes.size(), 2u);
  EXPECT_EQ(pair.left.outcomes[0].status.code, 500);
  EXPECT_EQ(pair.left.outcomes[1].text, "echo:next");
}

}  // namespace
}  // namespace wayport::rpc
