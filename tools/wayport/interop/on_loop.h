// From the main thread to a loop and back.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <expected>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "wayport/base/loop.h"
#include "wayport/base/time.h"
#include "wayport/tools/wayport/interop/failure.h"
#include "wayport/tools/wayport/interop/progress.h"

namespace wayport::tools::interop {

// Returns when `work` was done. Not on a loop thread.
inline void run_on(Loop& loop, std::move_only_function<void()> work) {
  std::promise<void> done;
  loop.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

// Failure as a value: thrown on the loop and caught elsewhere, it would be shared with the loop, which lets go of it later.
template <class T>
boost::asio::awaitable<std::expected<T, std::string>> outcome_of(boost::asio::awaitable<T> work) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(work);
      co_return std::expected<T, std::string>();
    } else {
      co_return co_await std::move(work);
    }
  } catch (const Failure& failure) {
    co_return std::unexpected(std::string(failure.what()));
  }
}
template <class T>
using FutureOutcome = std::future<std::expected<T, std::string>>;

// Throws it here.
template <class T>
T take(FutureOutcome<T> future) {
  std::expected<T, std::string> outcome = future.get();
  if (!outcome) throw Failure(std::move(outcome.error()));
  if constexpr (!std::is_void_v<T>) return *std::move(outcome);
}

// Runs a case to its end, or for `timeout`. One that is late goes with its loop, and so owns all that it uses.
inline void run_case_on(Loop& loop, boost::asio::awaitable<void> work, Duration timeout, const Progress& progress) {
  FutureOutcome<void> done = boost::asio::co_spawn(loop.asio(), outcome_of(std::move(work)), boost::asio::use_future);
  if (done.wait_for(timeout) == std::future_status::ready) return take(std::move(done));
  throw Failure("expected " + progress.what() + "; came: nothing within " + format_duration(timeout));
}

}  // namespace wayport::tools::interop
