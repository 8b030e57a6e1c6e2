// Progress: what a case waits for, for the message of a case that did not end in time. Any thread.
#pragma once

#include <mutex>
#include <string>
#include <utility>

namespace wayport::tools::interop {

class Progress {
 public:
  void waits_for(std::string what) {
    const std::lock_guard lock(mutex_);
    what_ = std::move(what);
  }
  std::string what() const {
    const std::lock_guard lock(mutex_);
    return what_;
  }

 private:
  mutable std::mutex mutex_;
  std::string what_ = "a connection";
};

}  // namespace wayport::tools::interop
