#include "wayport/base/loop.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "wayport/base/socket.h"
#include "wayport/base/system_clock.h"

namespace wayport {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

struct OnFd final : FdEvents {
  explicit OnFd(std::function<void(std::uint32_t)> f) : run(std::move(f)) {}
  void on_fd(std::uint32_t events) override { run(events); }
  std::function<void(std::uint32_t)> run;
};

struct OnTimer final : Timer {
  explicit OnTimer(std::function<void()> f) : run(std::move(f)) {}
  void on_timer() override { run(); }
  std::function<void()> run;
};

struct OnTurnEnd final : TurnEnd {
  explicit OnTurnEnd(std::function<void()> f) : run(std::move(f)) {}
  void on_turn_end() override { run(); }
  std::function<void()> run;
};

struct SocketPair {
  SocketPair() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    a = Fd(ends[0]);
    b = Fd(ends[1]);
  }
  Fd a;
  Fd b;
};

// An eventfd that is always readable.
Fd ready_fd() { return Fd(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)); }

// Every test of a loop must hold whether it sleeps in its own set or in an io_context.
class LoopTest : public testing::TestWithParam<bool> {
 protected:
  LoopTest() {
    if (GetParam()) loop.asio();
  }
  ManualClock clock;
  Loop loop{{.clock = &clock}};
  std::vector<std::string> log;
  std::function<void()> note(std::string what) {
    return [this, what] { log.push_back(what); };
  }
};
INSTANTIATE_TEST_SUITE_P(WithoutAndWithAsio, LoopTest, testing::Bool(),
                         [](const auto& mode) { return mode.param ? "Asio" : "Plain"; });

TEST_P(LoopTest, ReportsReadinessUntilTheDataIsTaken) {
  SocketPair pair;
  int calls = 0;
  OnFd events([&](std::uint32_t mask) {
    EXPECT_TRUE(mask & EPOLLIN);
    ++calls;
    char byte;
    if (calls == 2) {
      EXPECT_EQ(::read(pair.a.get(), &byte, 1), 1);
    }
  });
  ASSERT_TRUE(loop.watch(pair.a.get(), Interest::read, events));
  EXPECT_FALSE(loop.run_turn());
  ASSERT_EQ(::write(pair.b.get(), "x", 1), 1);
  loop.drain();
  EXPECT_EQ(calls, 2);
  loop.unwatch(pair.a.get(), events);
}

TEST_P(LoopTest, ChangesWhatItReports) {
  SocketPair pair;
  std::vector<std::uint32_t> seen;
  OnFd events([&](std::uint32_t mask) { seen.push_back(mask); });
  ASSERT_TRUE(loop.watch(pair.a.get(), Interest::none, events));
  loop.run_turn();
  EXPECT_THAT(seen, IsEmpty());
  ASSERT_TRUE(loop.change(pair.a.get(), Interest::write, events));
  loop.run_turn();
  EXPECT_THAT(seen, ElementsAre(EPOLLOUT));
  ASSERT_TRUE(loop.change(pair.a.get(), Interest::read, events));
  loop.run_turn();
  EXPECT_EQ(seen.size(), 1u);
  pair.b.reset();
  ASSERT_TRUE(loop.change(pair.a.get(), Interest::none, events));
  loop.run_turn();
  EXPECT_EQ(seen.size(), 1u) << "a descriptor of which nothing is wanted must not spin when its peer is gone";
  loop.unwatch(pair.a.get(), events);
}

TEST_P(LoopTest, BrokenHearsNoBytesAndOfTheEndOnce) {
  SocketPair pair;
  std::vector<std::uint32_t> seen;
  OnFd events([&](std::uint32_t mask) { seen.push_back(mask); });
  ASSERT_TRUE(loop.watch(pair.a.get(), Interest::broken, events));
  ASSERT_EQ(::write(pair.b.get(), "x", 1), 1);
  loop.drain();
  EXPECT_THAT(seen, IsEmpty());
  pair.b.reset();
  loop.drain();
  EXPECT_THAT(seen, ElementsAre(EPOLLHUP));
  ASSERT_TRUE(loop.change(pair.a.get(), Interest::read, events));
  loop.run_turn();
  EXPECT_EQ(seen.size(), 2u);
  ASSERT_TRUE(loop.change(pair.a.get(), Interest::broken, events));
  loop.drain();
  EXPECT_EQ(seen.size(), 3u) << "a change tells again what is so already";
  loop.unwatch(pair.a.get(), events);
}

TEST_P(LoopTest, ReportsABadDescriptor) {
  OnFd events([](std::uint32_t) {});
  const auto result = loop.watch(-1, Interest::read, events);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().cause.value(), EBADF);
}

TEST_P(LoopTest, UnwatchDropsReadinessThatWasAlreadyFetched) {
  const Fd first = ready_fd();
  const Fd second = ready_fd();
  int calls = 0;
  std::unique_ptr<OnFd> a;
  std::unique_ptr<OnFd> b;
  const auto drop_the_other = [&](int fd, std::unique_ptr<OnFd>& other) {
    ++calls;
    if (!other) return;
    loop.unwatch(fd, *other);
    other.reset();
  };
  a = std::make_unique<OnFd>([&](std::uint32_t) { drop_the_other(second.get(), b); });
  b = std::make_unique<OnFd>([&](std::uint32_t) { drop_the_other(first.get(), a); });
  ASSERT_TRUE(loop.watch(first.get(), Interest::read, *a));
  ASSERT_TRUE(loop.watch(second.get(), Interest::read, *b));
  loop.run_turn();
  EXPECT_EQ(calls, 1);
}

TEST_P(LoopTest, FiresTimersInVirtualTime) {
  OnTimer late(note("late"));
  OnTimer early(note("early"));
  OnTimer never(note("never"));
  const TimePoint start = loop.now();
  loop.arm(late, start + seconds(5));
  loop.arm(early, start + milliseconds(10));
  loop.arm(never, start + seconds(1));
  loop.arm(never, kNever);
  loop.advance(milliseconds(9));
  EXPECT_THAT(log, IsEmpty());
  loop.advance(milliseconds(1));
  EXPECT_THAT(log, ElementsAre("early"));
  loop.advance(seconds(5));
  EXPECT_THAT(log, ElementsAre("early", "late"));
  EXPECT_EQ(loop.now(), start + seconds(5) + milliseconds(10));
}

TEST_P(LoopTest, RunsTimersAtTheTimeTheyAreDueWhileAdvancing) {
  std::vector<Duration> fired;
  const TimePoint start = loop.now();
  OnTimer timer([&] {
    fired.push_back(loop.now() - start);
    if (fired.size() < 3) loop.arm(timer, loop.now() + seconds(1));
  });
  loop.arm(timer, start + seconds(1));
  loop.advance(seconds(10));
  EXPECT_THAT(fired, ElementsAre(seconds(1), seconds(2), seconds(3)));
}

TEST_P(LoopTest, RunsTheTurnEndOnceHoweverOftenItIsAsked) {
  OnTurnEnd flush(note("flush"));
  loop.post([&] {
    log.push_back("a");
    loop.at_turn_end(flush);
  });
  loop.post([&] {
    log.push_back("b");
    loop.at_turn_end(flush);
  });
  loop.drain();
  EXPECT_THAT(log, ElementsAre("a", "b", "flush"));
}

TEST_P(LoopTest, ServesTurnEndNodesThatNodesQueueBeforeItPolls) {
  OnTurnEnd third(note("third"));
  OnTurnEnd second([&] {
    log.push_back("second");
    loop.at_turn_end(third);
  });
  OnTurnEnd first([&] {
    log.push_back("first");
    loop.at_turn_end(second);
    loop.post(note("next turn"));
  });
  loop.at_turn_end(first);
  loop.run_turn();
  EXPECT_THAT(log, ElementsAre("first", "second", "third"));
}

TEST_P(LoopTest, DeletesAtTurnEndAfterTheNodes) {
  struct Object {
    explicit Object(std::function<void()> f) : gone(std::move(f)) {}
    ~Object() { gone(); }
    std::function<void()> gone;
  };
  OnTurnEnd flush(note("flush"));
  loop.post([&] {
    loop.delete_later(std::make_unique<Object>([&] {
      log.push_back("deleted");
      loop.delete_later(std::make_unique<Object>(note("deleted by that")));
    }));
    loop.at_turn_end(flush);
    log.push_back("still used");
  });
  loop.run_turn();
  EXPECT_THAT(log, ElementsAre("still used", "flush", "deleted", "deleted by that"));
}

TEST_P(LoopTest, FlushesAfterABoundedNumberOfEvents) {
  Loop small({.clock = &clock, .events_per_turn_max = 2});
  std::vector<Fd> fds;
  std::vector<std::unique_ptr<OnFd>> events;
  int calls = 0;
  for (int i = 0; i < 5; ++i) {
    fds.push_back(ready_fd());
    events.push_back(std::make_unique<OnFd>([&](std::uint32_t) { ++calls; }));
    ASSERT_TRUE(small.watch(fds.back().get(), Interest::read, *events.back()));
  }
  small.run_turn();
  EXPECT_EQ(calls, 2);
  small.run_turn();
  EXPECT_EQ(calls, 4);
}

TEST_P(LoopTest, RunsABoundedNumberOfPostsPerTurnInOrder) {
  Loop small({.clock = &clock, .posts_per_turn_max = 2});
  for (const char* name : {"1", "2", "3"}) small.post(note(name));
  small.run_turn();
  EXPECT_THAT(log, ElementsAre("1", "2"));
  small.post(note("4"));
  small.run_turn();
  EXPECT_THAT(log, ElementsAre("1", "2", "3"));
  small.run_turn();
  EXPECT_THAT(log, ElementsAre("1", "2", "3", "4"));
}

TEST_P(LoopTest, EndsTheTurnAfterAHandlerOfTheIoContext) {
  OnTurnEnd flush(note("flush"));
  boost::asio::post(loop.asio(), [&] {
    log.push_back("handler");
    loop.at_turn_end(flush);
  });
  boost::asio::post(loop.asio(), note("next"));
  loop.drain();
  EXPECT_THAT(log, ElementsAre("handler", "flush", "next"));
}

TEST_P(LoopTest, KnowsWhoseTurnItIs) {
  EXPECT_EQ(Loop::current(), nullptr);
  loop.post([&] {
    EXPECT_EQ(Loop::current(), &loop);
    EXPECT_TRUE(loop.in_loop_thread());
  });
  loop.drain();
  EXPECT_EQ(Loop::current(), nullptr);
  std::thread([&] { EXPECT_FALSE(loop.in_loop_thread()); }).join();
}

TEST_P(LoopTest, LendsOneScratchBufferPerDepth) {
  const MutableBytes zero = loop.scratch(0);
  const MutableBytes one = loop.scratch(1);
  EXPECT_EQ(zero.size(), 256u * 1024);
  EXPECT_NE(zero.data(), one.data());
  EXPECT_EQ(zero.data(), loop.scratch(0).data());
  EXPECT_DEATH(loop.scratch(8), "8 layers");
}

TEST_P(LoopTest, DestroysWhatIsStillPostedWhenItCloses) {
  auto captured = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = captured;
  loop.post([captured] { FAIL() << "must not run"; });
  captured.reset();
  EXPECT_FALSE(watch.expired());
  loop.close();
  EXPECT_TRUE(watch.expired());
  captured = std::make_shared<int>(2);
  const std::weak_ptr<int> later = captured;
  loop.post([moved = std::move(captured)] {});
  EXPECT_TRUE(later.expired());
}

TEST_P(LoopTest, LetsDestroyedNodesLeave) {
  {
    OnTurnEnd flush(note("flush"));
    OnTimer timer(note("timer"));
    loop.at_turn_end(flush);
    loop.arm(timer, loop.now() + seconds(1));
  }
  loop.advance(seconds(2));
  EXPECT_THAT(log, IsEmpty());
}

// With real time and threads.

class LoopThreadsTest : public testing::TestWithParam<bool> {
 protected:
  LoopThreadsTest() {
    if (GetParam()) loop.asio();
  }
  Loop loop;
};
INSTANTIATE_TEST_SUITE_P(WithoutAndWithAsio, LoopThreadsTest, testing::Bool(),
                         [](const auto& mode) { return mode.param ? "Asio" : "Plain"; });

TEST_P(LoopThreadsTest, WakesForEveryPostAndKeepsEachThreadsOrder) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 2000;
  std::vector<int> next(kThreads, 0);
  int finished = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        loop.post([&, t, i] {
          EXPECT_EQ(next[static_cast<std::size_t>(t)]++, i);
          if (i + 1 == kPosts && ++finished == kThreads) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(finished, kThreads);
}

// Goal: no wake is lost in the moment when the loop falls asleep. Each side answers the other, so one lost wake hangs.
TEST_P(LoopThreadsTest, LosesNoWakeWhileFallingAsleep) {
  Loop other;
  if (GetParam()) other.asio();
  int left = 20'000;
  std::function<void()> ping;
  std::function<void()> pong = [&] { loop.post([&] { ping(); }); };
  ping = [&] {
    if (--left == 0) {
      loop.stop();
      other.stop();
    } else {
      other.post([&] { pong(); });
    }
  };
  loop.post([&] { ping(); });
  std::thread thread([&] { other.run(); });
  loop.run();
  thread.join();
  EXPECT_EQ(left, 0);
}

TEST_P(LoopThreadsTest, StartsToSleepInAnIoContextThatAnotherThreadAsksFor) {
  bool ran = false;
  std::thread thread([&] {
    boost::asio::post(loop.asio(), [&] {
      ran = true;
      loop.stop();
    });
  });
  loop.run();
  thread.join();
  EXPECT_TRUE(ran);
}

TEST_P(LoopThreadsTest, NeverFiresATimerEarly) {
  SystemClock clock;
  int left = 20;
  TimePoint due;
  OnTimer timer([&] {
    EXPECT_GE(clock.now(), due);
    if (--left == 0) return loop.stop();
    due = clock.now() + std::chrono::microseconds(300 * left);
    loop.arm(timer, due);
  });
  due = clock.now();
  loop.arm(timer, due);
  loop.run();
  EXPECT_EQ(left, 0);
}

TEST_P(LoopThreadsTest, RemembersAStopThatCameBeforeRun) {
  loop.stop();
  loop.run();
  loop.post([&] { loop.stop(); });
  loop.run();
}

TEST_P(LoopThreadsTest, RunTurnWaitsNoLongerThanAsked) { EXPECT_FALSE(loop.run_turn(milliseconds(1))); }

TEST_P(LoopThreadsTest, SleepsUntilThereIsSomethingToDo) {
  constexpr int kTimers = 10;
  int fired = 0;
  OnTimer timer([&] { ++fired; });
  int turns = 0;
  for (int i = 0; i < kTimers; ++i) {
    loop.arm(timer, loop.now() + milliseconds(2));
    while (fired == i) {
      loop.run_turn(seconds(10));
      ++turns;
    }
  }
  EXPECT_LE(turns, 3 * kTimers) << "turns without anything to do: the loop spins";
}

}  // namespace
}  // namespace wayport
