// TaskGroup: owns background coroutines. Closing means: refuse new ones, cancel those that run, wait until all ended.
//
// The one place where a coroutine is started without somebody awaiting it. An exception that leaves a task ends that
// task, and is counted and logged; the cancellation that close() caused is not.
//
//   TaskGroup tasks(loop, log, "discovery");
//   if (!tasks.spawn(watch_servers(client))) return fail(...);
//   ...
//   co_await tasks.close();   // only then may go what the tasks use
//
// On the loop's thread. Destroying a group whose tasks still run cancels them without waiting. When the loop closes
// first, it destroys them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "wayport/base/log.h"
#include "wayport/base/loop.h"

namespace wayport {

struct TaskGroupOptions {
  std::size_t tasks_max = 64 * 1024;  // running at one time; then spawn() refuses
};

class TaskGroup {
 public:
  explicit TaskGroup(Loop& loop, Log& log = null_log(), std::string name = "tasks", TaskGroupOptions options = {});
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Starts it on the loop, at the latest in its next turn. False: closing, or full; the task is destroyed unstarted.
  // Arguments of the coroutine are its own: pass them by value, and do not spawn a called lambda that captures.
  [[nodiscard]] bool spawn(boost::asio::awaitable<void> task);
  // Refuses and cancels, without waiting. Idempotent.
  void cancel();
  // cancel(), then suspends until the last task has ended. Not to be awaited by a task of this group.
  boost::asio::awaitable<void> close();

  std::size_t running() const noexcept;
  std::uint64_t escaped_exceptions() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace wayport
