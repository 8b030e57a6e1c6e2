#include "wayport/gateway/relay/relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "wayport/transport/testing/failing_stream.h"
#include "wayport/transport/testing/fragmenting_stream.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::relay {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using transport::chain_of;
using transport::FailCount;
using transport::FailingStream;
using transport::FragmentingStream;
using transport::make_memory_pair;
using transport::MemoryOptions;
using transport::MemoryPair;
using transport::RecordingEvents;
using transport::Stream;

// A stream that closes when its own end was sent, as kcp: no half-close.
class OneEndStream final : public Stream, private transport::StreamEvents, private Timer {
 public:
  explicit OneEndStream(std::unique_ptr<Stream> lower) : lower_(std::move(lower)) {}
  void start(transport::StreamEvents& events) override {
    events_ = &events;
    lower_->start(*this);
  }
  void read(bool on) override { lower_->read(on); }
  transport::Pressure write(Chain&& chain, bool end) override { return lower_->write(std::move(chain), end); }
  std::size_t queued() const noexcept override { return lower_->queued(); }
  void shutdown_write() override { loop().arm(*this, loop().now() + 1ms); }
  void close(CloseReason reason, transport::Linger linger) override { lower_->close(std::move(reason), linger); }
  void replace_events(transport::StreamEvents& events) override { events_ = &events; }
  const transport::PeerInfo& peer() const noexcept override { return lower_->peer(); }
  Loop& loop() const noexcept override { return lower_->loop(); }

 private:
  std::size_t on_bytes(MutableBytes bytes, bool end) override { return events_->on_bytes(bytes, end); }
  void on_writable() override { events_->on_writable(); }
  void on_read_end() override { events_->on_read_end(); }
  void on_closed(const CloseReason& reason) override { events_->on_closed(reason); }
  void on_timer() override {
    if (lower_->queued() != 0) return shutdown_write();
    lower_->close(CloseReason::local(ErrorCode::local_closed, "the queue was sent"), {});
  }

  std::unique_ptr<Stream> lower_;
  transport::StreamEvents* events_ = nullptr;
};

// Two connections with a relay between them.
struct World {
  explicit World(const MemoryOptions& memory = {}) {
    client_pair = make_memory_pair(loop, loop, memory);
    backend_pair = make_memory_pair(loop, loop, memory);
    client.stream = std::move(client_pair.a);
    backend.stream = std::move(backend_pair.a);
    client.stream->start(client.events);
    backend.stream->start(backend.events);
    to_client.stream = std::move(client_pair.b);
    to_backend.stream = std::move(backend_pair.b);
  }

  void join(Chain kept = {}, Chain preface = {}) {
    relay = std::make_unique<Relay>(std::move(to_client), std::move(to_backend), options, [this](const RelayReport& r) {
      ++reports;
      report = r;
      if (drop_at_end) relay.reset();
    });
    relay->start(std::move(kept), std::move(preface));
    loop.drain();
  }

  struct Outside {
    std::unique_ptr<Stream> stream;
    RecordingEvents events;

    void write(std::string_view text) {
      events.call([&] { stream->write(chain_of(text)); });
    }
    void end() {
      events.call([&] { stream->shutdown_write(); });
    }
    bool over() const { return events.read_ends != 0 || events.closed; }
  };

  ManualClock clock;
  Loop loop{LoopOptions{.clock = &clock}};
  MemoryPair client_pair, backend_pair;
  Outside client, backend;
  RelayEndpoint to_client, to_backend;
  RelayOptions options;
  std::unique_ptr<Relay> relay;
  RelayReport report;
  int reports = 0;
  bool drop_at_end = false;
};

std::string pattern(std::size_t size, unsigned seed) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 2654435761u + seed) >> 13);
  return text;
}

TEST(Relay, CarriesBytesBothWaysAndEndsInOrder) {
  World w;
  w.join();
  w.client.write("ask");
  w.loop.drain();
  w.backend.write("answer");
  w.loop.drain();
  EXPECT_EQ(w.backend.events.received, "ask");
  EXPECT_EQ(w.client.events.received, "answer");
  EXPECT_EQ(w.relay->bytes_from(RelaySide::backend), 6u);
  w.client.end();
  w.loop.drain();
  EXPECT_EQ(w.backend.events.read_ends, 1u);
  EXPECT_EQ(w.reports, 0);
  w.backend.end();
  w.loop.drain();
  ASSERT_EQ(w.reports, 1);
  EXPECT_EQ(w.report.end, RelayEnd::both_ended);
  EXPECT_EQ(w.report.first_end, RelaySide::client);
  EXPECT_EQ(w.report.bytes_from_client, 3u);
  EXPECT_EQ(w.report.bytes_from_backend, 6u);
  EXPECT_EQ(w.report.mode, RelayMode::copy);
  EXPECT_EQ(w.report.client.error.code, ErrorCode::peer_closed);
  EXPECT_EQ(w.report.backend.error.code, ErrorCode::peer_closed);
}

TEST(Relay, SendsThePrefaceAndWhatTheClientHadSentBeforeAllElse) {
  World w;
  w.client.write(" third");
  w.join(chain_of(" second"), chain_of("first"));
  EXPECT_EQ(w.backend.events.received, "first second third");
  EXPECT_EQ(w.relay->bytes_from(RelaySide::client), 13u) << "the preface is not the client's";
}

TEST(Relay, TakesOverAStreamThatSomebodyElseStarted) {
  World w;
  RecordingEvents handshake;
  handshake.consume = [&](MutableBytes bytes) {
    w.to_client.stream->read(false);
    return std::min<std::size_t>(bytes.size(), 4);
  };
  w.to_client.stream->start(handshake);
  w.client.write("nameask");
  w.loop.drain();
  ASSERT_EQ(handshake.received, "name");
  w.to_client.started = true;
  w.join();
  EXPECT_EQ(w.backend.events.received, "ask");
  EXPECT_EQ(w.report.bytes_from_client + w.relay->bytes_from(RelaySide::client), 3u);
}

// Every order of two writes and two ends, with and without a turn between them.
TEST(Relay, LosesNothingInAnyOrderOfWritesAndEnds) {
  const std::string big = pattern(700'000, 1);
  std::vector<int> order = {0, 1, 2, 3};
  do {
    if (std::ranges::find(order, 0) > std::ranges::find(order, 1)) continue;  // the client writes, then ends
    if (std::ranges::find(order, 2) > std::ranges::find(order, 3)) continue;
    for (unsigned turns = 0; turns < 16; ++turns) {
      World w({.window_bytes = 32 * 1024, .stream = {.high_water_bytes = 16 * 1024, .low_water_bytes = 4096}});
      w.join();
      for (std::size_t i = 0; i < order.size(); ++i) {
        if (order[i] == 0) w.client.write(big);
        if (order[i] == 1) w.client.end();
        if (order[i] == 2) w.backend.write("short");
        if (order[i] == 3) w.backend.end();
        if (turns >> i & 1) w.loop.run_turn();
      }
      w.loop.drain();
      ASSERT_TRUE(w.backend.events.received == big) << w.backend.events.received.size();
      ASSERT_EQ(w.client.events.received, "short");
      ASSERT_EQ(w.reports, 1);
      ASSERT_EQ(w.report.end, RelayEnd::both_ended) << to_string(w.report.client) << to_string(w.report.backend);
      ASSERT_THAT(w.client.events.faults, IsEmpty());
      ASSERT_THAT(w.backend.events.faults, IsEmpty());
    }
  } while (std::ranges::next_permutation(order).found);
}

TEST(Relay, GivesTheSameBytesHoweverTheyArrive) {
  const std::string sent = pattern(5000, 2);
  for (const auto& sizes : std::vector<std::vector<std::size_t>>{{1}, {3, 1000}, {7}}) {
    World w;
    w.to_client.stream = std::make_unique<FragmentingStream>(std::move(w.to_client.stream), sizes);
    w.to_backend.stream = std::make_unique<FragmentingStream>(std::move(w.to_backend.stream), sizes);
    w.join();
    w.client.write(sent);
    w.backend.write(sent);
    w.client.end();
    w.backend.end();
    w.loop.drain();
    EXPECT_TRUE(w.backend.events.received == sent);
    EXPECT_TRUE(w.client.events.received == sent);
    EXPECT_EQ(w.reports, 1);
  }
}

TEST(Relay, StopsReadingASideWhileTheOtherIsSlow) {
  constexpr std::size_t kHighWater = 64 * 1024;
  constexpr std::size_t kWindow = 32 * 1024;
  World w({.window_bytes = kWindow, .stream = {.high_water_bytes = kHighWater, .low_water_bytes = 16 * 1024}});
  w.join();
  w.backend.stream->read(false);
  const std::string sent = pattern(4'000'000, 3);
  w.client.write(sent);
  w.loop.drain();
  const std::size_t waiting = w.relay->stream(RelaySide::backend).queued();
  EXPECT_GE(waiting, kHighWater);
  EXPECT_LE(waiting, kHighWater + kWindow) << "at most one read above high water";
  EXPECT_GT(w.client.stream->queued(), 3'000'000u) << "the client is held up";
  // The other direction is not.
  w.backend.write("still here");
  w.loop.drain();
  EXPECT_EQ(w.client.events.received, "still here");
  w.backend.stream->read(true);
  w.client.end();
  w.backend.end();
  w.loop.drain();
  EXPECT_TRUE(w.backend.events.received == sent);
  ASSERT_EQ(w.reports, 1);
  EXPECT_GT(w.report.client_waits, 0u);
  EXPECT_EQ(w.report.backend_waits, 0u);
}

TEST(Relay, HoldsTheClientWhileWhatItHadSentWaits) {
  World w({.window_bytes = 100, .stream = {.high_water_bytes = 1000, .low_water_bytes = 500}});
  w.backend.stream->read(false);
  w.client.write(std::string(100, 'b'));
  w.join(chain_of(std::string(2000, 'a')));
  EXPECT_EQ(w.relay->bytes_from(RelaySide::client), 2000u);
  w.backend.stream->read(true);
  w.loop.drain();
  EXPECT_EQ(w.backend.events.received, std::string(2000, 'a') + std::string(100, 'b'));
}

TEST(Relay, ASideThatBreaksTakesTheOtherWithIt) {
  for (const bool client_breaks : {true, false}) {
    World w;
    w.join();
    World::Outside& broken = client_breaks ? w.client : w.backend;
    World::Outside& whole = client_breaks ? w.backend : w.client;
    // Bytes that were never read make the close a reset.
    broken.stream->read(false);
    whole.write("unread");
    w.loop.drain();
    broken.stream.reset();
    w.loop.drain();
    ASSERT_EQ(w.reports, 1);
    EXPECT_EQ(w.report.end, client_breaks ? RelayEnd::client_failed : RelayEnd::backend_failed);
    EXPECT_THAT(to_string(w.report.client), HasSubstr("reset"));
    EXPECT_THAT(to_string(w.report.backend), HasSubstr("reset"));
    EXPECT_TRUE(whole.over());
  }
}

TEST(Relay, ResetsBothWhenTheOtherDirectionDoesNotEndWithinLinger) {
  World w;
  w.options.linger = 10s;
  w.join();
  w.client.end();
  w.loop.drain();
  w.loop.advance(9900ms);
  EXPECT_EQ(w.reports, 0);
  w.loop.advance(200ms);
  ASSERT_EQ(w.reports, 1);
  EXPECT_EQ(w.report.end, RelayEnd::lingered);
  EXPECT_EQ(w.report.first_end, RelaySide::client);
  EXPECT_THAT(to_string(w.report.backend), HasSubstr("linger 10s"));
  EXPECT_TRUE(w.backend.over());
  EXPECT_TRUE(w.client.over());
}

TEST(Relay, LingerCutsNoAnswerThatStillFlows) {
  World w;
  w.options.linger = 10s;
  w.join();
  w.client.write("ask");
  w.client.end();
  w.loop.drain();
  for (int i = 0; i < 10; ++i) {
    w.loop.advance(9s);
    w.backend.write("x");
    w.loop.drain();
  }
  ASSERT_EQ(w.reports, 0);
  EXPECT_EQ(w.client.events.received, "xxxxxxxxxx");
  w.loop.advance(9900ms);
  EXPECT_EQ(w.reports, 0);
  w.loop.advance(200ms);
  ASSERT_EQ(w.reports, 1);
  EXPECT_EQ(w.report.end, RelayEnd::lingered);
}

TEST(Relay, WithoutLingerADirectionMayTakeForEver) {
  World w;
  w.options.linger = 0s;
  w.join();
  w.backend.end();
  w.loop.advance(100h);
  EXPECT_EQ(w.reports, 0);
  w.client.write("late");
  w.client.end();
  w.loop.drain();
  EXPECT_EQ(w.backend.events.received, "late");
  EXPECT_EQ(w.reports, 1);
  EXPECT_EQ(w.report.first_end, RelaySide::backend);
}

TEST(Relay, IdleCountsFromTheLastByteEitherWay) {
  World w;
  w.options.idle = 10s;
  w.join();
  for (int i = 0; i < 5; ++i) {
    w.loop.advance(9s);
    (i % 2 ? w.client : w.backend).write("x");
    w.loop.drain();
  }
  ASSERT_EQ(w.reports, 0);
  w.loop.advance(9900ms);
  EXPECT_EQ(w.reports, 0);
  w.loop.advance(200ms);
  ASSERT_EQ(w.reports, 1);
  EXPECT_EQ(w.report.end, RelayEnd::idle);
  EXPECT_THAT(to_string(w.report.client), HasSubstr("idle 10s"));
}

TEST(Relay, IsNotIdleWhileAQueueDrains) {
  World w({.window_bytes = 1000});
  w.options.idle = 10s;
  w.join();
  w.backend.events.consume = [&](MutableBytes bytes) {
    w.backend.stream->read(false);
    return bytes.size();
  };
  w.client.write(std::string(8000, 'x'));
  w.loop.drain();
  for (int i = 0; i < 5; ++i) {
    w.loop.advance(9s);
    w.backend.stream->read(true);
    w.loop.drain();
  }
  EXPECT_EQ(w.reports, 0);
  w.loop.advance(25s);
  EXPECT_EQ(w.reports, 1);
}

TEST(Relay, ClosesBothSidesAsTold) {
  World w;
  w.join();
  w.client.write("last words");
  w.loop.run_turn();
  w.loop.run_turn();
  w.relay->close(CloseReason::local(ErrorCode::local_closed, "the gateway stops"), {10s});
  w.relay->close(CloseReason::local(ErrorCode::local_closed, "again"), {});
  w.loop.drain();
  w.client.end();
  w.backend.end();
  w.loop.drain();
  ASSERT_EQ(w.reports, 1);
  EXPECT_EQ(w.report.end, RelayEnd::local);
  EXPECT_THAT(to_string(w.report.backend), HasSubstr("the gateway stops"));
  EXPECT_EQ(w.backend.events.received, "last words");
}

TEST(Relay, AClientWithoutHalfCloseGetsEverythingAndGivesEverything) {
  World w({.window_bytes = 1000});
  w.to_client.stream = std::make_unique<OneEndStream>(std::move(w.to_client.stream));
  w.to_client.half_close = false;
  w.join();
  const std::string answer = pattern(50'000, 4);
  w.client.stream->read(false);
  w.backend.write(answer);
  w.backend.end();
  w.loop.advance(1s);
  w.client.write("meanwhile");
  w.loop.advance(1s);
  EXPECT_EQ(w.backend.events.received, "meanwhile");
  EXPECT_EQ(w.backend.events.read_ends, 0u);
  w.client.stream->read(true);
  w.loop.advance(1s);
  EXPECT_TRUE(w.client.events.received == answer);
  EXPECT_EQ(w.backend.events.read_ends, 1u);
  ASSERT_EQ(w.reports, 1);
  EXPECT_EQ(w.report.end, RelayEnd::both_ended);
  EXPECT_EQ(w.report.first_end, RelaySide::backend);
}

TEST(Relay, MayBeDroppedWhenItHasEndedAndAtAnyTimeBefore) {
  World w;
  w.drop_at_end = true;
  w.join();
  w.client.end();
  w.backend.end();
  w.loop.drain();
  EXPECT_EQ(w.reports, 1);
  World v;
  v.join();
  v.client.write("x");
  v.loop.run_turn();
  v.relay.reset();
  v.loop.drain();
  EXPECT_EQ(v.reports, 0);
  EXPECT_TRUE(v.client.over());
  EXPECT_TRUE(v.backend.over());
}

// Goal: every path on which a stream fails ends the relay, once. Method: the n-th operation of either stream fails.
TEST(Relay, EndsOnceWhicheverOperationFails) {
  const std::string text = pattern(3000, 5);
  std::size_t failures = 0;
  for (std::size_t n = 0; n < 1000; ++n) {
    World w({.window_bytes = 500, .stream = {.high_water_bytes = 400, .low_water_bytes = 100}});
    const auto fail_at = std::make_shared<FailCount>(n);
    w.to_client.stream = std::make_unique<FailingStream>(std::move(w.to_client.stream), fail_at);
    w.to_backend.stream = std::make_unique<FailingStream>(std::move(w.to_backend.stream), fail_at);
    w.drop_at_end = n % 2 == 0;
    w.join(chain_of("kept"));
    w.client.write(text);
    w.backend.write(text);
    w.loop.run_turn();
    w.client.end();
    w.backend.end();
    w.loop.advance(10min);
    ASSERT_EQ(w.reports, 1) << "operation " << n;
    ASSERT_TRUE(("kept" + text).starts_with(w.backend.events.received));
    ASSERT_TRUE(text.starts_with(w.client.events.received));
    ASSERT_TRUE(w.client.over() && w.backend.over()) << "operation " << n;
    if (!fail_at->reached()) {
      EXPECT_EQ(w.report.end, RelayEnd::both_ended);
      EXPECT_EQ(w.backend.events.received.size(), 3004u);
      break;
    }
    ++failures;
    ASSERT_NE(w.report.end, RelayEnd::local);
    ASSERT_NE(w.report.end, RelayEnd::lingered) << "operation " << n;
  }
  EXPECT_GT(failures, 10u);
  EXPECT_LT(failures, 1000u) << "no run succeeded";
}

TEST(Relay, AnEndWithinAMessageIsNoEndInOrder) {
  World w;
  w.to_client.messages = true;
  w.join();
  w.client.write("half of a mess");
  w.client.end();
  w.loop.drain();
  ASSERT_EQ(w.reports, 1);
  EXPECT_EQ(w.report.end, RelayEnd::client_failed);
  EXPECT_THAT(to_string(w.report.client), HasSubstr("ended within a message"));
  EXPECT_EQ(w.backend.events.received, "");
  EXPECT_TRUE(w.backend.over());
}

TEST(Relay, SaysWhyItDoesNotSplice) {
  PipePool pipes;
  const struct {
    ZeroCopy policy;
    PipePool* pool;
    const char* reason;
  } cases[] = {{ZeroCopy::never, &pipes, "off"},
               {ZeroCopy::always, nullptr, "no pool"},
               {ZeroCopy::always, &pipes, "client is no plain"}};
  for (const auto& c : cases) {
    World w;
    w.options.zero_copy = c.policy;
    w.options.pipes = c.pool;
    w.join();
    w.client.end();
    w.backend.end();
    w.loop.drain();
    ASSERT_EQ(w.reports, 1);
    EXPECT_EQ(w.report.mode, RelayMode::copy);
    EXPECT_THAT(w.report.mode_reason, HasSubstr(c.reason));
  }
}

}  // namespace
}  // namespace wayport::relay
