// What a command talks to: streams instead of the process's own, and a way to be told to end, so that tests run
// commands in process.
#pragma once

#include <condition_variable>
#include <functional>
#include <istream>
#include <mutex>
#include <ostream>
#include <string_view>

namespace wayport::tools {

// Exit codes of every command.
inline constexpr int kExitSuccess = 0;
inline constexpr int kExitFailure = 1;  // it did not work; the reason is on standard error
inline constexpr int kExitUsage = 2;    // it cannot work: the command line, or a body that does not fit it

// Lines that several threads write. A reader that does not take them makes the writers wait.
class Lines {
 public:
  explicit Lines(std::ostream& to) : to_(to) {}
  // `text` ends with a line end.
  void write(std::string_view text) {
    const std::lock_guard lock(mutex_);
    to_ << text << std::flush;
  }

 private:
  std::mutex mutex_;
  std::ostream& to_;
};

struct Console {
  std::istream& in;
  std::ostream& out;  // data
  std::ostream& err;  // everything else
  // Bodies are shown, not copied: what would steer the terminal is escaped.
  bool out_is_terminal = false;
};

// Tells a running command to end. Any thread.
class Interrupt {
 public:
  void raise() {
    const std::lock_guard lock(mutex_);
    raised_ = true;
    changed_.notify_all();
  }
  // Makes wait() ask its question again.
  void wake() {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  // Returns when raised, or when `done` says so. `done` runs under the lock: it must not wait.
  void wait(const std::function<bool()>& done = [] { return false; }) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return raised_ || done(); });
  }
  bool raised() const {
    const std::lock_guard lock(mutex_);
    return raised_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool raised_ = false;
};

}  // namespace wayport::tools
