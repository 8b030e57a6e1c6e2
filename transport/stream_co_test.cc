#include "wayport/transport/stream_co.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "wayport/base/task_group.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::transport {
namespace {

using ::testing::HasSubstr;

using namespace std::chrono_literals;

template <class T>
using Awaitable = boost::asio::awaitable<T>;

// A coroutine's stream `a`, and a recorded other end `b`, in virtual time.
class CoStreamTest : public ::testing::Test {
 protected:
  void make(const MemoryOptions& options = {}) {
    MemoryPair pair = make_memory_pair(loop, loop, options);
    a.emplace(std::move(pair.a));
    b = std::move(pair.b);
    b->start(events);
  }
  // Runs `task` until nothing moves; `result` is empty while it waits.
  template <class T>
  void start(Awaitable<Result<T>> task, std::optional<Result<T>>& result) {
    ASSERT_TRUE(tasks.spawn(store(std::move(task), result)));
    loop.drain();
  }
  template <class T>
  static Awaitable<void> store(Awaitable<Result<T>> task, std::optional<Result<T>>& result) {
    result.emplace(co_await std::move(task));
  }

  ManualClock clock;
  Loop loop{LoopOptions{.clock = &clock}};
  RecordingEvents events;
  std::unique_ptr<Stream> b;
  std::optional<CoStream> a;
  std::optional<Result<std::string>> got;
  std::optional<Result<void>> done;
  TaskGroup tasks{loop};
};

TEST_F(CoStreamTest, ReadSomeTakesWhatThereIsUpToItsBound) {
  make();
  start(a->read_some(), got);
  EXPECT_FALSE(got);
  b->write(chain_of("hello"));
  loop.drain();
  ASSERT_TRUE(got && *got);
  EXPECT_EQ(**got, "hello");
  b->write(chain_of("abcdef"));
  start(a->read_some(4), got);
  EXPECT_EQ(**got, "abcd");
  start(a->read_some(4), got);
  EXPECT_EQ(**got, "ef");
}

TEST_F(CoStreamTest, ReadExactlyCollectsAndLeavesTheRest) {
  make({.show_bytes_max = 2});
  start(a->read_exactly(5), got);
  b->write(chain_of("abcdefgh"));
  loop.drain();
  ASSERT_TRUE(got && *got);
  EXPECT_EQ(**got, "abcde");
  start(a->read_exactly(3), got);
  EXPECT_EQ(**got, "fgh");
  start(a->read_exactly(0), got);
  EXPECT_EQ(**got, "");
}

TEST_F(CoStreamTest, ReadExactlyTakesMoreThanTheUnconsumedBound) {
  make({.window_bytes = 1 << 20});
  const std::string large(300'000, 'x');
  b->write(chain_of(large));
  start(a->read_exactly(large.size()), got);
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->size(), large.size());
}

TEST_F(CoStreamTest, TheEndIsEmptyForReadSomeAndAnErrorForReadExactly) {
  make();
  b->write(chain_of("ab"));
  b->shutdown_write();
  start(a->read_exactly(3), got);
  ASSERT_TRUE(got && !*got);
  EXPECT_THAT(got->error().detail, HasSubstr("2 of 3"));
  start(a->read_some(), got);
  ASSERT_TRUE(*got);
  EXPECT_EQ(**got, "");
}

TEST_F(CoStreamTest, ReadingAClosedStreamTellsWhy) {
  make();
  start(a->read_some(), got);
  b->read(false);
  std::optional<Result<void>> wrote;
  start(a->write("unread"), wrote);
  b.reset();
  loop.drain();
  ASSERT_TRUE(got && !*got);
  EXPECT_EQ(got->error().code, ErrorCode::peer_closed);
  start(a->read_some(), got);
  EXPECT_FALSE(*got);
  start(a->write("x"), wrote);
  EXPECT_FALSE(*wrote);
}

TEST_F(CoStreamTest, WriteSuspendsUnderPressure) {
  make({.window_bytes = 10, .stream = {.high_water_bytes = 20, .low_water_bytes = 5}});
  b->read(false);
  start(a->write(std::string(15, 'x')), done);
  EXPECT_TRUE(done);
  done.reset();
  start(a->write(std::string(20, 'x')), done);
  EXPECT_FALSE(done);
  b->read(true);
  loop.drain();
  EXPECT_TRUE(done && *done);
  EXPECT_EQ(events.received.size(), 35u);
}

TEST_F(CoStreamTest, FlushWaitsUntilNothingIsQueued) {
  make({.window_bytes = 10});
  b->read(false);
  start(a->write(std::string(30, 'x')), done);
  done.reset();
  start(a->flush(), done);
  loop.advance(10ms);
  EXPECT_FALSE(done);
  b->read(true);
  loop.advance(10ms);
  EXPECT_TRUE(done && *done);
}

TEST_F(CoStreamTest, CloseDrainsAndWaits) {
  make();
  start(a->write("last"), done);
  done.reset();
  start(a->close({.time = 1s}), done);
  EXPECT_EQ(events.received, "last");
  EXPECT_FALSE(done);
  b->shutdown_write();
  loop.drain();
  EXPECT_TRUE(done && *done);
  done.reset();
  start(a->close(), done);
  EXPECT_TRUE(done && *done);
}

TEST_F(CoStreamTest, ACanceledReadLeavesTheStreamUsable) {
  make();
  start(a->read_some(), got);
  tasks.cancel();
  loop.drain();
  ASSERT_TRUE(got && !*got);
  EXPECT_EQ(got->error().code, ErrorCode::canceled);
  TaskGroup others(loop);
  b->write(chain_of("later"));
  ASSERT_TRUE(others.spawn(store(a->read_some(), got)));
  loop.drain();
  ASSERT_TRUE(*got);
  EXPECT_EQ(**got, "later");
}

TEST_F(CoStreamTest, MayBeDroppedByTheCoroutineThatReads) {
  make();
  const auto read_and_drop = [](std::optional<CoStream>& stream) -> Awaitable<void> {
    static_cast<void>(co_await stream->read_some());
    stream.reset();
  };
  ASSERT_TRUE(tasks.spawn(read_and_drop(a)));
  loop.drain();
  b->write(chain_of("x"));
  loop.drain();
  EXPECT_FALSE(a);
  EXPECT_EQ(events.read_ends, 1u);
}

TEST_F(CoStreamTest, MayBeDroppedOutsideATurnWhileItIsAwaitedAndTheTaskCanceled) {
  make();
  start(a->read_some(), got);
  a.reset();
  tasks.cancel();  // runs before what the drop has posted
  loop.drain();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->error().code, ErrorCode::canceled);
}

TEST_F(CoStreamTest, ReleaseHandsOverWhatWasNotRead) {
  make();
  b->write(chain_of("headsession"));
  start(a->read_exactly(4), got);
  EXPECT_EQ(**got, "head");
  std::unique_ptr<Stream> stream = a->release();
  a.reset();
  RecordingEvents session;
  stream->replace_events(session);
  stream->read(true);
  loop.drain();
  EXPECT_EQ(session.received, "session");
}

TEST_F(CoStreamTest, TakesOverAStartedStream) {
  MemoryPair pair = make_memory_pair(loop, loop);
  RecordingEvents first;
  first.consume = [](MutableBytes) { return std::size_t{1}; };
  pair.a->start(first);
  pair.b->start(events);
  pair.b->write(chain_of("xrest"));
  loop.drain();
  CoStream taken(std::move(pair.a), true);
  start(taken.read_some(), got);
  ASSERT_TRUE(got && *got);
  EXPECT_EQ(**got, "rest");
}

Awaitable<void> echo(CoListener& listener) {
  for (;;) {
    Result<std::unique_ptr<Stream>> accepted = co_await listener.accept();
    if (!accepted) co_return;
    CoStream stream(*std::move(accepted));
    for (;;) {
      Result<std::string> text = co_await stream.read_some();
      if (!text || text->empty()) break;
      if (!co_await stream.write(*std::move(text))) break;
    }
    static_cast<void>(co_await stream.close());
  }
}

Awaitable<Result<std::string>> ask(const Transports& all, Loop& loop, std::string address, std::string question) {
  Result<std::unique_ptr<Stream>> dialed = co_await dial(all, loop, *Address::parse(address));
  if (!dialed) co_return fail(dialed.error());
  CoStream stream(*std::move(dialed));
  const std::size_t size = question.size();
  static_cast<void>(co_await stream.write(std::move(question)));
  co_return co_await stream.read_exactly(size);
}

TEST_F(CoStreamTest, DialAndAcceptReadTopToBottom) {
  Transports all;
  all.add("mem", std::make_shared<MemoryTransport>());
  CoListener listener(*all.listen(loop, *Address::parse("mem://echo"), {}));
  ASSERT_TRUE(tasks.spawn(echo(listener)));
  for (int i = 0; i < 3; ++i) {
    start(ask(all, loop, "mem://echo", "hello"), got);
    loop.advance(2s);
    ASSERT_TRUE(got && *got) << got->error().to_string();
    EXPECT_EQ(**got, "hello");
  }
  start(ask(all, loop, "mem://nobody", "hello"), got);
  EXPECT_EQ(got->error().code, ErrorCode::refused);
  tasks.cancel();
  loop.drain();
}

TEST_F(CoStreamTest, ConnectionsNobodyAcceptsAreBounded) {
  Transports all;
  all.add("mem", std::make_shared<MemoryTransport>());
  CoListener listener(*all.listen(loop, *Address::parse("mem://full"), {}));
  std::vector<std::unique_ptr<Dial>> dials;
  for (std::size_t i = 0; i < CoListener::kWaitingMax + 1; ++i) {
    dials.push_back(all.dial(loop, listener.address(), {}, [](Result<std::unique_ptr<Stream>>) {}));
    loop.drain();
  }
  std::optional<Result<std::unique_ptr<Stream>>> accepted;
  for (std::size_t i = 0; i < CoListener::kWaitingMax + 1; ++i) {
    accepted.reset();
    start(listener.accept(), accepted);
    EXPECT_TRUE(accepted && *accepted) << i;
  }
}

}  // namespace
}  // namespace wayport::transport
