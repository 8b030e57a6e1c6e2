// A loop on a thread of its own, for links that tests command from their threads.
#pragma once

#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "wayport/base/loop.h"

namespace wayport::harness {

class LinkLoop {
 public:
  LinkLoop() : thread_([this] { loop_.run(); }) {}
  ~LinkLoop() {
    loop_.stop();
    thread_.join();
    loop_.close();
  }
  LinkLoop(const LinkLoop&) = delete;
  LinkLoop& operator=(const LinkLoop&) = delete;

  Loop& get() noexcept { return loop_; }
  // Runs `work` on the loop's thread, and waits for what it returns. Not on that thread.
  template <class Work>
  auto run(Work work) {
    using Returned = std::invoke_result_t<Work&>;
    std::promise<Returned> promise;
    std::future<Returned> done = promise.get_future();
    loop_.post([&] {
      if constexpr (std::is_void_v<Returned>) {
        work();
        promise.set_value();
      } else {
        promise.set_value(work());
      }
    });
    return done.get();
  }

 private:
  Loop loop_;
  std::thread thread_;
};

}  // namespace wayport::harness
