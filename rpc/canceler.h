// Withdraws a pull or a dial from outside: make one for each, pass it in the options, call cancel() from any thread. It
// knows one operation at a time: the next one to bind takes the place of the last. Thread-safe.
#pragma once

#include <functional>
#include <mutex>
#include <utility>

namespace wayport::rpc {

class Canceler {
 public:
  // Idempotent. What was bound ends with 499 (pull) or `canceled` (dial) on its loop; what is bound later ends at once.
  void cancel() {
    std::move_only_function<void()> act;
    {
      const std::lock_guard lock(mutex_);
      canceled_ = true;
      act = std::exchange(act_, {});
    }
    if (act) act();
  }
  // By the operation, when there is something to cancel. `act` runs at most once, on the thread that cancels.
  void bind(std::move_only_function<void()> act) {
    {
      const std::lock_guard lock(mutex_);
      if (!canceled_) {
        act_ = std::move(act);
        return;
      }
    }
    act();
  }
  // By the operation, when it is over.
  void unbind() {
    std::move_only_function<void()> act;  // destroyed after the lock is released
    const std::lock_guard lock(mutex_);
    act = std::exchange(act_, {});
  }

 private:
  std::mutex mutex_;
  std::move_only_function<void()> act_;
  bool canceled_ = false;
};

}  // namespace wayport::rpc
