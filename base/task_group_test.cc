#include "wayport/base/task_group.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "wayport/base/co.h"
#include "wayport/base/log_testing.h"

namespace wayport {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::ElementsAre;

struct TaskGroupTest : testing::Test {
  ManualClock clock;
  MemoryLog log;
  std::optional<Loop> loop{std::in_place, LoopOptions{.clock = &clock}};
  std::vector<std::string> seen;

  void close(TaskGroup& group) {
    asio::co_spawn(*&loop->asio(), group.close(), [this](const std::exception_ptr&) { seen.push_back("closed"); });
    loop->drain();
  }
};

asio::awaitable<void> sleep_and_say(TaskGroupTest& test, Duration time, std::string what) {
  const Result<void> slept = co_await sleep_for(*test.loop, time);
  test.seen.push_back(slept ? what : what + " canceled");
}

TEST_F(TaskGroupTest, RunsTasksBesideEachOther) {
  TaskGroup group(*loop, log);
  EXPECT_TRUE(group.spawn(sleep_and_say(*this, seconds(2), "two")));
  EXPECT_TRUE(group.spawn(sleep_and_say(*this, seconds(1), "one")));
  EXPECT_EQ(group.running(), 2u);
  loop->advance(seconds(1));
  EXPECT_EQ(group.running(), 1u);
  loop->advance(seconds(1));
  EXPECT_THAT(seen, ElementsAre("one", "two"));
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(TaskGroupTest, CloseRefusesCancelsAndWaits) {
  TaskGroup group(*loop, log);
  ASSERT_TRUE(group.spawn(sleep_and_say(*this, hours(1), "task")));
  loop->drain();
  close(group);
  EXPECT_THAT(seen, ElementsAre("task canceled", "closed"));
  EXPECT_FALSE(group.spawn(sleep_and_say(*this, seconds(0), "late")));
  close(group);
  EXPECT_THAT(seen, ElementsAre("task canceled", "closed", "closed"));
}

TEST_F(TaskGroupTest, CloseWaitsForATaskThatTakesItsTime) {
  TaskGroup group(*loop, log);
  ASSERT_TRUE(group.spawn([](TaskGroupTest& test) -> asio::awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    static_cast<void>(co_await sleep_for(*test.loop, seconds(5)));
    test.seen.push_back("finished");
  }(*this)));
  loop->drain();
  close(group);
  EXPECT_THAT(seen, ElementsAre());
  loop->advance(seconds(5));
  EXPECT_THAT(seen, ElementsAre("finished", "closed"));
}

TEST_F(TaskGroupTest, CancelsTasksThatHaveNotStarted) {
  TaskGroup group(*loop, log);
  ASSERT_TRUE(group.spawn(sleep_and_say(*this, hours(1), "task")));
  group.cancel();
  loop->drain();
  EXPECT_EQ(group.running(), 0u);
  EXPECT_EQ(group.escaped_exceptions(), 0u);
}

TEST_F(TaskGroupTest, CancelsWaitsOfAsio) {
  TaskGroup group(*loop, log);
  ASSERT_TRUE(group.spawn([](Loop& on) -> asio::awaitable<void> {
    asio::steady_timer timer(on.asio(), hours(1));
    co_await timer.async_wait(asio::use_awaitable);
  }(*loop)));
  loop->drain();
  close(group);
  EXPECT_THAT(seen, ElementsAre("closed"));
  EXPECT_EQ(group.escaped_exceptions(), 0u) << "the cancellation that close() caused is no fault";
}

TEST_F(TaskGroupTest, CountsAndLogsStrayExceptions) {
  TaskGroup group(*loop, log, "probes");
  ASSERT_TRUE(group.spawn([]() -> asio::awaitable<void> {
    throw std::runtime_error("lost\nmy way");
    co_return;
  }()));
  loop->drain();
  EXPECT_EQ(group.escaped_exceptions(), 1u);
  EXPECT_THAT(log.lines(), ElementsAre("error exception left a task group=probes what=\"lost\\x0amy way\""));
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(TaskGroupTest, RefusesAboveItsBound) {
  TaskGroup group(*loop, log, "few", {.tasks_max = 2});
  EXPECT_TRUE(group.spawn(sleep_and_say(*this, seconds(1), "1")));
  EXPECT_TRUE(group.spawn(sleep_and_say(*this, seconds(1), "2")));
  EXPECT_FALSE(group.spawn(sleep_and_say(*this, seconds(1), "3")));
  loop->advance(seconds(1));
  EXPECT_TRUE(group.spawn(sleep_and_say(*this, seconds(1), "4")));
  loop->advance(seconds(1));
  EXPECT_THAT(seen, ElementsAre("1", "2", "4"));
}

TEST_F(TaskGroupTest, ATaskMayEndAnother) {
  TaskGroup group(*loop, log);
  ASSERT_TRUE(group.spawn(sleep_and_say(*this, hours(1), "victim")));
  ASSERT_TRUE(group.spawn([](TaskGroupTest& test, TaskGroup& all) -> asio::awaitable<void> {
    static_cast<void>(co_await sleep_for(*test.loop, seconds(1)));
    all.cancel();
    test.seen.push_back("canceled all");
  }(*this, group)));
  loop->advance(seconds(1));
  EXPECT_THAT(seen, ElementsAre("canceled all", "victim canceled"));
  EXPECT_EQ(group.running(), 0u);
}

// Address sanitizer is what fails here.
TEST_F(TaskGroupTest, ATaskMayEndBeforeItsCancellationReachesIt) {
  TaskGroup group(*loop, log);
  Completion<bool> completion;
  ASSERT_TRUE(group.spawn([](TaskGroupTest& test, Completion<bool>& kept) -> asio::awaitable<void> {
    const Result<bool> outcome =
        co_await async_callback<bool>([&kept](Completion<bool> done) { kept = std::move(done); });
    test.seen.push_back(outcome ? "ended" : "canceled");
  }(*this, completion)));
  loop->drain();
  loop->post([&] {
    group.cancel();
    group.cancel();
    completion(true);
  });
  loop->drain();
  EXPECT_THAT(seen, ElementsAre("ended"));
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(TaskGroupTest, TheLoopMayEndBeforeTheGroup) {
  TaskGroup group(*loop, log);
  ASSERT_TRUE(group.spawn(sleep_and_say(*this, hours(1), "task")));
  ASSERT_TRUE(group.spawn(sleep_and_say(*this, hours(2), "task")));
  loop->drain();
  close(group);
  loop.reset();
}

TEST_F(TaskGroupTest, TheLoopMayEndWhileSomebodyWaitsForTheGroup) {
  TaskGroup group(*loop, log);
  ASSERT_TRUE(group.spawn([](TaskGroupTest& test) -> asio::awaitable<void> {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    static_cast<void>(co_await sleep_for(*test.loop, hours(5)));
  }(*this)));
  loop->drain();
  close(group);
  loop.reset();
  EXPECT_THAT(seen, ElementsAre());
}

}  // namespace
}  // namespace wayport
