#include "wayport/base/worker_pool.h"

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <thread>
#include <utility>

#include "wayport/base/result.h"

namespace wayport {

using Task = std::move_only_function<void()>;

struct WorkerPool::Implementation {
  using Threads = std::list<std::thread>;

  explicit Implementation(WorkerPoolOptions given) : options(given) {}

  void run(Threads::iterator self) {
    ::pthread_setname_np(::pthread_self(), "wayport-worker");
    std::unique_lock lock(mutex);
    --starting;
    while (true) {
      if (!queue.empty()) {
        Task task = std::move(queue.front());
        queue.pop_front();
        lock.unlock();
        run_one(task);
        lock.lock();
        continue;
      }
      if (stopped) return;
      ++idle;
      const bool called =
          work_or_stop.wait_for(lock, options.idle_time_max, [this] { return !queue.empty() || stopped; });
      --idle;
      if (!called) break;
    }
    // Nobody needs this thread. It cannot join itself: the next one to leave or stop() does.
    finished.splice(finished.end(), threads, self);
    if (finished.size() > 1) {
      Threads earlier;
      earlier.splice(earlier.end(), finished, finished.begin(), std::prev(finished.end()));
      lock.unlock();
      for (std::thread& thread : earlier) thread.join();
    }
  }

  void run_one(Task& task) noexcept {
    try {
      task();
      task = nullptr;
    } catch (...) {
      escaped.fetch_add(1, std::memory_order_relaxed);
      task = nullptr;
    }
  }

  const WorkerPoolOptions options;
  mutable std::mutex mutex;
  std::condition_variable work_or_stop;
  std::deque<Task> queue;
  Threads threads;
  Threads finished;
  std::size_t idle = 0;      // threads that wait for a task
  std::size_t starting = 0;  // threads that will look for one
  bool stopped = false;
  std::mutex stop_mutex;
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> escaped{0};
};

WorkerPool::WorkerPool(WorkerPoolOptions options) : implementation_(std::make_unique<Implementation>(options)) {
  WAYPORT_ASSERT(options.threads_max > 0, "WorkerPoolOptions::threads_max must be at least 1");
}

WorkerPool::~WorkerPool() { stop(); }

bool WorkerPool::try_post(Task& task) {
  Implementation& self = *implementation_;
  {
    const std::lock_guard lock(self.mutex);
    // Tasks that an idle thread is about to take do not wait for a thread.
    const std::size_t available = self.idle + self.starting;
    const bool full = self.queue.size() >= self.options.queue_max + available;
    const bool can_start = self.threads.size() < self.options.threads_max && self.queue.size() >= available;
    if (self.stopped || (full && !can_start)) {
      self.refused.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    if (can_start) {
      self.threads.emplace_front();
      const auto thread = self.threads.begin();
      try {
        *thread = std::thread([&self, thread] { self.run(thread); });
        ++self.starting;
      } catch (const std::system_error&) {
        self.threads.pop_front();
        if (self.threads.empty() || full) {
          self.refused.fetch_add(1, std::memory_order_relaxed);
          return false;
        }
      }
    }
    self.queue.push_back(std::move(task));
  }
  self.work_or_stop.notify_one();
  return true;
}

void WorkerPool::stop() {
  Implementation& self = *implementation_;
  const std::lock_guard stop_lock(self.stop_mutex);
  Implementation::Threads all;
  {
    const std::lock_guard lock(self.mutex);
    self.stopped = true;
    // From here on no thread moves its entry, see run().
    all.splice(all.end(), self.threads);
    all.splice(all.end(), self.finished);
  }
  self.work_or_stop.notify_all();
  for (std::thread& thread : all) thread.join();
}

std::size_t WorkerPool::threads() const {
  const std::lock_guard lock(implementation_->mutex);
  return implementation_->threads.size();
}

std::size_t WorkerPool::queued() const {
  const std::lock_guard lock(implementation_->mutex);
  return implementation_->queue.size();
}

std::uint64_t WorkerPool::refused() const noexcept { return implementation_->refused.load(std::memory_order_relaxed); }

std::uint64_t WorkerPool::escaped_exceptions() const noexcept {
  return implementation_->escaped.load(std::memory_order_relaxed);
}

}  // namespace wayport
