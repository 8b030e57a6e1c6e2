// What does not depend on whom the process serves; restarts of real processes are in rpc/graceful and gateway/program.
#include "wayport/transport/graceful_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/log_testing.h"

namespace wayport::transport {
namespace {

using std::chrono::milliseconds;

struct Server final : Drainable {
  explicit Server(bool it_ends) : ends(it_ends) {}
  std::vector<int> hand_over_listeners() override {
    ++handed_over;
    return {};
  }
  void take_back_listeners() override { ++taken_back; }
  void close_async(std::move_only_function<void()> closed) override {
    ++closes;
    {
      const std::lock_guard lock(mutex);
      if (!ends && !aborted) {
        done = std::move(closed);
        return;
      }
    }
    closed();
  }
  std::size_t abort() override {
    std::move_only_function<void()> closed;
    {
      const std::lock_guard lock(mutex);
      aborted = true;
      closed = std::move(done);
    }
    if (closed) closed();
    return 3;
  }

  const bool ends;
  int handed_over = 0;
  int taken_back = 0;
  int closes = 0;
  std::mutex mutex;  // closed on the thread that waits, aborted on the loop
  bool aborted = false;
  std::move_only_function<void()> done;
};

class GracefulProcessTest : public ::testing::Test {
 protected:
  GracefulProcessTest() : runtime({.loops = 1, .log = &log}) {}

  MemoryLog log;
  Runtime runtime;
  ProcessStart start;  // of nobody: it has no program that could be started
};

TEST_F(GracefulProcessTest, AllThatIsServedIsClosedOnce) {
  Server first(true);
  Server second(true);
  const auto process = GracefulProcess::start(runtime, {&first, &second}, start, {.catch_signals = false});
  ASSERT_TRUE(process);
  (*process)->stop();
  (*process)->stop();
  const GracefulEnd end = (*process)->wait();
  EXPECT_TRUE(end.drained);
  EXPECT_FALSE(end.replaced);
  EXPECT_EQ(first.closes, 1);
  EXPECT_EQ(second.closes, 1);
}

TEST_F(GracefulProcessTest, WhatDoesNotEndInTimeIsAborted) {
  Server stuck(false);
  const auto process =
      GracefulProcess::start(runtime, {&stuck}, start, {.drain_timeout = milliseconds(20), .catch_signals = false});
  ASSERT_TRUE(process);
  (*process)->stop();
  EXPECT_FALSE((*process)->wait().drained);
  EXPECT_EQ(log.count("sessions=3"), 1u);
}

TEST_F(GracefulProcessTest, ARestartThatFailsGivesTheListenersBack) {
  Server server(true);
  const auto process = GracefulProcess::start(runtime, {&server}, start, {.catch_signals = false, .own_pid = 1});
  ASSERT_TRUE(process);
  (*process)->restart();
  (*process)->stop();
  EXPECT_FALSE((*process)->wait().replaced);
  EXPECT_EQ(server.handed_over, 1);
  EXPECT_EQ(server.taken_back, 2);  // at the start, too: what was inherited is its own from then on
  EXPECT_EQ(log.count("the restart failed"), 1u);
}

TEST_F(GracefulProcessTest, NothingToServeIsNoReasonToStay) {
  const auto process = GracefulProcess::start(runtime, {}, start, {.catch_signals = false});
  ASSERT_TRUE(process);
  (*process)->stop();
  EXPECT_TRUE((*process)->wait().drained);
}

}  // namespace
}  // namespace wayport::transport
