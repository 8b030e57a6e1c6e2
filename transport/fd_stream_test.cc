#include "wayport/transport/fd_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

#include "wayport/transport/testing/recorder.h"

namespace wayport::transport {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

using namespace std::chrono_literals;

// One stream under test, whose other end is a bare descriptor, in virtual time.
class FdStreamTest : public ::testing::Test {
 protected:
  FdStreamTest() { make({}); }
  ~FdStreamTest() override { EXPECT_THAT(events.faults, IsEmpty()); }

  void make(const StreamOptions& options) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    own_fd = ends[0];
    remote = Fd(ends[1]);
    stream = make_fd_stream(loop, Fd(ends[0]), {}, options);
  }
  // The same over TCP, where resets exist.
  void make_tcp(const StreamOptions& options) {
    const Fd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(where);
    ASSERT_EQ(::bind(listening.get(), reinterpret_cast<sockaddr*>(&where), size), 0);
    ASSERT_EQ(::listen(listening.get(), 1), 0);
    ASSERT_EQ(::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&where), &size), 0);
    remote = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(remote.get(), reinterpret_cast<sockaddr*>(&where), size), 0);
    Fd accepted(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    own_fd = accepted.get();
    ASSERT_TRUE(set_nonblocking(remote.get()));
    stream = make_fd_stream(loop, std::move(accepted), {}, options);
  }

  void start() { stream->start(events); }
  void remote_sends(std::string_view text) {
    ASSERT_EQ(::send(remote.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    loop.drain();
  }
  // What has arrived; a final "<end>" or "<reset>" tells how it ended.
  std::string remote_receives() {
    std::string all;
    std::array<char, 65536> buffer;
    for (;;) {
      const ssize_t got = ::recv(remote.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got > 0) {
        all.append(buffer.data(), static_cast<std::size_t>(got));
      } else {
        return all + (got == 0 ? "<end>" : errno == ECONNRESET ? "<reset>" : "");
      }
    }
  }
  void remote_resets() {
    const linger abort{1, 0};
    ::setsockopt(remote.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    remote.reset();
    loop.drain();
  }
  Pressure write(std::string_view text) {
    return events.call([&] { return stream->write(chain_of(text)); });
  }
  void close(Linger linger = {}) {
    events.call([&] { stream->close(CloseReason::local(ErrorCode::local_closed, "test"), linger); });
  }
  // Writes until the kernel takes no more, and some is queued.
  void fill_kernel() {
    while (stream->queued() == 0) {
      write(std::string(64 * 1024, 'x'));
      loop.drain();
    }
  }

  ManualClock clock;
  Loop loop{LoopOptions{.clock = &clock}};
  RecordingEvents events;
  std::unique_ptr<Stream> stream;
  Fd remote;
  int own_fd = -1;
};

TEST_F(FdStreamTest, ShowsWhatArrives) {
  start();
  remote_sends("hello");
  EXPECT_EQ(events.received, "hello");
  EXPECT_EQ(events.message_ends, 0u);
}

TEST_F(FdStreamTest, BytesThatArrivedBeforeStartAreShownAfterIt) {
  remote_sends("early");
  start();
  loop.drain();
  EXPECT_EQ(events.received, "early");
}

TEST_F(FdStreamTest, UnconsumedBytesAreShownAgainContiguousWithTheNext) {
  start();
  // Takes whole units of three only.
  events.consume = [](MutableBytes bytes) { return bytes.size() / 3 * 3; };
  remote_sends("a");
  remote_sends("bcd");
  remote_sends("efgh");
  remote_sends("i");
  EXPECT_EQ(events.received, "abcdefghi");
  EXPECT_THAT(events.shown, ElementsAre(1, 4, 5, 3));
}

TEST_F(FdStreamTest, GivesTheSameBytesForEverySplit) {
  const std::string text = "the quick brown fox jumps over the lazy dog";
  for (const std::size_t step : {1, 2, 3, 5, 8, 43}) {
    for (const std::size_t unit : {1, 2, 7}) {
      make({});
      RecordingEvents split;
      split.consume = [&](MutableBytes bytes) { return bytes.size() / unit * unit; };
      stream->start(split);
      for (std::size_t at = 0; at < text.size(); at += step) remote_sends(text.substr(at, step));
      EXPECT_EQ(split.received, text.substr(0, text.size() / unit * unit)) << step << " " << unit;
      stream.reset();
    }
  }
}

TEST_F(FdStreamTest, LeavingMoreThanTheBoundUnconsumedCloses) {
  for (const std::size_t left : {kUnconsumedBytesMax, kUnconsumedBytesMax + 1}) {
    make({});
    RecordingEvents hoarder;
    hoarder.consume = [](MutableBytes) { return std::size_t{0}; };
    stream->start(hoarder);
    remote_sends(std::string(left / 2, 'x'));
    remote_sends(std::string(left - left / 2, 'x'));
    EXPECT_EQ(hoarder.closed.has_value(), left > kUnconsumedBytesMax);
    EXPECT_TRUE(!hoarder.closed || hoarder.closed->error.code == ErrorCode::internal);
    stream.reset();
  }
}

TEST_F(FdStreamTest, AConsumerThatStopsReadingMayLeaveAllItWasShown) {
  start();
  const int large = 4 << 20;
  ::setsockopt(remote.get(), SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
  const std::string flood(512 * 1024, 'x');
  ASSERT_EQ(::send(remote.get(), flood.data(), flood.size(), 0), static_cast<ssize_t>(flood.size()));
  bool stop = true;
  events.consume = [&](MutableBytes bytes) {
    if (!stop) return bytes.size();
    stream->read(false);
    return std::size_t{1};
  };
  loop.drain();
  EXPECT_FALSE(events.closed);
  EXPECT_EQ(events.received.size(), 1u);
  stop = false;
  events.call([&] { stream->read(true); });
  loop.drain();
  EXPECT_FALSE(events.closed);
  EXPECT_EQ(events.received.size(), flood.size());
}

TEST_F(FdStreamTest, AReadTakesAtMostOneScratchBufferPerTurn) {
  start();
  const int large = 4 << 20;
  ::setsockopt(remote.get(), SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
  const std::string flood(1 << 20, 'x');
  const ssize_t sent = ::send(remote.get(), flood.data(), flood.size(), 0);
  ASSERT_GT(sent, 0);
  loop.run_turn();
  EXPECT_THAT(events.shown, SizeIs(1));
  loop.drain();
  EXPECT_EQ(events.received.size(), static_cast<std::size_t>(sent));
  EXPECT_THAT(events.shown, Each(Le(256u * 1024)));
}

TEST_F(FdStreamTest, ReadOffStopsAndReadOnGoesOn) {
  start();
  stream->read(false);
  remote_sends("later");
  EXPECT_EQ(events.received, "");
  events.call([&] { stream->read(true); });
  loop.drain();
  EXPECT_EQ(events.received, "later");
}

TEST_F(FdStreamTest, ReadOnShowsUnconsumedBytesAgain) {
  start();
  events.consume = [&](MutableBytes) { return std::size_t{0}; };
  events.then_bytes = [&] { stream->read(false); };
  remote_sends("kept");
  EXPECT_EQ(events.received, "");
  events.consume = nullptr;
  events.then_bytes = nullptr;
  events.call([&] { stream->read(true); });
  loop.drain();
  EXPECT_EQ(events.received, "kept");
  EXPECT_THAT(events.shown, ElementsAre(4, 4));
}

TEST_F(FdStreamTest, WritesOfATurnLeaveTogetherAtItsEnd) {
  start();
  write("a");
  write("b");
  EXPECT_EQ(stream->queued(), 2u);
  EXPECT_EQ(remote_receives(), "");
  loop.drain();
  EXPECT_EQ(stream->queued(), 0u);
  EXPECT_EQ(remote_receives(), "ab");
}

TEST_F(FdStreamTest, AQueueOfManyChunksLeavesInOrder) {
  start();
  std::string all;
  for (int i = 0; i < 3000; ++i) {
    Chain chain;  // a chunk of its own each
    const std::string piece = std::to_string(i) + std::string(20 + i % 3000, static_cast<char>('a' + i % 26));
    chain.append(piece);
    all += piece;
    stream->write(std::move(chain), false);
  }
  std::string got;
  for (int i = 0; i < 10000 && got.size() < all.size(); ++i) {
    loop.drain();
    got += remote_receives();
  }
  EXPECT_TRUE(got == all);
}

TEST_F(FdStreamTest, PressureIsHighFromHighWaterAndEndsBelowLowWater) {
  make({.high_water_bytes = 1000, .low_water_bytes = 100});
  start();
  EXPECT_EQ(write(std::string(999, 'x')), Pressure::none);
  EXPECT_EQ(write("x"), Pressure::high);
  EXPECT_EQ(events.writables, 0u);
  loop.drain();
  EXPECT_EQ(events.writables, 1u);
  write("x");
  loop.drain();
  EXPECT_EQ(events.writables, 1u);
}

TEST_F(FdStreamTest, WaitsForAFullKernelAndGoesOn) {
  make({.high_water_bytes = 1000, .low_water_bytes = 100});
  start();
  fill_kernel();
  events.writables = 0;
  const std::size_t stuck = stream->queued();
  loop.drain();
  EXPECT_EQ(stream->queued(), stuck);
  EXPECT_EQ(events.writables, 0u);
  while (stream->queued() != 0) {
    remote_receives();
    loop.drain();
  }
  EXPECT_EQ(events.writables, 1u);
}

TEST_F(FdStreamTest, AProducerThatRefillsOnWritableDoesNotHoldTheTurn) {
  make({.high_water_bytes = 100, .low_water_bytes = 10});
  start();
  events.then_writable = [&] { stream->write(chain_of(std::string(100, 'x'))); };
  write(std::string(100, 'x'));
  loop.run_turn();
  EXPECT_EQ(events.writables, 1u);
  loop.run_turn();
  EXPECT_EQ(events.writables, 2u);
}

TEST_F(FdStreamTest, TheHardBoundClosesWithOverloaded) {
  make({.queue_bytes_max = 1000});
  start();
  write(std::string(1000, 'x'));
  loop.drain();
  EXPECT_FALSE(events.closed);
  EXPECT_EQ(remote_receives().size(), 1000u);
  write(std::string(999, 'x'));
  EXPECT_EQ(write("xx"), Pressure::high);
  EXPECT_EQ(stream->queued(), 0u);
  loop.drain();
  ASSERT_TRUE(events.closed);
  EXPECT_EQ(events.closed->by, CloseReason::By::local);
  EXPECT_EQ(events.closed->error.code, ErrorCode::overloaded);
  EXPECT_THAT(events.closed->error.detail, HasSubstr("1001"));
}

TEST_F(FdStreamTest, ThePeersEndIsToldAndWritingStillWorks) {
  start();
  ::shutdown(remote.get(), SHUT_WR);
  loop.drain();
  EXPECT_EQ(events.read_ends, 1u);
  EXPECT_FALSE(events.closed);
  write("still");
  loop.drain();
  EXPECT_EQ(remote_receives(), "still");
}

TEST_F(FdStreamTest, ShutdownWriteSendsTheEndAfterTheQueue) {
  start();
  write("last");
  events.call([&] { stream->shutdown_write(); });
  write("dropped");
  loop.drain();
  EXPECT_EQ(remote_receives(), "last<end>");
  remote_sends("reading goes on");
  EXPECT_EQ(events.received, "reading goes on");
}

TEST_F(FdStreamTest, ItClosesByItselfWhenBothDirectionsEnded) {
  for (const bool peer_first : {false, true}) {
    make({});
    RecordingEvents both;
    stream->start(both);
    if (peer_first) ::shutdown(remote.get(), SHUT_WR);
    loop.drain();
    stream->shutdown_write();
    loop.drain();
    EXPECT_EQ(both.closed.has_value(), peer_first);
    ::shutdown(remote.get(), SHUT_WR);
    loop.drain();
    ASSERT_TRUE(both.closed);
    EXPECT_EQ(both.read_ends, 1u);
    EXPECT_EQ(both.closed->by, CloseReason::By::peer);
    EXPECT_EQ(both.closed->error.code, ErrorCode::peer_closed);
    EXPECT_THAT(both.faults, IsEmpty());
    stream.reset();
  }
}

TEST_F(FdStreamTest, CloseAbortsAndTellsAtTurnEnd) {
  start();
  write("lost");
  close();
  EXPECT_FALSE(events.closed);
  loop.drain();
  ASSERT_TRUE(events.closed);
  EXPECT_EQ(events.closed->by, CloseReason::By::local);
  EXPECT_EQ(events.closed->error.detail, "test");
  EXPECT_EQ(remote_receives(), "<end>");
  close();
  loop.drain();
}

TEST_F(FdStreamTest, CloseBeforeStartIsSilent) {
  stream->close(CloseReason::local(ErrorCode::local_closed, "never wanted"), {});
  loop.drain();
  EXPECT_EQ(remote_receives(), "<end>");
}

TEST_F(FdStreamTest, CloseWithLingerDrainsAndWaitsForThePeersEnd) {
  start();
  fill_kernel();
  close({.time = 10s});
  remote_sends("nobody reads this");
  std::string got;
  for (int i = 0; i < 1000 && !got.ends_with("<end>"); ++i) {
    got += remote_receives();
    loop.drain();
  }
  EXPECT_TRUE(got.ends_with("x<end>"));
  EXPECT_FALSE(events.closed);
  remote.reset();
  loop.drain();
  ASSERT_TRUE(events.closed);
  EXPECT_EQ(events.closed->error.detail, "test");
  EXPECT_EQ(events.received, "");
}

TEST_F(FdStreamTest, CloseWithLingerEndsWhenItsTimeIsOver) {
  start();
  fill_kernel();
  close({.time = 10s});
  loop.advance(9s);
  EXPECT_FALSE(events.closed);
  loop.advance(1s + 1ms);
  EXPECT_TRUE(events.closed);
}

TEST_F(FdStreamTest, ALaterCloseShortensTheLingerAndNeverLengthensIt) {
  start();
  fill_kernel();
  close({.time = 10s});
  close({.time = 20s});
  close({.time = 1s});
  loop.advance(1s + 1ms);
  EXPECT_TRUE(events.closed);

  make({});
  RecordingEvents second;
  stream->start(second);
  fill_kernel();
  stream->close(CloseReason::local(ErrorCode::local_closed, "first"), {.time = 10s});
  stream->close(CloseReason::local(ErrorCode::local_closed, "second"), {});
  loop.drain();
  ASSERT_TRUE(second.closed);
  EXPECT_EQ(second.closed->error.detail, "first");
  stream.reset();
}

TEST_F(FdStreamTest, APeerThatLeavesDuringTheLingerEndsIt) {
  start();
  fill_kernel();
  close({.time = 10s});
  loop.drain();
  remote.reset();
  loop.drain();
  EXPECT_TRUE(events.closed);
}

TEST_F(FdStreamTest, AResetIsPeerClosed) {
  make_tcp({});
  start();
  remote_resets();
  ASSERT_TRUE(events.closed);
  EXPECT_EQ(events.closed->by, CloseReason::By::peer);
  EXPECT_EQ(events.closed->error.code, ErrorCode::peer_closed);
  EXPECT_EQ(events.closed->error.cause.value(), ECONNRESET);
  EXPECT_EQ(events.read_ends, 0u);
}

TEST_F(FdStreamTest, AResetWhileThePausedConsumerHasOutputQueuedIsSeen) {
  make_tcp({});
  start();
  stream->read(false);
  fill_kernel();
  remote_resets();
  EXPECT_TRUE(events.closed);
}

TEST_F(FdStreamTest, AResetIsHeardWhileNobodyReads) {
  for (const bool bytes : {false, true}) {
    events = {};
    make_tcp({});
    start();
    stream->read(false);
    if (bytes) remote_sends("never read");
    loop.drain();
    ASSERT_FALSE(events.closed);
    remote_resets();
    ASSERT_TRUE(events.closed);
    EXPECT_EQ(events.closed->error.cause.value(), ECONNRESET);
    EXPECT_EQ(events.received, "");
  }
}

TEST_F(FdStreamTest, APeerThatLeftIsHeardOutBeforeAFailedWriteCloses) {
  start();
  ASSERT_EQ(::send(remote.get(), "last words", 10, 0), 10);
  remote.reset();
  write("nobody is there");
  loop.drain();
  EXPECT_EQ(events.received, "last words");
  EXPECT_EQ(events.read_ends, 1u);
  ASSERT_TRUE(events.closed);
  EXPECT_EQ(events.closed->by, CloseReason::By::peer);
}

TEST_F(FdStreamTest, AHalfClosedStreamDoesNotSpin) {
  start();
  remote.reset();
  loop.drain();  // aborts the test if the loop never becomes idle
  EXPECT_EQ(events.read_ends, 1u);
  write("x");
  loop.drain();
  EXPECT_TRUE(events.closed);
}

TEST_F(FdStreamTest, APausedStreamWhosePeerLeftDoesNotSpin) {
  start();
  stream->read(false);
  ASSERT_EQ(::send(remote.get(), "bye", 3, 0), 3);
  remote.reset();
  loop.drain();
  EXPECT_EQ(events.received, "");
  stream->read(true);
  loop.drain();
  EXPECT_EQ(events.received, "bye");
  EXPECT_EQ(events.read_ends, 1u);
}

TEST_F(FdStreamTest, DetachGivesAnIdleSocketAway) {
  start();
  remote_sends("read");
  std::optional<Fd> given = stream->detach();
  ASSERT_TRUE(given);
  EXPECT_EQ(given->get(), own_fd);
  stream.reset();
  loop.drain();
  EXPECT_EQ(::send(given->get(), "raw", 3, 0), 3);
  EXPECT_EQ(remote_receives(), "raw");
  EXPECT_FALSE(events.closed);
}

TEST_F(FdStreamTest, DetachIsRefusedWhileAnythingIsBuffered) {
  start();
  write("x");
  EXPECT_FALSE(stream->detach());
  loop.drain();
  events.consume = [](MutableBytes) { return std::size_t{0}; };
  events.then_bytes = [&] { EXPECT_FALSE(stream->detach()); };
  remote_sends("y");
  EXPECT_FALSE(stream->detach());
  events.consume = nullptr;
  events.then_bytes = nullptr;
  remote_sends("z");
  EXPECT_TRUE(stream->detach());
}

TEST_F(FdStreamTest, AReplacedConsumerSeesTheRestAndTheEnd) {
  RecordingEvents next;
  start();
  // A handshake of two bytes, and a session behind it.
  events.consume = [&](MutableBytes) {
    stream->replace_events(next);
    return std::size_t{2};
  };
  remote_sends("hssession");
  EXPECT_EQ(events.received, "hs");
  EXPECT_EQ(next.received, "session");
  ::shutdown(remote.get(), SHUT_WR);
  loop.drain();
  EXPECT_EQ(next.read_ends, 1u);

  RecordingEvents last;
  stream->replace_events(last);
  loop.drain();
  EXPECT_EQ(last.read_ends, 1u);
  EXPECT_THAT(next.faults, IsEmpty());
  stream->close(CloseReason::local(ErrorCode::local_closed, ""), {});
  loop.drain();
  EXPECT_TRUE(last.closed);
  EXPECT_FALSE(next.closed);
}

TEST_F(FdStreamTest, AConsumerReplacedLaterIsShownWhatIsKept) {
  RecordingEvents next;
  start();
  events.consume = [](MutableBytes) { return std::size_t{1}; };
  remote_sends("kept");
  events.call([&] { stream->replace_events(next); });
  EXPECT_EQ(next.received, "");
  loop.drain();
  EXPECT_EQ(next.received, "ept");
}

TEST_F(FdStreamTest, MayBeDroppedInsideEveryCallback) {
  const auto drop = [&] { stream.reset(); };
  const auto fresh = [&](RecordingEvents& consumer, const StreamOptions& options = {}) {
    make(options);
    stream->start(consumer);
  };
  {
    RecordingEvents e;
    fresh(e);
    e.then_bytes = drop;
    remote_sends("x");
    EXPECT_EQ(remote_receives(), "<end>");
  }
  {
    RecordingEvents e;
    fresh(e, {.high_water_bytes = 1});
    e.then_writable = drop;
    stream->write(chain_of("x"));
    loop.drain();
    EXPECT_EQ(remote_receives(), "x<end>");
  }
  {
    RecordingEvents e;
    fresh(e);
    e.then_read_end = drop;
    ::shutdown(remote.get(), SHUT_WR);
    loop.drain();
    EXPECT_EQ(e.read_ends, 1u);
  }
  {
    RecordingEvents e;
    fresh(e);
    e.then_closed = drop;
    stream->close(CloseReason::local(ErrorCode::local_closed, ""), {});
    loop.drain();
    EXPECT_TRUE(e.closed);
  }
  {
    RecordingEvents e;  // last words of a peer that left
    fresh(e);
    e.then_bytes = drop;
    ASSERT_EQ(::send(remote.get(), "x", 1, 0), 1);
    remote.reset();
    stream->write(chain_of("x"));
    loop.drain();
    EXPECT_EQ(e.received, "x");
  }
  EXPECT_FALSE(stream);
}

TEST_F(FdStreamTest, MayBeClosedInsideEveryCallback) {
  for (const Duration linger : {Duration(0), Duration(1s)}) {
    RecordingEvents e;
    make({});
    stream->start(e);
    e.then_bytes = [&] { stream->close(CloseReason::local(ErrorCode::malformed, "bad"), {.time = linger}); };
    remote_sends("x");
    remote.reset();
    loop.drain();
    ASSERT_TRUE(e.closed);
    EXPECT_EQ(e.closed->error.code, ErrorCode::malformed);
    EXPECT_THAT(e.faults, IsEmpty());
    stream.reset();
  }
}

TEST_F(FdStreamTest, ANegativeLingerAbortsAsAResetAlsoAfterThePeersEndAndWithBytesQueued) {
  for (const bool half_closed : {false, true}) {
    for (const bool queued : {false, true}) {
      for (const bool draining : {false, true}) {
        SCOPED_TRACE(std::to_string(half_closed) + std::to_string(queued) + std::to_string(draining));
        stream.reset();
        make_tcp({});
        events = RecordingEvents();
        start();
        if (half_closed) {
          ::shutdown(remote.get(), SHUT_WR);
          loop.drain();
          ASSERT_EQ(events.read_ends, 1u);
        }
        if (queued) fill_kernel();
        if (draining) close({1h});
        close({-1ns});
        loop.drain();
        ASSERT_TRUE(events.closed);
        EXPECT_EQ(events.closed->error.detail, "test");
        const std::string got = remote_receives();
        EXPECT_EQ(got.substr(got.find_last_not_of('x') == std::string::npos ? 0 : got.find('<')), "<reset>");
      }
    }
  }
}

TEST_F(FdStreamTest, ANegativeLingerOnAUnixSocketIsAnAbort) {
  start();
  fill_kernel();
  close({-1ns});
  loop.drain();
  ASSERT_TRUE(events.closed);
  EXPECT_THAT(remote_receives(), testing::EndsWith("<end>"));
}

TEST_F(FdStreamTest, DroppingWithWorkPendingCallsNothing) {
  start();
  write("lost");
  stream.reset();
  loop.drain();
  EXPECT_EQ(remote_receives(), "<end>");
  EXPECT_FALSE(events.closed);
}

TEST_F(FdStreamTest, AnIdleStreamCostsAbout300BytesAndAllocatesNothingPerMessage) {
  EXPECT_LE(sizeof(FdStream), 312u);
  EXPECT_LE(::malloc_usable_size(stream.get()), 320u);
  start();
  const auto echo = [&] {
    remote_sends("ping");
    write("pong");
    loop.drain();
    remote_receives();
  };
  events.received.reserve(1 << 16);
  events.shown.reserve(1 << 12);
  for (int i = 0; i < 10; ++i) echo();
  const auto blocks = loop.chunks().system_allocations();
  const std::size_t free = loop.chunks().free_bytes();
  for (int i = 0; i < 100; ++i) echo();
  EXPECT_EQ(loop.chunks().system_allocations(), blocks);
  EXPECT_EQ(loop.chunks().free_bytes(), free);
}

TEST(CloseReasonOf, TellsWhoEndedIt) {
  EXPECT_EQ(close_reason(ECONNRESET, "x").by, CloseReason::By::peer);
  EXPECT_EQ(close_reason(EPIPE, "x").error.code, ErrorCode::peer_closed);
  EXPECT_EQ(close_reason(ETIMEDOUT, "x").error.code, ErrorCode::timed_out);
  EXPECT_EQ(close_reason(EHOSTUNREACH, "x").error.code, ErrorCode::unreachable);
  EXPECT_EQ(close_reason(EIO, "x").error.code, ErrorCode::io);
  EXPECT_EQ(close_reason(EIO, "x").by, CloseReason::By::system);
}

}  // namespace
}  // namespace wayport::transport
