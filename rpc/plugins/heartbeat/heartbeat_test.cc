// Real peers in virtual time; a peer that is gone without a word is the other end of a stream in memory.
#include "wayport/rpc/plugins/heartbeat/heartbeat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "wayport/base/co.h"
#include "wayport/rpc/plugins/testing/manual_peers.h"
#include "wayport/rpc/session_driver.h"
#include "wayport/rpc/testing/session_pair.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::rpc {
namespace {

using ::testing::HasSubstr;
using testing::ManualPeers;
using namespace std::chrono_literals;

const HeartbeatOptions kQuick = {.interval = 10s, .timeout = 25s, .idle_timeout = 60s};

class HeartbeatTest : public ::testing::Test {
 protected:
  HeartbeatTest() : server(world.listening()), client(world.dialling()) {}
  void connect() {
    world.start(*server);
    world.start(*client);
    session = world.dial(*client).value();
    served = ManualPeers::only_session(*server);
    ASSERT_TRUE(served);
  }
  // A session of the client whose other end is `stream`; what it gets is in `events`.
  void connect_to_nobody(const SessionOptions& options = {}, std::size_t window_bytes = 256 * 1024) {
    world.start(*client);
    transport::MemoryPair pair =
        transport::make_memory_pair(world.loop(), world.loop(), {.window_bytes = window_bytes});
    stream = std::move(pair.b);
    stream->start(events);
    stream->read(true);
    session = client->wrap(std::move(pair.a), options).value();
    world.settle();
  }
  static std::string reason(const Session& of) {
    const std::optional<CloseReason> why = of.close_reason();
    return why ? to_string(*why) : "open";
  }
  static void write(transport::Stream& to, std::string_view text) {
    Chain bytes;
    bytes.append(text);
    to.write(std::move(bytes));
  }

  ManualPeers world;
  transport::RecordingEvents events;
  std::unique_ptr<transport::Stream> stream;
  std::unique_ptr<Peer> server;
  std::unique_ptr<Peer> client;
  Session session;
  Session served;
};

TEST_F(HeartbeatTest, ASilentSessionIsPingedAndLivesOnForEver) {
  const auto pings = Heartbeat::add_to(*client, kQuick);
  const auto answers = Heartbeat::add_to(*server, kQuick);
  connect();
  world.advance(9s);
  EXPECT_EQ(pings->counters().pings_sent, 0u);
  world.advance(1s);
  EXPECT_EQ(pings->counters().pings_sent, 1u);
  world.advance(1h);
  EXPECT_EQ(reason(session), "open");
  EXPECT_EQ(reason(served), "open");
  EXPECT_GE(pings->counters().pings_sent, 355u);
  EXPECT_LE(pings->counters().pings_sent, 361u);
  EXPECT_EQ(pings->counters().pings_answered, pings->counters().pings_sent);
  EXPECT_EQ(answers->counters().pings_received, pings->counters().pings_sent);
  EXPECT_EQ(answers->counters().pings_sent, 0u);
}

TEST_F(HeartbeatTest, TrafficStandsInForPings) {
  const auto pings = Heartbeat::add_to(*client, kQuick);
  server->router().on_pull("/work", [] {});
  connect();
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(world.pull(session, "/work").ok());
    world.advance(9s);
  }
  EXPECT_EQ(pings->counters().pings_sent, 0u);
  EXPECT_EQ(reason(session), "open");
}

TEST_F(HeartbeatTest, APeerThatFallsSilentIsAbortedAndItsPullsEndAtOnce) {
  const auto pings = Heartbeat::add_to(*client, kQuick);
  connect_to_nobody();
  std::optional<Reply<void>> outcome;
  session.pull_async<void>("/work", framing::NoBody{}, {.timeout = 10h}, [&](Reply<void> reply) { outcome = reply; });
  world.advance(24s + 999ms);
  EXPECT_EQ(reason(session), "open");
  EXPECT_FALSE(outcome.has_value());
  EXPECT_EQ(pings->counters().pings_sent, 1u);
  EXPECT_THAT(events.received, HasSubstr("/heartbeat"));
  world.advance(100ms);
  EXPECT_THAT(reason(session), HasSubstr("timed_out: heartbeat: nothing came from"));
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->status().code, code::kConnectionClosed);
  EXPECT_EQ(pings->counters().sessions_dead, 1u);
  EXPECT_EQ(pings->counters().pings_answered, 0u);
}

TEST_F(HeartbeatTest, APeerThatDoesNotKnowTheRouteIsAlive) {
  const auto pings = Heartbeat::add_to(*client, kQuick);
  connect();
  world.advance(1h);
  EXPECT_EQ(reason(session), "open");
  EXPECT_GT(pings->counters().pings_answered, 300u);
  EXPECT_EQ(pings->counters().pings_answered, pings->counters().pings_sent);
}

TEST_F(HeartbeatTest, PiecesOfALongPacketAreSignsOfLife) {
  Heartbeat::add_to(*client, kQuick);
  connect_to_nobody();
  const std::string packet = testing::packet(R"({"seq":9,"type":3,"uri":"/x"})", "s" + std::string(100, 'x'));
  for (std::size_t i = 0; i < 50; ++i) {
    write(*stream, packet.substr(i, 1));
    world.advance(20s);
    ASSERT_EQ(reason(session), "open") << i;
  }
  world.advance(6s);
  EXPECT_THAT(reason(session), HasSubstr("heartbeat"));
}

TEST_F(HeartbeatTest, AStandstillOfTheLoopIsNoSilenceOfThePeer) {
  Heartbeat::add_to(*client, kQuick);
  connect_to_nobody();
  world.advance(15s);
  // While nobody turns the loop, an answer comes and the time-out passes.
  write(*stream, testing::packet(R"({"seq":0,"type":2,"status_code":200,"status":"OK"})", ""));
  world.clock.advance(1h);
  world.settle();
  world.advance(20ms);
  EXPECT_EQ(reason(session), "open");
  world.clock.advance(1h);
  world.settle();
  world.advance(20ms);
  EXPECT_THAT(reason(session), HasSubstr("heartbeat"));
}

TEST_F(HeartbeatTest, WhatIsNotReadIsNotSilence) {
  const auto pings = Heartbeat::add_to(*client, kQuick);
  client->router().on_pull("/large", [] { return std::string(1 << 20, 'x'); });
  connect_to_nobody({.write_timeout = Duration::zero(), .output_high_water_bytes = 1024}, 4096);
  stream->read(false);
  write(*stream, testing::packet(R"({"seq":0,"type":1,"uri":"/large"})", ""));
  world.settle();
  ASSERT_TRUE(session.driver()->core().reading_paused());
  world.advance(10min);
  EXPECT_EQ(reason(session), "open");
  EXPECT_EQ(pings->counters().sessions_dead, 0u);
}

TEST_F(HeartbeatTest, AnIdleSessionThatIsNotPingedIsClosedGracefully) {
  const auto answers = Heartbeat::add_to(*server, kQuick);
  connect();
  world.advance(59s);
  EXPECT_EQ(reason(served), "open");
  world.advance(1s + 100ms);
  EXPECT_THAT(reason(served), HasSubstr("idle_timeout 1m"));
  EXPECT_THAT(reason(session), HasSubstr("peer"));
  EXPECT_EQ(answers->counters().sessions_idle, 1u);
}

TEST_F(HeartbeatTest, ASessionWhoseHandlerRunsOrThatIsOwedAReplyIsNotIdle) {
  Heartbeat::add_to(*server, kQuick);
  server->router().on_pull("/slow", [](Context& context) -> asio::awaitable<std::string> {
    static_cast<void>(co_await sleep_for(context.session().loop(), 10min));
    co_return "done";
  });
  client->router().on_pull("/slow", [](Context& context) -> asio::awaitable<std::string> {
    static_cast<void>(co_await sleep_for(context.session().loop(), 10min));
    co_return "done";
  });
  connect();
  for (const Session& asking : {session, served}) {
    std::optional<Reply<std::string>> outcome;
    asking.pull_async<std::string>("/slow", framing::NoBody{}, {.timeout = 10h},
                                   [&](Reply<std::string> reply) { outcome = std::move(reply); });
    world.advance(10min + 1s);
    ASSERT_TRUE(outcome && outcome->ok());
  }
  EXPECT_EQ(reason(served), "open");
  world.advance(2min);
  EXPECT_THAT(reason(served), HasSubstr("idle_timeout"));
}

TEST_F(HeartbeatTest, BothSidesMayPing) {
  HeartbeatOptions both = kQuick;
  both.ping_accepted = true;
  both.route = "/are/you/there";
  const auto of_server = Heartbeat::add_to(*server, both);
  connect();
  world.advance(10min);
  EXPECT_EQ(reason(served), "open");
  EXPECT_GT(of_server->counters().pings_sent, 50u);
  EXPECT_EQ(of_server->counters().pings_answered, of_server->counters().pings_sent);
}

TEST_F(HeartbeatTest, PingsThatCannotBeSentDoNotSpin) {
  const auto pings = Heartbeat::add_to(*client, kQuick);
  SessionOptions options;
  options.calls_max = 0;
  connect_to_nobody(options);
  for (int i = 0; i < 10; ++i) {
    write(*stream, testing::packet(R"({"type":3,"uri":"/x"})", ""));
    world.advance(20s);
  }
  EXPECT_LE(pings->counters().pings_sent, 20u);
  EXPECT_EQ(reason(session), "open");
}

TEST_F(HeartbeatTest, ZeroMeansThatIdleSessionsStay) {
  HeartbeatOptions forever = kQuick;
  forever.idle_timeout = Duration::zero();
  Heartbeat::add_to(*server, forever);
  connect();
  world.advance(240h);
  EXPECT_EQ(reason(served), "open");
}

TEST_F(HeartbeatTest, ASubscriberThatOnlyHearsPushesPingsSoThatItIsHeard) {
  const auto pings = Heartbeat::add_to(*client, kQuick);
  const auto answers = Heartbeat::add_to(*server, kQuick);
  int got = 0;
  client->router().on_push("/tick", [&got] { ++got; });
  connect();
  for (int i = 0; i < 60; ++i) {
    EXPECT_TRUE(served.push("/tick", framing::NoBody{}).has_value());
    world.advance(5s);
    EXPECT_EQ(pings->counters().pings_sent, static_cast<std::uint64_t>((i + 1) * 5 / 10)) << i;
  }
  EXPECT_EQ(reason(served), "open");
  EXPECT_EQ(got, 60);
  EXPECT_EQ(answers->counters().pings_received, 30u);
  EXPECT_EQ(pings->counters().pings_answered, 30u);
}

TEST_F(HeartbeatTest, ASessionThatIsPushedToIsNotIdle) {
  Heartbeat::add_to(*server, kQuick);
  client->router().on_push("/tick", [] {});
  connect();
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(served.push("/tick", framing::NoBody{}).has_value());
    world.advance(50s);
    ASSERT_EQ(reason(served), "open") << i;
  }
  world.advance(9s);
  EXPECT_EQ(reason(served), "open");
  world.advance(1s + 100ms);
  EXPECT_THAT(reason(served), HasSubstr("was sent nothing for 1m"));
}

TEST_F(HeartbeatTest, WritingIsNoSignOfLifeOfAPeerThatIsPinged) {
  Heartbeat::add_to(*client, kQuick);
  connect_to_nobody();
  for (int i = 0; i < 5; ++i) {
    static_cast<void>(session.push("/tick", framing::NoBody{}));
    world.advance(5s);
  }
  world.advance(100ms);
  EXPECT_THAT(reason(session), HasSubstr("nothing came from"));
}

TEST_F(HeartbeatTest, TimersEndWithTheSession) {
  const auto pings = Heartbeat::add_to(*client, kQuick);
  connect();
  session.close();
  world.settle();
  world.advance(1h);
  EXPECT_EQ(pings->counters().pings_sent, 0u);
  EXPECT_EQ(pings->counters().sessions_dead, 0u);
}

TEST_F(HeartbeatTest, OptionsThatCannotWorkAreRefused) {
  EXPECT_NO_THROW(Heartbeat({.interval = 10s, .timeout = 10s + 1ns}));
  EXPECT_THROW(Heartbeat({.interval = 10s, .timeout = 10s}), std::logic_error);
  EXPECT_THROW(Heartbeat({.interval = 0s}), std::logic_error);
  EXPECT_THROW(Heartbeat({.idle_timeout = -1s}), std::logic_error);
  EXPECT_THROW(Heartbeat({.route = "heartbeat"}), std::logic_error);
  EXPECT_THROW(
      {
        client->router().on_pull("/heartbeat", [] {});
        Heartbeat::add_to(*client);
      },
      std::logic_error);
}

}  // namespace
}  // namespace wayport::rpc
