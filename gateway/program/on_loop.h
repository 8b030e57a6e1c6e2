// Runs something on a loop and waits for it.
#pragma once

#include <future>

#include "wayport/base/loop.h"

namespace wayport::gateway {

// Not on a loop's thread.
template <class Work>
void run_on_loop(Loop& loop, Work&& work) {
  std::promise<void> done;
  loop.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace wayport::gateway
