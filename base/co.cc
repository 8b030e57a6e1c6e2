#include "wayport/base/co.h"

namespace wayport {
namespace {

struct SleepTimer final : Timer {
  Completion<void> done;

  void on_timer() override {
    Completion<void> moved = std::move(done);
    moved({});
  }
};

}  // namespace

asio::awaitable<Result<void>> sleep_until(Loop& loop, TimePoint due) {
  SleepTimer timer;
  co_return co_await async_callback<void>([&](Completion<void> done) {
    timer.done = std::move(done);
    loop.arm(timer, due);
    return [&] { loop.disarm(timer); };
  });
}

asio::awaitable<Result<void>> sleep_for(Loop& loop, Duration duration) {
  return sleep_until(loop, duration < kNever - loop.now() ? loop.now() + duration : kNever);
}

}  // namespace wayport
