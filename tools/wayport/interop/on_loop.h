// From the main thread to a loop and back.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <functional>
#include <future>
#include <memory>
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

// Runs a case to its end, or for `timeout`. One that is late goes with its loop, and so owns all that it uses.
inline void run_case_on(Loop& loop, boost::asio::awaitable<void> work, Duration timeout, const Progress& progress) {
  std::future<void> done = boost::asio::co_spawn(loop.asio(), std::move(work), boost::asio::use_future);
  if (done.wait_for(timeout) == std::future_status::ready) return done.get();
  throw Failure("expected " + progress.what() + "; came: nothing within " + format_duration(timeout));
}

}  // namespace wayport::tools::interop
