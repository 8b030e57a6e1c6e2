// Runtime: one Loop per core on threads of its own, a worker pool for handlers that block, and the injected rest (log,
// clock). It is made in main, handed to peers and gateways, and outlives them.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/loop.h"
#include "wayport/base/worker_pool.h"

namespace wayport {

struct RuntimeOptions {
  unsigned loops = 0;           // 0: one per core that this process may use
  Log* log = nullptr;           // null: standard error at `info`
  Clock* clock = nullptr;       // null: SystemClock
  WorkerPoolOptions workers{};  // see worker_pool.h
  LoopOptions loop{};           // template for each loop; index and clock are filled in
  bool start_threads = true;    // false: the caller runs loop(0) itself (tests with a ManualClock)
};

class Runtime {
 public:
  explicit Runtime(RuntimeOptions options = {});
  ~Runtime();  // stop() and join
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  std::size_t loop_count() const noexcept;
  Loop& loop(std::size_t index) noexcept;
  // Round robin; any thread. Where a new connection goes.
  Loop& next_loop() noexcept;
  WorkerPool& workers() noexcept;
  Log& log() noexcept;
  const Clock& clock() const noexcept;

  // Ends all loops and workers; idempotent; not from a loop thread.
  void stop();

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace wayport
