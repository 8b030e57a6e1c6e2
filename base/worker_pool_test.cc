#include "wayport/base/worker_pool.h"

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace wayport {
namespace {

using Task = std::move_only_function<void()>;

bool post(WorkerPool& pool, Task task) { return pool.try_post(task); }

TEST(WorkerPool, StartsThreadsOnDemandUpToItsBound) {
  WorkerPool pool({.threads_max = 3, .queue_max = 100});
  EXPECT_EQ(pool.threads(), 0u);
  std::latch all_run(3);
  std::latch leave(1);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(post(pool, [&] {
      all_run.count_down();
      leave.wait();
    }));
  }
  all_run.wait();
  ASSERT_TRUE(post(pool, [] {}));
  EXPECT_EQ(pool.threads(), 3u);
  EXPECT_EQ(pool.queued(), 1u);
  leave.count_down();
  pool.stop();
}

TEST(WorkerPool, RefusesWhenTheQueueIsFullAndKeepsTheTaskWithTheCaller) {
  WorkerPool pool({.threads_max = 1, .queue_max = 2});
  std::latch started(1);
  std::latch leave(1);
  ASSERT_TRUE(post(pool, [&] {
    started.count_down();
    leave.wait();
  }));
  started.wait();
  std::atomic<int> ran = 0;
  ASSERT_TRUE(post(pool, [&] { ++ran; }));
  ASSERT_TRUE(post(pool, [&] { ++ran; }));
  auto mark = std::make_unique<int>(7);
  Task third = [&ran, mark = std::move(mark)] { ran += *mark; };
  EXPECT_FALSE(pool.try_post(third));
  EXPECT_EQ(pool.refused(), 1u);
  ASSERT_TRUE(third);
  third();
  leave.count_down();
  pool.stop();
  EXPECT_EQ(ran, 9);
}

TEST(WorkerPool, RefusesOneThatNoThreadTakesEvenWithoutAQueue) {
  WorkerPool pool({.threads_max = 1, .queue_max = 0});
  std::latch started(1);
  std::latch leave(1);
  ASSERT_TRUE(post(pool, [&] {
    started.count_down();
    leave.wait();
  }));
  started.wait();
  EXPECT_FALSE(post(pool, [] {}));
  leave.count_down();
  pool.stop();
}

TEST(WorkerPool, RunsWhatIsQueuedBeforeItStops) {
  std::atomic<int> ran = 0;
  WorkerPool pool({.threads_max = 2, .queue_max = 1000});
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(post(pool, [&] { ++ran; }));
  pool.stop();
  EXPECT_EQ(ran, 500);
  EXPECT_FALSE(post(pool, [] {}));
  pool.stop();
}

TEST(WorkerPool, CountsExceptionsAndGoesOn) {
  WorkerPool pool({.threads_max = 1});
  std::atomic<bool> ran = false;
  ASSERT_TRUE(post(pool, [] { throw std::runtime_error("lost"); }));
  ASSERT_TRUE(post(pool, [] { throw 5; }));
  ASSERT_TRUE(post(pool, [&] { ran = true; }));
  pool.stop();
  EXPECT_TRUE(ran);
  EXPECT_EQ(pool.escaped_exceptions(), 2u);
}

TEST(WorkerPool, DestroysCapturesOnTheWorker) {
  std::binary_semaphore destroyed(0);
  WorkerPool pool;
  struct Mark {
    std::binary_semaphore& gone;
    std::thread::id by;
    explicit Mark(std::binary_semaphore& s) : gone(s), by(std::this_thread::get_id()) {}
    ~Mark() {
      EXPECT_NE(by, std::this_thread::get_id());
      gone.release();
    }
  };
  ASSERT_TRUE(post(pool, [mark = std::make_unique<Mark>(destroyed)] {}));
  destroyed.acquire();
}

// Threads leave at once and new ones start, from several sides: nothing may be lost, or joined twice.
TEST(WorkerPool, SurvivesThreadsThatLeaveAllTheTime) {
  WorkerPool pool({.threads_max = 4, .queue_max = 10'000, .idle_time_max = Duration::zero()});
  std::atomic<int> ran = 0;
  std::atomic<int> taken = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        taken += post(pool, [&] { ++ran; });
        if (i % 8 == 0) std::this_thread::yield();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  pool.stop();
  EXPECT_EQ(ran, taken);
  EXPECT_EQ(taken, 900);
}

}  // namespace
}  // namespace wayport
