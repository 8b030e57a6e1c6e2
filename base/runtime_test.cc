#include "wayport/base/runtime.h"

#include <pthread.h>

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "wayport/base/log_testing.h"

namespace wayport {
namespace {

TEST(Runtime, LoopsBelongToTheirThreadsOnceTheRuntimeIsThere) {
  for (int i = 0; i < 50; ++i) {
    Runtime runtime({.loops = 2, .log = &null_log()});
    for (std::size_t index = 0; index < runtime.loop_count(); ++index) {
      EXPECT_FALSE(runtime.loop(index).in_loop_thread());
    }
  }
}

TEST(Runtime, RunsEachLoopOnANamedThreadOfItsOwn) {
  MemoryLog log;
  Runtime runtime({.loops = 3, .log = &log});
  ASSERT_EQ(runtime.loop_count(), 3u);
  EXPECT_EQ(&runtime.log(), &log);
  std::latch done(3);
  std::vector<std::string> names(3);
  for (std::size_t i = 0; i < 3; ++i) {
    runtime.loop(i).post([&, i] {
      char name[32];
      ::pthread_getname_np(::pthread_self(), name, sizeof(name));
      names[Loop::current()->index()] = name;
      EXPECT_EQ(Loop::current(), &runtime.loop(i));
      done.count_down();
    });
  }
  done.wait();
  EXPECT_THAT(names, testing::ElementsAre("wayport-0", "wayport-1", "wayport-2"));
}

TEST(Runtime, HasALoopForEachCoreByDefault) {
  MemoryLog log;
  Runtime runtime({.log = &log});
  EXPECT_GE(runtime.loop_count(), 1u);
}

TEST(Runtime, HandsOutLoopsInTurn) {
  MemoryLog log;
  Runtime runtime({.loops = 2, .log = &log, .start_threads = false});
  std::set<Loop*> loops = {&runtime.next_loop(), &runtime.next_loop()};
  EXPECT_EQ(loops.size(), 2u);
}

TEST(Runtime, LeavesRunningToTestsWithAManualClock) {
  ManualClock clock;
  MemoryLog log;
  Runtime runtime({.loops = 1, .log = &log, .clock = &clock, .start_threads = false});
  bool ran = false;
  runtime.loop(0).post([&] { ran = true; });
  runtime.loop(0).drain();
  EXPECT_TRUE(ran);
  EXPECT_EQ(&runtime.clock(), &clock);
}

TEST(Runtime, LetsWorkersFinishWhileLoopsStillAnswer) {
  MemoryLog log;
  Runtime runtime({.loops = 1, .log = &log});
  std::atomic<bool> answered = false;
  std::move_only_function<void()> task = [&] {
    std::latch answer(1);
    runtime.loop(0).post([&] { answer.count_down(); });
    answer.wait();
    answered = true;
  };
  ASSERT_TRUE(runtime.workers().try_post(task));
  runtime.stop();
  EXPECT_TRUE(answered);
  runtime.stop();
}

// What one loop drops at its end may post to the others, whichever goes first.
TEST(Runtime, MayBeDestroyedWithWorkThatRefersToOtherLoops) {
  struct PostsWhenItGoes {
    Loop& other;
    ~PostsWhenItGoes() {
      other.post([] {});
    }
  };
  MemoryLog log;
  Runtime runtime({.loops = 2, .log = &log, .start_threads = false});
  runtime.loop(0).post([mark = std::make_shared<PostsWhenItGoes>(runtime.loop(1))] {});
  runtime.loop(1).post([mark = std::make_shared<PostsWhenItGoes>(runtime.loop(0))] {});
}

}  // namespace
}  // namespace wayport
