#include "wayport/base/co.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wayport {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;

struct CoTest : testing::Test {
  ManualClock clock;
  std::optional<Loop> loop{std::in_place, LoopOptions{.clock = &clock}};
  std::vector<std::string> log;
  asio::cancellation_signal cancel;

  // Runs on the loop; what it returns is logged.
  void start(asio::awaitable<std::string> task) {
    asio::co_spawn(
        loop->asio(), std::move(task),
        asio::bind_cancellation_slot(cancel.slot(), [this](const std::exception_ptr& thrown, std::string result) {
          log.push_back(thrown ? "thrown" : std::move(result));
        }));
    loop->drain();
  }
};

// Waits for `where`, which the test completes.
asio::awaitable<std::string> wait_for(Completion<int>& where, std::vector<std::string>* log = nullptr) {
  const Result<int> result = co_await async_callback<int>([&](Completion<int> done) { where = std::move(done); });
  if (log != nullptr) log->push_back("resumed");
  co_return result ? std::to_string(*result) : result.error().to_string();
}

TEST_F(CoTest, ReturnsWhatTheCallbackWasGiven) {
  Completion<int> waiting;
  start(wait_for(waiting, &log));
  ASSERT_TRUE(waiting);
  loop->post([&] {
    waiting(7);
    log.push_back("after");
  });
  loop->drain();
  EXPECT_THAT(log, ElementsAre("resumed", "after", "7")) << "on its loop the coroutine goes on inside the callback";
}

TEST_F(CoTest, ReturnsErrors) {
  Completion<int> waiting;
  start(wait_for(waiting));
  waiting(fail(ErrorCode::refused, "no"));
  loop->drain();
  EXPECT_THAT(log, ElementsAre("refused: no"));
}

TEST_F(CoTest, GoesOnWithoutSuspendingIfTheCallbackCameAtOnce) {
  start([]() -> asio::awaitable<std::string> {
    int sum = 0;
    // So many that recursion would be noticed.
    for (int i = 0; i < 100'000; ++i) {
      const Result<int> one = co_await async_callback<int>([](Completion<int> done) { done(1); });
      sum += one.value();
    }
    co_return std::to_string(sum);
  }());
  EXPECT_THAT(log, ElementsAre("100000"));
}

TEST_F(CoTest, CanceledWhenTheCallbackIsDropped) {
  Completion<int> waiting;
  start(wait_for(waiting));
  waiting = {};
  loop->drain();
  EXPECT_THAT(log, ElementsAre("canceled: the callback was dropped uncalled"));
}

TEST_F(CoTest, ACallbackOnAnotherThreadResumesOnTheLoop) {
  Completion<int> waiting;
  start(wait_for(waiting));
  std::thread([&] { waiting(9); }).join();
  loop->drain();
  EXPECT_THAT(log, ElementsAre("9"));
}

TEST_F(CoTest, CancelingCallsTheHookAndResumesEvenIfThatDoesNothing) {
  Completion<int> waiting;
  start([](CoTest& test, Completion<int>& where) -> asio::awaitable<std::string> {
    const Result<int> result = co_await async_callback<int>([&](Completion<int> done) {
      where = std::move(done);
      return [&test] { test.log.push_back("hook"); };
    });
    co_return result.error().to_string();
  }(*this, waiting));
  cancel.emit(asio::cancellation_type::terminal);
  loop->drain();
  EXPECT_THAT(log, ElementsAre("hook", "canceled: the waiting coroutine was canceled"));
  waiting(5);  // too late, and harmless
  loop->drain();
}

TEST_F(CoTest, AHookMayCompleteWithSomethingElse) {
  Completion<int> waiting;
  start([](Completion<int>& where) -> asio::awaitable<std::string> {
    const Result<int> result = co_await async_callback<int>([&](Completion<int> done) {
      where = std::move(done);
      return [&where] { where(42); };
    });
    co_return std::to_string(result.value());
  }(waiting));
  cancel.emit(asio::cancellation_type::terminal);
  loop->drain();
  EXPECT_THAT(log, ElementsAre("42"));
}

TEST_F(CoTest, SleepsInTheTimeOfItsLoop) {
  start([](CoTest& test) -> asio::awaitable<std::string> {
    for (int i = 0; i < 3; ++i) {
      static_cast<void>(co_await sleep_for(*test.loop, seconds(1)));
      test.log.push_back("tick");
    }
    static_cast<void>(co_await sleep_until(*test.loop, test.loop->now() - seconds(1)));
    co_return "end";
  }(*this));
  loop->advance(milliseconds(999));
  EXPECT_THAT(log, ElementsAre());
  loop->advance(milliseconds(1));
  EXPECT_THAT(log, ElementsAre("tick"));
  loop->advance(seconds(2));
  EXPECT_THAT(log, ElementsAre("tick", "tick", "tick", "end"));
}

asio::awaitable<std::string> sleep_long(Loop& loop, Duration time) {
  const Result<void> slept = co_await sleep_for(loop, time);
  co_return slept ? "slept" : slept.error().to_string();
}

TEST_F(CoTest, ASleepCanBeCanceled) {
  start(sleep_long(*loop, hours(1)));
  cancel.emit(asio::cancellation_type::terminal);
  loop->drain();
  EXPECT_THAT(log, ElementsAre("canceled: the waiting coroutine was canceled"));
  loop->advance(hours(2));
}

TEST_F(CoTest, ASleepMayBeForEver) {
  start(sleep_long(*loop, Duration::max()));
  loop->advance(hours(1000));
  EXPECT_THAT(log, ElementsAre());
}

// A coroutine and what it waits for own each other; leak detection watches this test.
TEST_F(CoTest, TheEndOfTheLoopDestroysSuspendedCoroutines) {
  struct Mark {
    std::vector<std::string>& log;
    ~Mark() { log.push_back("unwound"); }
  };
  Completion<int> waiting;
  start([](CoTest& test, Completion<int>& where) -> asio::awaitable<std::string> {
    const Mark mark{test.log};
    co_return co_await wait_for(where);
  }(*this, waiting));
  start(sleep_long(*loop, hours(1)));
  loop.reset();
  EXPECT_THAT(log, ElementsAre("unwound"));
  waiting(5);  // the loop is gone, and so is who waited
}

TEST_F(CoTest, TheEndOfTheLoopMayFindACompletionUnderWay) {
  Completion<int> waiting;
  start(wait_for(waiting));
  std::thread([&] { waiting(9); }).join();
  loop.reset();
  EXPECT_THAT(log, ElementsAre());
}

}  // namespace
}  // namespace wayport
