// The doubles keep the promises of streams, and those of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/failing_stream.h"
#include "wayport/transport/testing/fragmenting_stream.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::transport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

using namespace std::chrono_literals;

class MemoryStreamTest : public ::testing::Test {
 protected:
  ~MemoryStreamTest() override {
    EXPECT_THAT(a.faults, IsEmpty());
    EXPECT_THAT(b.faults, IsEmpty());
  }
  void make(const MemoryOptions& options = {}) {
    pair = make_memory_pair(loop, loop, options);
    pair.a->start(a);
    pair.b->start(b);
  }
  static CloseReason bye() { return CloseReason::local(ErrorCode::local_closed, "bye"); }

  ManualClock clock;
  Loop loop{LoopOptions{.clock = &clock}};
  RecordingEvents a, b;
  MemoryPair pair;
};

TEST_F(MemoryStreamTest, CarriesBytesBothWays) {
  make();
  pair.a->write(chain_of("ping"));
  pair.b->write(chain_of("pong"));
  EXPECT_EQ(b.received, "");
  loop.drain();
  EXPECT_EQ(b.received, "ping");
  EXPECT_EQ(a.received, "pong");
  EXPECT_EQ(pair.a->peer().remote_url(), "mem://");
}

TEST_F(MemoryStreamTest, TwoLoopsOfOneThread) {
  Loop other(LoopOptions{.clock = &clock});
  pair = make_memory_pair(loop, other);
  pair.a->start(a);
  pair.b->start(b);
  pair.a->write(chain_of("x"));
  loop.drain();
  EXPECT_EQ(b.received, "");
  other.drain();
  EXPECT_EQ(b.received, "x");
  pair.b->close(bye());
  other.drain();
  loop.drain();
  EXPECT_EQ(a.read_ends, 1u);
  pair = {};
}

TEST_F(MemoryStreamTest, LatencyIsVirtualTime) {
  make({.latency = 50ms});
  pair.a->write(chain_of("slow"));
  pair.a->shutdown_write();
  loop.advance(49ms);
  EXPECT_EQ(b.received, "");
  loop.advance(1ms);
  EXPECT_EQ(b.received, "slow");
  EXPECT_EQ(b.read_ends, 1u);
}

TEST_F(MemoryStreamTest, TheWindowBoundsWhatIsUnread) {
  make({.window_bytes = 10, .stream = {.high_water_bytes = 8, .low_water_bytes = 2}});
  pair.b->read(false);
  EXPECT_EQ(pair.a->write(chain_of("0123456789abcdefgh")), Pressure::high);
  loop.drain();
  EXPECT_EQ(pair.a->queued(), 8u);
  EXPECT_EQ(a.writables, 0u);
  pair.b->read(true);
  loop.drain();
  EXPECT_EQ(pair.a->queued(), 0u);
  EXPECT_EQ(b.received, "0123456789abcdefgh");
  EXPECT_EQ(a.writables, 1u);
}

TEST_F(MemoryStreamTest, UnconsumedBytesAreShownAgainContiguous) {
  make({.show_bytes_max = 2});
  b.consume = [](MutableBytes bytes) { return bytes.size() / 3 * 3; };
  pair.a->write(chain_of("abcdef"));
  loop.drain();
  EXPECT_EQ(b.received, "abcdef");
  EXPECT_THAT(b.shown, ElementsAre(2, 4, 3));
}

TEST_F(MemoryStreamTest, DroppingAnEndShowsItsBytesAndThenTheEnd) {
  make();
  pair.a->write(chain_of("last"));
  loop.run_turn();
  pair.a.reset();
  loop.drain();
  EXPECT_EQ(b.received, "last");
  EXPECT_EQ(b.read_ends, 1u);
  pair.b->write(chain_of("to nobody"));
  loop.drain();
  ASSERT_TRUE(b.closed);
  EXPECT_EQ(b.closed->by, CloseReason::By::peer);
}

TEST_F(MemoryStreamTest, DroppingAnEndWithUnreadBytesIsAReset) {
  make();
  pair.a->read(false);
  pair.b->write(chain_of("unread"));
  loop.drain();
  pair.a.reset();
  loop.drain();
  ASSERT_TRUE(b.closed);
  EXPECT_THAT(b.closed->error.detail, HasSubstr("reset"));
}

TEST_F(MemoryStreamTest, ClosesByItselfWhenBothDirectionsEnded) {
  make();
  pair.a->shutdown_write();
  loop.drain();
  EXPECT_FALSE(b.closed);
  pair.b->shutdown_write();
  loop.drain();
  ASSERT_TRUE(a.closed && b.closed);
  EXPECT_EQ(a.closed->error.code, ErrorCode::peer_closed);
}

TEST_F(MemoryStreamTest, LingerDrainsOrEndsInTime) {
  make({.window_bytes = 4});
  pair.b->read(false);
  pair.a->write(chain_of("0123456789"));
  pair.a->close(bye(), {.time = 10s});
  loop.advance(5s);
  EXPECT_FALSE(a.closed);
  loop.advance(5s);
  EXPECT_TRUE(a.closed);

  RecordingEvents c, d;
  MemoryPair second = make_memory_pair(loop, loop, {.window_bytes = 4});
  second.a->start(c);
  second.b->start(d);
  second.a->write(chain_of("0123456789"));
  second.a->close(bye(), {.time = 10s});
  loop.drain();
  EXPECT_EQ(d.received, "0123456789");
  EXPECT_EQ(d.read_ends, 1u);
  EXPECT_FALSE(c.closed);
  second.b->close(bye());
  loop.drain();
  EXPECT_TRUE(c.closed);
}

TEST_F(MemoryStreamTest, TheHardBoundClosesWithOverloaded) {
  make({.window_bytes = 0, .stream = {.queue_bytes_max = 4}});
  pair.a->write(chain_of("0123"));
  loop.drain();
  EXPECT_FALSE(a.closed);
  pair.a->write(chain_of("4"));
  loop.drain();
  ASSERT_TRUE(a.closed);
  EXPECT_EQ(a.closed->error.code, ErrorCode::overloaded);
}

TEST_F(MemoryStreamTest, AReplacedConsumerSeesTheRest) {
  make();
  RecordingEvents next;
  b.consume = [&](MutableBytes) {
    pair.b->replace_events(next);
    return std::size_t{2};
  };
  pair.a->write(chain_of("hssession"));
  loop.drain();
  EXPECT_EQ(next.received, "session");
  EXPECT_EQ(b.received, "hs");
}

TEST_F(MemoryStreamTest, MayBeDroppedInsideEveryCallback) {
  for (int which = 0; which < 4; ++which) {
    RecordingEvents dropper, other;
    MemoryPair ends = make_memory_pair(loop, loop, {.stream = {.high_water_bytes = 1}});
    ends.a->start(dropper);
    ends.b->start(other);
    const auto drop = [&] { ends.a.reset(); };
    dropper.then_bytes = which == 0 ? drop : std::function<void()>();
    dropper.then_writable = which == 1 ? drop : std::function<void()>();
    dropper.then_read_end = which == 2 ? drop : std::function<void()>();
    dropper.then_closed = which == 3 ? drop : std::function<void()>();
    if (which == 0) ends.b->write(chain_of("x"));
    if (which == 1) ends.a->write(chain_of("x"));
    if (which == 2) ends.b->shutdown_write();
    if (which == 3) ends.a->close(bye());
    loop.drain();
    EXPECT_FALSE(ends.a) << which;
  }
}

TEST(FragmentingStream, ShowsPiecesAndGrowsThemWhileNothingIsConsumed) {
  ManualClock clock;
  Loop loop({.clock = &clock});
  MemoryPair pair = make_memory_pair(loop, loop);
  RecordingEvents writer, reader;
  reader.consume = [](MutableBytes bytes) { return bytes.size() / 4 * 4; };
  FragmentingStream chopped(std::move(pair.b), {1, 3});
  pair.a->start(writer);
  chopped.start(reader);
  pair.a->write(chain_of("abcdefgh"));
  loop.drain();
  EXPECT_EQ(reader.received, "abcdefgh");
  EXPECT_THAT(reader.shown, ElementsAre(1, 4, 1, 4));
}

TEST(FailingStream, AnEchoEndsOnEverySideWhicheverOperationFails) {
  std::size_t failed = 0;
  for (std::size_t n = 0;; ++n) {
    ManualClock clock;
    Loop loop({.clock = &clock});
    const auto count = std::make_shared<FailCount>(n);
    Transports all;
    all.add("mem", std::make_shared<FailingTransport>(std::make_shared<MemoryTransport>(), count));
    RecordingEvents client, server;
    std::unique_ptr<Stream> accepted;
    auto listener = all.listen(loop, *Address::parse("mem://echo"), {});
    if (!listener) {
      EXPECT_THAT(listener.error().detail, HasSubstr(kInjected));
      ++failed;
      continue;
    }
    (*listener)->start([&](std::unique_ptr<Incoming> incoming) {
      accepted = incoming->accept();
      server.consume = [&](MutableBytes bytes) {
        accepted->write(chain_of(as_text(bytes)));
        return bytes.size();
      };
      server.then_read_end = [&] { accepted->shutdown_write(); };
      accepted->start(server);
    });
    DialOutcome dial;
    dial_into(dial, all, loop, "mem://echo");
    loop.drain();
    ASSERT_TRUE(dial.done());
    if (*dial.result) {
      std::unique_ptr<Stream>& stream = **dial.result;
      stream->start(client);
      stream->write(chain_of("hello"));
      stream->shutdown_write();
      loop.drain();
      if (accepted && !server.closed) accepted->close(CloseReason::local(ErrorCode::local_closed, ""));
      loop.drain();
      EXPECT_TRUE(client.closed || client.read_ends == 1) << n;
      EXPECT_THAT(client.faults, IsEmpty());
      EXPECT_THAT(server.faults, IsEmpty());
    }
    if (!count->reached()) {
      EXPECT_EQ(client.received, "hello");
      break;
    }
    ++failed;
  }
  EXPECT_GE(failed, 8u);
}

TEST(MemoryTransport, NamesAreTakenFreedAndRefused) {
  Loop loop;
  Transports all;
  all.add("mem", std::make_shared<MemoryTransport>());
  DialOutcome nobody;
  dial_into(nobody, all, loop, "mem://x");
  loop.drain();
  EXPECT_THAT(nobody.error(), StartsWith("refused:"));
  auto listener = all.listen(loop, *Address::parse("mem://x"), {});
  ASSERT_TRUE(listener);
  EXPECT_FALSE(all.listen(loop, *Address::parse("mem://x"), {}));
  listener->reset();
  EXPECT_TRUE(all.listen(loop, *Address::parse("mem://x"), {}));
  EXPECT_FALSE(all.listen(loop, *Address::parse("mem://x?a=1"), {}));
}

TEST(MemoryTransport, ConnectsThroughTheTable) {
  Loop loop;
  Transports all;
  all.add("mem", std::make_shared<MemoryTransport>());
  Result<Connection> connection = connect_through(all, loop, "mem://x");
  ASSERT_TRUE(connection) << connection.error().to_string();
  RecordingEvents client, server;
  connection->client->start(client);
  connection->server->start(server);
  connection->client->write(chain_of("x"));
  EXPECT_TRUE(run_until(loop, [&] { return server.received == "x"; }));
}

}  // namespace
}  // namespace wayport::transport
