// Relays over real sockets of the loopback, copied and spliced. What was sent and what came are compared as a whole.
#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "wayport/gateway/relay/pipe_pool.h"
#include "wayport/gateway/relay/relay.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::relay {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using transport::chain_of;
using transport::connect_through;
using transport::Connection;
using transport::RecordingEvents;
using transport::run_until;
using transport::Stream;

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* const directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

std::string random_bytes(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = random();
    std::memcpy(text.data() + i, &word, std::min<std::size_t>(8, size - i));
  }
  return text;
}

struct Outside {
  std::unique_ptr<Stream> stream;
  RecordingEvents events;

  void write(std::string_view text) {
    events.call([&] { stream->write(chain_of(text)); });
  }
  bool over() const { return events.read_ends != 0 || events.closed; }
  // As a process that dies with unread bytes.
  void reset() {
    auto fd = stream->detach();
    ASSERT_TRUE(fd);
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd->get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    fd->reset();
    stream.reset();
  }
};

// client -- relay -- backend, all on one loop.
struct World {
  explicit World(Loop& on, PipePool* pool, ZeroCopy policy = ZeroCopy::always, const std::string& client_kind = "tcp",
                 const std::string& backend_kind = "tcp")
      : loop(on) {
    options.pipes = pool;
    options.zero_copy = policy;
    Connection front = connected(client_kind);
    Connection back = connected(backend_kind);
    client.stream = std::move(front.client);
    backend.stream = std::move(back.server);
    client.stream->start(client.events);
    backend.stream->start(backend.events);
    to_client = std::move(front.server);
    to_backend = std::move(back.client);
  }

  Connection connected(const std::string& kind) {
    const std::string listen =
        kind == "tcp" ? "tcp://127.0.0.1:0?congestion=reno"
                      : "unix://@wayport-splice-" + std::to_string(::getpid()) + "-" + std::to_string(++names);
    auto connection =
        connect_through(transport::default_transports(), loop, listen, kind == "tcp" ? "?congestion=reno" : "");
    WAYPORT_ASSERT(connection.has_value(), connection ? "" : connection.error().detail.c_str());
    return *std::move(connection);
  }

  void join() {
    relay = std::make_unique<Relay>(RelayEndpoint{.stream = std::move(to_client)},
                                    RelayEndpoint{.stream = std::move(to_backend)}, options,
                                    [this](const RelayReport& r) { report = r; });
    relay->start();
  }
  bool until(const std::function<bool()>& done) { return run_until(loop, done); }
  bool spliced() {
    return until([&] { return relay->mode() == RelayMode::splice; });
  }

  static inline int names = 0;
  Loop& loop;
  Outside client, backend;
  std::unique_ptr<Stream> to_client, to_backend;
  RelayOptions options;
  std::unique_ptr<Relay> relay;
  std::optional<RelayReport> report;
};

struct Way {
  const char* client;
  const char* backend;
  PipePoolOptions pipes;
};

TEST(Splice, BytesArriveAsTheyWereSentInAnySizesOverAnySockets) {
  for (const Way& way : {Way{"tcp", "tcp", {}}, Way{"unix", "tcp", {}}, Way{"tcp", "unix", {}}, Way{"unix", "unix", {}},
                         Way{"tcp", "tcp", {.pipe_bytes = 64 * 1024}}, Way{"tcp", "unix", {.pipes_max = 0}},
                         Way{"tcp", "tcp", {.pipes_max = 1}}}) {
    for (const ZeroCopy policy : {ZeroCopy::always, ZeroCopy::automatic, ZeroCopy::never}) {
      SCOPED_TRACE(std::string(way.client) + " " + way.backend + " " + std::to_string(static_cast<int>(policy)));
      Loop loop;
      PipePool pool(way.pipes);
      World w(loop, &pool, policy, way.client, way.backend);
      w.join();
      std::mt19937 random(7);
      const std::string up = random_bytes(3'000'000, 1);
      const std::string down = random_bytes(2'000'000, 2);
      std::size_t up_at = 0;
      std::size_t down_at = 0;
      while (up_at < up.size() || down_at < down.size()) {
        const std::size_t most = std::size_t{1} << random() % 19;
        const std::size_t up_size = std::min<std::size_t>(random() % most + 1, up.size() - up_at);
        if (up_size != 0) w.client.write(std::string_view(up).substr(up_at, up_size));
        up_at += up_size;
        const std::size_t down_size = std::min<std::size_t>(random() % most + 1, down.size() - down_at);
        if (down_size != 0) w.backend.write(std::string_view(down).substr(down_at, down_size));
        down_at += down_size;
        loop.run_turn();
      }
      w.client.stream->shutdown_write();
      ASSERT_TRUE(w.until([&] { return w.backend.events.read_ends == 1; }));
      w.backend.stream->shutdown_write();
      ASSERT_TRUE(w.until([&] { return w.report.has_value(); }));
      ASSERT_TRUE(w.until([&] { return w.client.over(); }));
      EXPECT_TRUE(w.backend.events.received == up);
      EXPECT_TRUE(w.client.events.received == down);
      EXPECT_EQ(w.report->end, RelayEnd::both_ended);
      EXPECT_EQ(w.report->bytes_from_client, up.size());
      EXPECT_EQ(w.report->bytes_from_backend, down.size());
      EXPECT_EQ(w.report->mode, policy == ZeroCopy::never ? RelayMode::copy : RelayMode::splice)
          << w.report->mode_reason;
      EXPECT_EQ(pool.taken(), 0u);
      EXPECT_LE(pool.free_count(), way.pipes.pipes_max);
    }
  }
}

TEST(Splice, AnEndIsPassedOnAndTheOtherDirectionGoesOn) {
  for (const bool client_first : {true, false}) {
    Loop loop;
    PipePool pool;
    World w(loop, &pool);
    w.join();
    ASSERT_TRUE(w.spliced());
    Outside& first = client_first ? w.client : w.backend;
    Outside& second = client_first ? w.backend : w.client;
    first.write("the last");
    first.stream->shutdown_write();
    ASSERT_TRUE(w.until([&] { return second.events.read_ends == 1; }));
    EXPECT_EQ(second.events.received, "the last");
    EXPECT_FALSE(w.report);
    const std::string answer = random_bytes(500'000, 3);
    second.write(answer);
    ASSERT_TRUE(w.until([&] { return first.events.received.size() == answer.size(); }));
    EXPECT_TRUE(first.events.received == answer);
    second.stream->shutdown_write();
    ASSERT_TRUE(w.until([&] { return w.report && first.over(); }));
    EXPECT_EQ(w.report->end, RelayEnd::both_ended);
    EXPECT_EQ(w.report->first_end, client_first ? RelaySide::client : RelaySide::backend);
    EXPECT_EQ(w.report->mode, RelayMode::splice);
    EXPECT_STREQ(w.report->mode_reason, "from the start");
  }
}

TEST(Splice, AResetIsPassedOnAsAReset) {
  for (const ZeroCopy policy : {ZeroCopy::always, ZeroCopy::never}) {
    for (const bool client_breaks : {true, false}) {
      Loop loop;
      PipePool pool;
      World w(loop, &pool, policy);
      w.join();
      w.client.write("hello");
      ASSERT_TRUE(w.until([&] { return w.backend.events.received == "hello"; }));
      Outside& broken = client_breaks ? w.client : w.backend;
      Outside& whole = client_breaks ? w.backend : w.client;
      broken.reset();
      ASSERT_TRUE(w.until([&] { return w.report && whole.over(); }));
      ASSERT_TRUE(whole.events.closed) << "no end in order";
      EXPECT_EQ(whole.events.closed->error.cause.value(), ECONNRESET);
      EXPECT_EQ(w.report->end, client_breaks ? RelayEnd::client_failed : RelayEnd::backend_failed);
      EXPECT_THAT(to_string(client_breaks ? w.report->client : w.report->backend), HasSubstr("tcp://127.0.0.1"));
    }
  }
}

TEST(Splice, ASideThatIsGoneWhileBytesComeEndsTheRelayAndNotTheProcess) {
  for (const std::string kind : {"tcp", "unix"}) {
    Loop loop;
    PipePool pool;
    World w(loop, &pool, ZeroCopy::always, kind, kind);
    w.join();
    ASSERT_TRUE(w.spliced());
    w.backend.stream.reset();
    for (int i = 0; i < 100 && !w.report; ++i) {
      w.client.write("x");
      loop.run_turn(10ms);
    }
    ASSERT_TRUE(w.report);
    EXPECT_EQ(w.report->end, RelayEnd::backend_failed);
    ASSERT_TRUE(w.until([&] { return w.client.over(); }));
    EXPECT_EQ(pool.taken(), 0u);
  }
}

TEST(Splice, ASlowReaderHoldsUpTheOtherSideWithOnePipeInBetween) {
  Loop loop;
  PipePool pool;
  // Unix sockets: their buffers are small, whatever the machine is tuned for.
  World w(loop, &pool, ZeroCopy::always, "unix", "unix");
  w.join();
  ASSERT_TRUE(w.spliced());
  w.backend.stream->read(false);
  const std::string sent = random_bytes(8'000'000, 4);
  w.client.write(sent);
  for (int i = 0; i < 3000 && loop.run_turn(5ms); ++i) {
  }
  const std::uint64_t passed = w.relay->bytes_from(RelaySide::client);
  EXPECT_LT(passed, sent.size()) << "the sockets' buffers and one pipe";
  EXPECT_LE(pool.taken(), 1u);
  int busy_turns = 0;
  for (int i = 0; i < 50; ++i) busy_turns += loop.run_turn() ? 1 : 0;
  EXPECT_LT(busy_turns, 50) << "a full socket makes the loop spin";
  // The other direction is free.
  w.backend.write("free");
  ASSERT_TRUE(w.until([&] { return w.client.events.received == "free"; }));
  w.backend.stream->read(true);
  ASSERT_TRUE(w.until([&] { return w.backend.events.received.size() == sent.size(); }));
  EXPECT_TRUE(w.backend.events.received == sent);
  EXPECT_EQ(pool.taken(), 0u);
  w.client.stream->shutdown_write();
  w.backend.stream->shutdown_write();
  ASSERT_TRUE(w.until([&] { return w.report.has_value(); }));
  EXPECT_GT(w.report->client_waits, 0u);
}

TEST(Splice, ChangesInTheMiddleOfABulkToASlowReader) {
  Loop loop;
  PipePool pool;
  World w(loop, &pool, ZeroCopy::automatic);
  w.join();
  w.backend.stream->read(false);
  const std::string sent = random_bytes(30'000'000, 5);
  w.client.write(sent);
  for (int i = 0; i < 1000 && loop.run_turn(2ms); ++i) {
  }
  w.backend.stream->read(true);
  ASSERT_TRUE(w.until([&] { return w.backend.events.received.size() == sent.size(); }));
  EXPECT_TRUE(w.backend.events.received == sent);
  EXPECT_EQ(w.relay->mode(), RelayMode::splice);
}

TEST(Splice, SmallMessagesAreCopiedHoweverMany) {
  Loop loop;
  PipePool pool;
  World w(loop, &pool, ZeroCopy::automatic);
  w.join();
  std::size_t sent = 0;
  for (int i = 0; i < 1000; ++i) {
    w.client.write(std::string(500, 'x'));
    sent += 500;
    ASSERT_TRUE(w.until([&] { return w.backend.events.received.size() == sent; }));
  }
  EXPECT_EQ(w.relay->mode(), RelayMode::copy);
  EXPECT_EQ(pool.counters().made.read(), 0u);
  w.client.stream->shutdown_write();
  w.backend.stream->shutdown_write();
  ASSERT_TRUE(w.until([&] { return w.report.has_value(); }));
  EXPECT_EQ(w.report->bytes_spliced, 0u);
}

TEST(Splice, AnEndBeforeTheChangeIsNotLost) {
  Loop loop;
  PipePool pool;
  World w(loop, &pool);
  w.client.write("all");
  w.client.stream->shutdown_write();
  for (int i = 0; i < 5; ++i) loop.run_turn(5ms);
  w.join();
  ASSERT_TRUE(w.until([&] { return w.backend.events.read_ends == 1; }));
  EXPECT_EQ(w.backend.events.received, "all");
  w.backend.stream->shutdown_write();
  ASSERT_TRUE(w.until([&] { return w.report.has_value(); }));
  EXPECT_EQ(w.report->end, RelayEnd::both_ended);
}

// The client does not read what the backend has sent it, and sends all the same.
TEST(Splice, AQueueThatDoesNotDrainHoldsUpOnlyItsOwnDirection) {
  ManualClock clock;
  Loop loop(LoopOptions{.clock = &clock});
  PipePool pool;
  World w(loop, &pool, ZeroCopy::automatic);
  w.options.splice_after_bytes = 20'000'000;  // more than the kernel takes for the client
  w.join();
  w.client.stream->read(false);
  w.backend.write(std::string(20'000'000, 'd'));
  ASSERT_TRUE(w.until([&] { return w.relay->stream(RelaySide::client).queued() != 0; }));
  const std::string up = random_bytes(30'000'000, 4);
  w.client.write(up);
  for (int i = 0; i < 100 && w.backend.events.received.size() < up.size(); ++i) {
    loop.advance(100ms);
    for (int k = 0; k < 200; ++k) loop.run_turn();
  }
  ASSERT_TRUE(w.until([&] { return w.backend.events.received.size() == up.size(); }));
  EXPECT_TRUE(w.backend.events.received == up);
  EXPECT_EQ(w.relay->mode(), RelayMode::copy);
  w.client.stream->read(true);
  ASSERT_TRUE(w.until([&] { return w.client.events.received.size() == 20'000'000; }));
}

TEST(Splice, LingerAndIdleHoldForSplicedRelays) {
  for (const bool idle : {false, true}) {
    ManualClock clock;
    Loop loop(LoopOptions{.clock = &clock});
    PipePool pool;
    World w(loop, &pool);
    w.options.linger = 10s;
    if (idle) w.options.idle = 10s;
    w.join();
    ASSERT_TRUE(w.spliced());
    loop.advance(9s);
    if (idle) {
      w.client.write("x");
    } else {
      w.client.stream->shutdown_write();
    }
    ASSERT_TRUE(w.until([&] { return !w.backend.events.received.empty() || w.backend.events.read_ends != 0; }));
    loop.advance(9900ms);
    EXPECT_FALSE(w.report);
    loop.advance(200ms);
    ASSERT_TRUE(w.report);
    EXPECT_EQ(w.report->end, idle ? RelayEnd::idle : RelayEnd::lingered);
    ASSERT_TRUE(w.until([&] { return w.client.over() && w.backend.over(); }));
    if (idle) continue;
    ASSERT_TRUE(w.client.events.closed) << "what was cut short is reset";
    EXPECT_EQ(w.client.events.closed->error.cause.value(), ECONNRESET);
  }
}

TEST(Splice, CloseEndsASplicedRelayAtOnce) {
  Loop loop;
  PipePool pool;
  World w(loop, &pool);
  w.join();
  ASSERT_TRUE(w.spliced());
  w.relay->close(CloseReason::local(ErrorCode::local_closed, "the gateway stops"));
  EXPECT_FALSE(w.report) << "never from inside a call";
  ASSERT_TRUE(w.until([&] { return w.report && w.client.over() && w.backend.over(); }));
  EXPECT_EQ(w.report->end, RelayEnd::local);
}

// A backend that closes while its client idles releases everything, and so does the other way round.
TEST(Splice, NoDescriptorIsLeftBehind) {
  Loop loop;
  PipePool pool;
  loop.run_turn();
  {
    World warm(loop, &pool);
  }
  pool.trim();
  const std::size_t before = open_descriptors();
  for (const ZeroCopy policy : {ZeroCopy::always, ZeroCopy::never}) {
    std::vector<std::unique_ptr<World>> worlds;
    for (int i = 0; i < 10; ++i) {
      World& w = *worlds.emplace_back(std::make_unique<World>(loop, &pool, policy));
      w.join();
      w.client.write("hello");
      ASSERT_TRUE(w.until([&] { return w.backend.events.received == "hello"; }));
    }
    EXPECT_EQ(open_descriptors(), before + 40 + 2 * pool.free_count());
    for (auto& w : worlds) w->backend.stream->close(CloseReason::local(ErrorCode::local_closed, "done"), {1s});
    // A client hears of the end, and ends.
    for (auto& w : worlds) {
      ASSERT_TRUE(w->until([&] { return w->client.events.read_ends == 1; }));
      w->client.stream->shutdown_write();
      ASSERT_TRUE(w->until([&] { return w->report.has_value(); }));
      EXPECT_EQ(w->report->end, RelayEnd::both_ended);
    }
    EXPECT_EQ(pool.taken(), 0u);
    pool.trim();
    ASSERT_TRUE(run_until(loop, [&] { return open_descriptors() == before; })) << open_descriptors() - before;
  }
}

TEST(PipePool, KeepsItsBounds) {
  PipePool pool({.pipe_bytes = 128 * 1024, .pipes_max = 3, .free_max = 1});
  std::vector<Pipe> pipes;
  for (int i = 0; i < 3; ++i) {
    auto pipe = pool.take();
    ASSERT_TRUE(pipe);
    EXPECT_GE(pipe->bytes_max, 64u * 1024);
    pipes.push_back(*std::move(pipe));
  }
  EXPECT_FALSE(pool.take());
  EXPECT_EQ(pool.counters().refused.read(), 1u);
  pool.discard(std::move(pipes.back()));
  EXPECT_EQ(pool.free_count(), 0u);
  pool.give(std::move(pipes[0]));
  pool.give(std::move(pipes[1]));
  EXPECT_EQ(pool.free_count(), 1u);
  EXPECT_EQ(pool.taken(), 0u);
  EXPECT_TRUE(pool.take());
  EXPECT_EQ(pool.counters().made.read(), 3u) << "the free one was used again";
}

TEST(PipePool, SmallPipesAreNotWorthHaving) {
  PipePool pool({.pipe_bytes = 4096, .pipe_bytes_min = 16 * 1024 * 1024});
  EXPECT_FALSE(pool.take());
  EXPECT_EQ(pool.counters().refused_there.read(), 1u);
  EXPECT_EQ(pool.taken(), 0u);
}

}  // namespace
}  // namespace wayport::relay
