// A bounded pool of threads for work that blocks. Threads start on demand and leave after an idle time.
//
// Thread-safe. A full queue refuses at once, so that the caller can answer 503 instead of waiting.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "wayport/base/counters.h"
#include "wayport/base/time.h"

namespace wayport {

struct WorkerPoolOptions {
  std::size_t threads_max = 64;
  std::size_t queue_max = 16 * 1024;                  // tasks waiting for a thread
  Duration idle_time_max = std::chrono::seconds(10);  // then a thread ends
};

class WorkerPool {
 public:
  explicit WorkerPool(WorkerPoolOptions options = {});
  ~WorkerPool();  // stop()
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False: the queue is full or the pool is stopped, and `task` was not taken. Exceptions that leave a task end it and
  // are counted, never the process.
  [[nodiscard]] bool try_post(std::move_only_function<void()>& task);
  // Refuses new tasks, runs those queued, joins. Idempotent; not from a task.
  void stop();

  std::size_t threads() const;
  std::size_t queued() const;
  std::uint64_t refused() const noexcept;
  std::uint64_t escaped_exceptions() const noexcept;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace wayport
