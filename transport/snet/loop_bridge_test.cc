#include "wayport/transport/snet/loop_bridge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wayport/base/loop.h"
#include "wayport/base/time.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::transport {
namespace {

using ::testing::IsEmpty;

// near_peer -- (memory) -- lower ==bridge== far; one thread runs both loops.
class LoopBridgeTest : public ::testing::Test {
 protected:
  LoopBridgeTest() {
    MemoryPair pair = make_memory_pair(below, below, {.window_bytes = 1 << 20});
    peer = std::move(pair.a);
    peer->start(peer_events);
    pair.b->start(early);
    far = bridge_to(above, std::move(pair.b),
                    {.high_water_bytes = 1000, .low_water_bytes = 100, .queue_bytes_max = 1 << 24});
  }
  ~LoopBridgeTest() override {
    EXPECT_THAT(events.faults, IsEmpty());
    EXPECT_THAT(peer_events.faults, IsEmpty());
  }
  void drain() {
    for (bool busy = true; busy;) {
      busy = below.run_turn();
      busy = above.run_turn() || busy;
    }
  }

  ManualClock clock;
  Loop below{LoopOptions{.clock = &clock}};
  Loop above{LoopOptions{.clock = &clock}};
  RecordingEvents peer_events, early, events;
  std::unique_ptr<Stream> peer, far;
};

TEST_F(LoopBridgeTest, CarriesBytesBothWaysAndTheEnd) {
  peer->write(chain_of("down"));
  drain();
  far->start(events);
  far->write(chain_of("up"));
  drain();
  EXPECT_EQ(events.received, "down");
  EXPECT_EQ(peer_events.received, "up");
  EXPECT_EQ(far->queued(), 0u);
  peer->shutdown_write();
  drain();
  EXPECT_EQ(events.read_ends, 1u);
  far->shutdown_write();
  drain();
  ASSERT_TRUE(events.closed);
  EXPECT_EQ(events.closed->error.code, ErrorCode::peer_closed);
  EXPECT_TRUE(peer_events.closed);
}

TEST_F(LoopBridgeTest, HoldsTheLowerStreamBackWhileItsConsumerDoesNotRead) {
  far->start(events);
  far->read(false);
  const std::string much(4 << 20, 'm');
  peer->write(chain_of(much));
  drain();
  EXPECT_EQ(events.received, "");
  EXPECT_GT(peer->queued(), 2u << 20);
  far->read(true);
  drain();
  EXPECT_EQ(events.received.size(), much.size());
  EXPECT_EQ(peer->queued(), 0u);
}

TEST_F(LoopBridgeTest, TellsPressureAndItsEnd) {
  far->start(events);
  peer->read(false);
  EXPECT_EQ(far->write(chain_of(std::string(2 << 20, 'x')), false), Pressure::high);
  drain();
  EXPECT_EQ(events.writables, 0u);
  EXPECT_GT(far->queued(), 0u);
  peer->read(true);
  drain();
  EXPECT_EQ(events.writables, 1u);
  EXPECT_EQ(peer_events.received.size(), 2u << 20);
}

TEST_F(LoopBridgeTest, ShowsUnconsumedBytesAgainContiguous) {
  events.consume = [](MutableBytes bytes) { return bytes.size() < 6 ? std::size_t{0} : bytes.size(); };
  far->start(events);
  peer->write(chain_of("abc"));
  drain();
  EXPECT_EQ(events.received, "");
  peer->write(chain_of("def"));
  drain();
  EXPECT_EQ(events.received, "abcdef");
}

TEST_F(LoopBridgeTest, DroppingOneEndEndsTheOther) {
  far->start(events);
  drain();
  far.reset();
  drain();
  EXPECT_TRUE(peer_events.read_ends != 0 || peer_events.closed);
}

TEST_F(LoopBridgeTest, ALingeringCloseDeliversWhatWasWritten) {
  far->start(events);
  far->write(chain_of("last words"));
  far->close(CloseReason::local(ErrorCode::local_closed, "done"), {std::chrono::seconds(5)});
  drain();
  EXPECT_EQ(peer_events.received, "last words");
  peer->shutdown_write();
  drain();
  ASSERT_TRUE(events.closed);
  EXPECT_EQ(events.closed->error.detail, "done");
}

TEST_F(LoopBridgeTest, ALoopThatClosesFirstLeaksNothing) {
  far->start(events);
  drain();
  peer.reset();
  below.close();
  far.reset();
}

}  // namespace
}  // namespace wayport::transport
