#include "wayport/transport/kcp/kcp_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "wayport/transport/kcp/testing/kcp_pair.h"

namespace wayport::transport::kcp {
namespace {

using namespace testing;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

KcpOptions fast(ExtensionWish extension = ExtensionWish::off) {
  KcpOptions options;
  options.set_nodelay(true, 10, 2, true);
  options.extension = extension;
  return options;
}
CloseReason done() { return CloseReason::local(ErrorCode::local_closed, "done"); }

TEST(KcpSession, MessagesKeepTheirEndsAndStreamsJoinThem) {
  KcpPair messages(fast(), {});
  messages.a.write("one");
  messages.a.write("two");
  messages.run(seconds(1));
  EXPECT_THAT(messages.b.message_ends, ElementsAre(3u, 6u));
  KcpOptions options = fast();
  options.stream_mode = options.write_delay = true;
  KcpPair stream(options, {});
  stream.a.write("one");
  stream.a.write("two");
  stream.run(seconds(1));
  EXPECT_EQ(stream.b.received, "onetwo");
  EXPECT_TRUE(stream.b.message_ends.empty());
  EXPECT_EQ(stream.a.datagrams, 1u);
}

TEST(KcpSession, AMessageOfManyFragmentsArrivesWhole) {
  KcpOptions options = fast();
  options.receive_window = options.send_window = 256;
  KcpPair pair(options, {.loss = 0.1});
  const std::string message(200'000, 'm');
  ASSERT_TRUE(*pair.a.session->write_message(as_bytes(message)));
  EXPECT_EQ(pair.a.session->write_message(as_bytes(std::string(400'000, 'm'))).error().code, ErrorCode::too_large);
  pair.run(seconds(30));
  EXPECT_EQ(pair.b.received, message);
  EXPECT_THAT(pair.b.message_ends, ElementsAre(200'000u));
}

TEST(KcpSession, AnIdleSessionSendsNothingAndArmsNothingButALongTimer) {
  KcpPair pair(fast(), {});
  pair.a.write("hello");
  pair.run(seconds(10));
  const std::uint64_t before = pair.a.datagrams + pair.b.datagrams, steps = pair.steps;
  pair.run(seconds(300));
  EXPECT_EQ(pair.a.datagrams + pair.b.datagrams, before);
  EXPECT_LE(pair.steps - steps, 16u);  // stages of the wheel
  EXPECT_LT(pair.a.session->memory_bytes(), 3000u);
  EXPECT_EQ(pair.a.pool.bytes_in_use(), 0u);
}

TEST(KcpSession, WithoutTheExtensionNothingIsSentOnClose) {
  KcpPair pair(fast(), {});
  pair.a.write("hello");
  pair.run(seconds(1));
  const std::uint64_t before = pair.a.datagrams;
  pair.a.session->close(done(), seconds(5));
  pair.run(seconds(1));
  EXPECT_EQ(pair.a.closes, 1);
  EXPECT_EQ(pair.a.datagrams, before);
  EXPECT_EQ(pair.b.closes, 0);
}

TEST(KcpSession, ALingeringCloseDeliversWhatWasWritten) {
  KcpOptions options = fast();
  options.stream_mode = true;
  KcpPair pair(options, {.loss = 0.2});
  const std::string text(50'000, 't');
  pair.a.write(text);
  pair.a.session->close(done(), seconds(60));
  pair.run(seconds(60));
  EXPECT_EQ(pair.b.received, text);
  EXPECT_EQ(pair.a.closes, 1);
  EXPECT_EQ(pair.a.closed->error.code, ErrorCode::local_closed);
}

TEST(KcpSession, ALingerEndsInTimeWhenThePeerIsGone) {
  KcpPair pair(fast(), {.loss = 1});
  pair.a.write("nobody hears this");
  pair.a.session->close(done(), seconds(3));
  pair.run(milliseconds(2990));
  EXPECT_EQ(pair.a.closes, 0);
  pair.run(milliseconds(20));
  EXPECT_EQ(pair.a.closes, 1);
}

TEST(KcpExtension, HalfCloseThenAnswerThenOrderlyEndOverALossyLink) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    KcpPair pair(fast(ExtensionWish::ask), {.loss = 0.2, .duplicate = 0.1, .reorder = 0.1}, seed);
    pair.a.write("question");
    pair.run_until(seconds(60), [&] { return pair.b.received == "question"; });
    pair.a.session->shutdown_write();
    ASSERT_TRUE(pair.run_until(seconds(60), [&] { return pair.b.read_ends == 1; }));
    pair.b.write(std::string(20'000, 'a'));
    pair.b.session->shutdown_write();
    ASSERT_TRUE(pair.run_until(seconds(60), [&] { return pair.a.read_ends == 1; }));
    EXPECT_EQ(pair.a.received.size(), 20'000u);
    ASSERT_TRUE(pair.run_until(seconds(120), [&] { return pair.a.closes == 1 && pair.b.closes == 1; }));
    EXPECT_EQ(pair.a.closed->error.code, ErrorCode::peer_closed);
  }
}

TEST(KcpExtension, IsOffTheWireUnlessBothAsk) {
  for (const auto& [a, b] :
       {std::pair(ExtensionWish::ask, ExtensionWish::off), std::pair(ExtensionWish::off, ExtensionWish::ask),
        std::pair(ExtensionWish::off, ExtensionWish::off)}) {
    KcpPair pair;
    std::vector<std::string> sent;
    pair.a.tap = pair.b.tap = &sent;
    pair.a.start(fast(a), KcpSession::Role::dialer);
    pair.b.start(fast(b), KcpSession::Role::accepted);
    pair.a.write("hello");
    pair.b.write("hello");
    pair.run(seconds(100));
    pair.a.session->shutdown_write();
    pair.b.session->close(done(), Duration(0));
    pair.run(seconds(1));
    EXPECT_FALSE(pair.a.session->extension_agreed());
    for (const std::string& datagram : sent) {
      SegmentReader reader(as_bytes(datagram), 7);
      while (const auto segment = reader.next()) {
        EXPECT_TRUE(segment->cmd == kPush || segment->cmd == kAck);
        if (segment->cmd != kPush) EXPECT_TRUE(segment->payload.empty());
      }
    }
    EXPECT_LE(sent.size(), 4u);
  }
}

TEST(KcpExtension, ResetEndsThePeerAtOnce) {
  KcpPair pair(fast(ExtensionWish::ask), {});
  pair.a.write("hello");
  pair.run(seconds(1));
  ASSERT_TRUE(pair.a.session->extension_agreed() && pair.b.session->extension_agreed());
  pair.b.session->close(CloseReason::local(ErrorCode::overloaded, "too busy"), Duration(0));
  pair.run(milliseconds(50));
  EXPECT_EQ(pair.a.closes, 1);
  EXPECT_EQ(pair.a.closed->by, CloseReason::By::peer);
  EXPECT_THAT(to_string(*pair.a.closed), HasSubstr("reset"));
}

TEST(KcpExtension, AResetIsNoOrderlyEndWhileWeStillWrite) {
  KcpPair pair(fast(ExtensionWish::ask), {});
  pair.a.write("hello");
  pair.run(seconds(1));
  // Its end was heard and nothing of ours is unacknowledged, but ours has not ended.
  pair.b.session->shutdown_write();
  pair.run(seconds(1));
  ASSERT_EQ(pair.a.read_ends, 1);
  pair.b.session->close(CloseReason::local(ErrorCode::local_closed, ""), Duration(0));
  pair.run(milliseconds(100));
  ASSERT_EQ(pair.a.closes, 1);
  EXPECT_THAT(to_string(*pair.a.closed), HasSubstr("reset"));
  EXPECT_EQ(pair.a.closed->error.cause.value(), ECONNRESET);
}

TEST(KcpExtension, TheEndOfALingerIsHeardAsAResetAfterWhatWasDelivered) {
  KcpPair pair(fast(ExtensionWish::ask), {});
  pair.a.write("hello");
  pair.run(seconds(1));
  pair.a.reading = false;
  pair.b.write("the last words");
  pair.b.session->close(CloseReason::local(ErrorCode::local_closed, "done"), seconds(10));
  pair.run(seconds(1));
  ASSERT_EQ(pair.b.closes, 1);
  // What is here and unread is read first, however late.
  EXPECT_EQ(pair.a.closes, 0);
  const std::uint64_t sent = pair.a.datagrams;
  EXPECT_EQ(pair.a.session->write(as_bytes("nobody hears this")), 17u);
  pair.run(seconds(70));  // beyond keepalive and liveness_timeout
  EXPECT_EQ(pair.a.datagrams, sent);
  pair.a.read();
  pair.run(milliseconds(100));
  EXPECT_EQ(pair.a.received, "the last words");
  EXPECT_EQ(pair.a.read_ends, 1);
  ASSERT_EQ(pair.a.closes, 1);
  EXPECT_EQ(pair.a.closed->error.cause.value(), ECONNRESET);
}

TEST(KcpExtension, ADialerWithoutAnAnswerWaitsForItFiveSeconds) {
  KcpPair pair;
  pair.a.start(fast(ExtensionWish::ask), KcpSession::Role::dialer);
  pair.b.start(fast(ExtensionWish::off), KcpSession::Role::accepted);
  pair.a.write("hello");
  pair.run(seconds(1));
  pair.a.session->shutdown_write();
  pair.run(milliseconds(4900));
  EXPECT_EQ(pair.a.closes, 0);
  pair.run(milliseconds(200));
  ASSERT_EQ(pair.a.closes, 1);
  EXPECT_EQ(pair.a.closed->error.code, ErrorCode::local_closed);
}

TEST(KcpSession, AWriterThatFoundNoMemoryIsToldToTryAgain) {
  KcpPair pair(fast(), {});
  std::vector<Packet*> taken;
  while (Packet* const packet = pair.a.pool.take(kDatagramBytesMax)) taken.push_back(packet);
  while (Packet* const packet = pair.a.pool.take(1)) taken.push_back(packet);
  pair.a.write("hello");
  pair.run(seconds(1));
  EXPECT_EQ(pair.b.received, "");
  EXPECT_LE(pair.a.writable, 11);  // each 100 ms, not all the time
  for (Packet* const packet : taken) pair.a.pool.give(packet);
  pair.run(milliseconds(300));
  EXPECT_EQ(pair.b.received, "hello");
}

TEST(KcpExtension, SilenceEndsASessionAndKeepAlivesPreventIt) {
  KcpPair pair(fast(ExtensionWish::ask), {});
  pair.a.write("hello");
  pair.run(std::chrono::minutes(30));
  EXPECT_EQ(pair.a.closes + pair.b.closes, 0);
  pair.links[0].loss = pair.links[1].loss = 1;
  pair.run(seconds(61));
  EXPECT_EQ(pair.a.closes, 1);
  EXPECT_EQ(pair.b.closes, 1);
  EXPECT_THAT(to_string(*pair.a.closed), HasSubstr("liveness_timeout"));
}

TEST(KcpSession, ADeadLinkEndsTheSession) {
  KcpPair pair(fast(), {});
  pair.a.write("hello");
  pair.run(seconds(1));
  pair.links[0].loss = 1;
  pair.a.write("lost");
  pair.run(seconds(300));
  EXPECT_EQ(pair.a.closes, 1);
  EXPECT_THAT(to_string(*pair.a.closed), HasSubstr("dead_link"));
  EXPECT_EQ(pair.a.counters.lost_segments.read(), 19u);
}

// More is in flight than the window of who does not read, which was not known yet.
void overrun(KcpPair& pair) {
  pair.b.reading = false;
  for (int i = 0; i < 10; ++i) pair.a.write("message");
}

TEST(KcpSession, WhatAPausedReaderHasNoRoomForIsNoDeadLink) {
  KcpOptions options = fast();
  options.receive_window = 4;
  KcpPair pair(options, {});
  overrun(pair);
  pair.run(std::chrono::minutes(20));
  EXPECT_EQ(pair.a.closes + pair.b.closes, 0);
  EXPECT_EQ(pair.b.session->arq().received().waiting(), 4u);
  pair.b.reading = true;
  pair.b.read();
  pair.run(seconds(1));
  EXPECT_EQ(pair.b.received.size(), 70u);
  // From then on it counts again, from the beginning.
  pair.links[0].loss = 1;
  pair.a.write("lost");
  pair.run(seconds(300));
  EXPECT_THAT(to_string(*pair.a.closed), HasSubstr("after 20 transmissions (dead_link)"));
}

TEST(KcpSession, APeerThatIsGoneBehindAClosedWindowEndsBySilence) {
  KcpOptions options = fast();
  options.receive_window = 4;
  KcpPair pair(options, {});
  overrun(pair);
  pair.run(seconds(10));
  pair.links[0].loss = pair.links[1].loss = 1;
  pair.run(options.idle_timeout);
  EXPECT_EQ(pair.a.closes, 1);
  EXPECT_THAT(to_string(*pair.a.closed), HasSubstr("idle_timeout"));
}

TEST(KcpSession, AReaderThatReadsLateOpensTheWindowWithoutAProbe) {
  KcpOptions options = fast();
  options.receive_window = 4;
  KcpPair pair(options, {});
  pair.a.write("message");  // teaches the window
  pair.run(seconds(1));
  pair.b.reading = false;
  for (int i = 0; i < 10; ++i) pair.a.write("message");
  pair.run(milliseconds(300));
  EXPECT_EQ(pair.b.session->arq().received().waiting(), 4u);
  pair.b.reading = true;
  pair.b.read();
  pair.run(milliseconds(150));
  EXPECT_EQ(pair.b.received.size(), 77u);
}

TEST(KcpSession, AFullSinkLosesNothing) {
  KcpOptions options = fast();
  options.fec_data = 3;
  options.fec_parity = 2;
  KcpPair pair(options, {});
  pair.a.full = true;
  pair.a.write(std::string(20'000, 'x'));
  pair.run(seconds(1));
  EXPECT_EQ(pair.a.datagrams, 0u);
  EXPECT_FALSE(pair.a.session->flush(pair.a));
  pair.a.full = false;
  EXPECT_TRUE(pair.a.session->flush(pair.a));
  pair.run(seconds(5));
  EXPECT_EQ(pair.b.received.size(), 20'000u);
}

TEST(KcpSession, ASinkThatIsFullAfterAnyNumberOfDatagramsLosesNothing) {
  KcpOptions options = fast();
  options.fec_data = 3;
  options.fec_parity = 2;
  const std::string text(16'000, 'x');  // 12 segments: four whole groups with their parity, the last of all
  for (std::size_t rooms = 0; rooms <= 20; ++rooms) {
    SCOPED_TRACE(rooms);
    KcpPair pair(options, {});
    pair.a.rooms = rooms;
    pair.a.write(text);
    EXPECT_EQ(pair.a.session->flush(pair.a), rooms == 20);
    EXPECT_EQ(pair.a.datagrams, rooms);
    // The driver calls again when there is room: what is left leaves then, parity too.
    pair.a.rooms = SIZE_MAX;
    EXPECT_TRUE(pair.a.session->flush(pair.a));
    EXPECT_EQ(pair.a.datagrams, 20u);
    pair.run(seconds(5));
    EXPECT_EQ(pair.b.received, text);
  }
}

TEST(KcpSession, ALostDatagramDoesNotEndAnAnswerThatTheAmplificationBoundHolds) {
  const std::string answer(5000, 'a');
  KcpOptions options = fast();
  options.stream_mode = true;
  {
    // The only acknowledgement of the first piece is lost.
    KcpPair pair(options, {});
    pair.a.write(std::string(100, 'q'));
    ASSERT_TRUE(pair.run_until(seconds(1), [&] { return pair.b.received.size() == 100; }));
    pair.b.write(answer);
    pair.links[0].loss = 1;
    ASSERT_TRUE(pair.run_until(seconds(1), [&] { return pair.a.received.size() == 16; }));
    pair.settle();
    pair.links[0].loss = 0;
    pair.run(seconds(5));
    EXPECT_EQ(pair.a.received, answer);
  }
  {
    // The first piece is lost, and the request comes again before it is due again.
    KcpPair pair(options, {});
    pair.a.write(std::string(100, 'q'));
    ASSERT_TRUE(pair.run_until(seconds(1), [&] { return pair.b.received.size() == 100; }));
    pair.links[1].loss = 1;
    pair.b.write(answer);
    pair.settle();
    pair.links[1].loss = 0;
    pair.run(seconds(5));
    EXPECT_EQ(pair.a.received, answer);
  }
}

// Acknowledged, which validates nothing; and then two minutes of silence.
void write_twice_and_wait(KcpPair& pair) {
  pair.a.write("hello");
  pair.run(seconds(1));
  pair.a.write("hello");
  pair.run(std::chrono::minutes(2));
}

// The second write finds the first one held, and the peer silent for long.
void write_twice_before_an_answer(KcpPair& pair, const std::string& text) {
  pair.links[1].loss = 1;
  for (int i = 0; i < 2; ++i) {
    pair.b.write(text);
    pair.run(milliseconds(1));
  }
  pair.links[1].loss = 0;
  pair.run(seconds(9));
}

TEST(KcpSession, DataThatIsHeldAfterALongSilenceWaitsItsTime) {
  KcpPair pair(fast(), {});
  write_twice_and_wait(pair);
  const std::string news(5000, 'n');
  write_twice_before_an_answer(pair, news);
  EXPECT_EQ(pair.b.closes, 0);
  EXPECT_EQ(pair.a.received, news + news);
  EXPECT_GT(pair.b.counters.amplification_holds.read(), 0u);
}

TEST(KcpSession, DataThatIsHeldOnceMoreWaitsItsTimeAnew) {
  KcpPair pair(fast(), {});
  write_twice_and_wait(pair);
  const std::string news(5000, 'n');
  write_twice_before_an_answer(pair, news);
  pair.b.session->restart_validation(60);  // the peer has moved
  pair.run(std::chrono::minutes(2));
  const std::string more(20'000, 'm');
  write_twice_before_an_answer(pair, more);
  EXPECT_EQ(pair.b.closes, 0);
  EXPECT_EQ(pair.a.received, news + news + more + more);
}

TEST(KcpSession, DataThatIsHeldForAPeerThatIsGoneEndsTheSession) {
  const KcpOptions options = fast();
  KcpPair pair(options, {});
  write_twice_and_wait(pair);
  pair.links[0].loss = pair.links[1].loss = 1;
  pair.b.write(std::string(5000, 'n'));
  pair.run(options.half_open_timeout - milliseconds(1));
  EXPECT_EQ(pair.b.closes, 0);
  pair.run(milliseconds(2));
  ASSERT_EQ(pair.b.closes, 1);
  EXPECT_THAT(to_string(*pair.b.closed), HasSubstr("amplification_max"));
}

TEST(KcpSession, ADownloadGoesOnAfterAMoveThatASmallDatagramTold) {
  for (const bool lost : {false, true}) {
    SCOPED_TRACE(lost);
    KcpOptions options = fast();
    options.stream_mode = true;
    KcpPair pair(options, {});
    pair.a.write("get");
    const std::string file(200'000, 'f');
    ASSERT_TRUE(pair.run_until(seconds(1), [&] { return pair.b.received == "get"; }));
    pair.b.write(file);
    ASSERT_TRUE(pair.run_until(seconds(5), [&] { return pair.a.received.size() > 50'000; }));
    ASSERT_TRUE(pair.b.session->validated());
    // The old path is cut with all that is under way, and the dialer says one thing from elsewhere.
    pair.flights = {};
    pair.b.full = true;
    pair.a.write(std::string(50, 'm'));
    ASSERT_TRUE(pair.run_until(seconds(1), [&] { return pair.b.received.size() == 53; }));
    pair.b.session->restart_validation(74);
    pair.b.full = false;
    pair.links[1].loss = lost ? 1 : 0;
    const std::uint64_t before = pair.b.bytes;
    pair.b.flush();
    EXPECT_LE(pair.b.bytes - before, 3u * 74 + options.mtu);
    pair.links[1].loss = 0;
    pair.run(seconds(20));
    EXPECT_EQ(pair.a.received.size(), file.size());
    EXPECT_TRUE(pair.b.session->validated());
  }
}

TEST(KcpSession, AMessageIsCountedAndBeginsSmallForAnUnvalidatedPeer) {
  KcpPair pair(fast(), {});
  pair.a.write(std::string(100, 'q'));
  ASSERT_TRUE(pair.run_until(seconds(1), [&] { return pair.b.received.size() == 100; }));
  const std::string message(5000, 'm');
  ASSERT_TRUE(*pair.b.session->write_message(as_bytes(message)));
  pair.run(seconds(1));
  EXPECT_EQ(pair.a.received, message);
  EXPECT_THAT(pair.a.message_ends, ElementsAre(5000u));
  EXPECT_EQ(pair.b.counters.bytes_sent.read(), 5000u);
}

TEST(KcpOptions, EachBoundOnBothSides) {
  const auto refused = [](auto change) {
    KcpOptions options;
    change(options);
    return !options.check().has_value();
  };
  EXPECT_FALSE(refused([](KcpOptions& o) { o.receive_window = 65535; }));
  EXPECT_TRUE(refused([](KcpOptions& o) { o.receive_window = 65536; }));
  EXPECT_FALSE(refused([](KcpOptions& o) { o.mtu = 1500; }));
  EXPECT_TRUE(refused([](KcpOptions& o) { o.mtu = 1501; }));
  EXPECT_FALSE(refused([](KcpOptions& o) { o.fec_data = 128, o.fec_parity = 128; }));
  EXPECT_TRUE(refused([](KcpOptions& o) { o.fec_data = 128, o.fec_parity = 129; }));
  EXPECT_TRUE(refused([](KcpOptions& o) { o.fec_data = 3; }));
  EXPECT_TRUE(refused([](KcpOptions& o) { o.interval = milliseconds(9); }));
}

}  // namespace
}  // namespace wayport::transport::kcp
