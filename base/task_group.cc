#include "wayport/base/task_group.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <list>
#include <utility>
#include <vector>

#include "wayport/base/co.h"

namespace wayport {
namespace {

struct Task {
  asio::cancellation_signal cancel;
  bool canceled = false;
  bool ended = false;
};

}  // namespace

struct TaskGroup::State final : LoopCloseHook {
  State(Loop& on, Log& to, std::string called, TaskGroupOptions given)
      : loop(on), log(to), name(std::move(called)), options(given) {
    loop.at_close(*this);
  }

  // The loop destroys the coroutines; their cancellation_signals lead nowhere from here on.
  void on_loop_close() noexcept override {
    closing = true;
    tasks.clear();
  }

  // The top level of every task.
  void ended(std::list<std::shared_ptr<Task>>::iterator task, std::exception_ptr thrown) {
    if (thrown) report(thrown);
    (*task)->ended = true;
    tasks.erase(task);
    if (!tasks.empty() || !closing) return;
    auto all = std::move(waiting);
    waiting.clear();
    for (Completion<void>& done : all) done({});
  }

  void report(const std::exception_ptr& thrown) {
    std::string what = "not a std::exception";
    try {
      std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& error) {
      if (closing && error.code() == asio::error::operation_aborted) return;
      what = error.what();
    } catch (const std::exception& error) {
      what = error.what();
    } catch (...) {
    }
    ++escaped;
    log.write(LogLevel::error, "exception left a task", {{"group", name}, {"what", what}});
  }

  Loop& loop;
  Log& log;
  const std::string name;
  const TaskGroupOptions options;
  std::list<std::shared_ptr<Task>> tasks;
  std::vector<Completion<void>> waiting;
  std::uint64_t escaped = 0;
  bool closing = false;
};

TaskGroup::TaskGroup(Loop& loop, Log& log, std::string name, TaskGroupOptions options)
    : state_(std::make_shared<State>(loop, log, std::move(name), options)) {}

TaskGroup::~TaskGroup() { cancel(); }

bool TaskGroup::spawn(asio::awaitable<void> task) {
  if (state_->closing || state_->tasks.size() >= state_->options.tasks_max) return false;
  state_->tasks.push_back(std::make_shared<Task>());
  const auto entry = std::prev(state_->tasks.end());
  asio::co_spawn(state_->loop.asio(), std::move(task),
                 asio::bind_cancellation_slot((*entry)->cancel.slot(),
                                              [state = state_, entry, owned = *entry](std::exception_ptr thrown) {
                                                state->ended(entry, std::move(thrown));
                                              }));
  return true;
}

void TaskGroup::cancel() {
  state_->closing = true;
  for (const std::shared_ptr<Task>& task : state_->tasks) {
    if (std::exchange(task->canceled, true)) continue;
    // From inside the io_context: co_spawn passes a cancellation that comes from elsewhere on by a post that keeps
    // nothing alive, and the task may end before it runs.
    asio::post(state_->loop.asio(), [task] {
      if (!task->ended) task->cancel.emit(asio::cancellation_type::terminal);
    });
  }
}

asio::awaitable<void> TaskGroup::close() {
  cancel();
  if (state_->tasks.empty()) co_return;
  static_cast<void>(co_await async_callback<void>(
      [state = state_](Completion<void> done) { state->waiting.push_back(std::move(done)); }));
}

std::size_t TaskGroup::running() const noexcept { return state_->tasks.size(); }

std::uint64_t TaskGroup::escaped_exceptions() const noexcept { return state_->escaped; }

}  // namespace wayport
