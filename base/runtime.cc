#include "wayport/base/runtime.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "wayport/base/result.h"
#include "wayport/base/system_clock.h"

namespace wayport {
namespace {

// The cores that this process may use, which in a container are fewer than there are.
unsigned usable_cores() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int count = ::sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;
  return count > 0 ? static_cast<unsigned>(count) : std::max(1u, std::thread::hardware_concurrency());
}

std::unique_ptr<Log> standard_error_log() {
  auto log = open_log({});
  WAYPORT_ASSERT(log.has_value(), "standard error is always there");
  return std::move(*log);
}

}  // namespace

struct Runtime::Implementation {
  explicit Implementation(const RuntimeOptions& options)
      : own_log(options.log != nullptr ? nullptr : standard_error_log()),
        log(options.log != nullptr ? options.log : own_log.get()),
        clock(options.clock != nullptr ? options.clock : &system_clock),
        workers(options.workers) {
    const unsigned count = options.loops != 0 ? options.loops : usable_cores();
    for (unsigned index = 0; index < count; ++index) {
      LoopOptions loop = options.loop;
      loop.index = index;
      loop.clock = clock;
      loops.push_back(std::make_unique<Loop>(loop));
    }
    if (!options.start_threads) return;
    // A loop belongs to the thread that constructed it until its own has begun to run it; whoever gets this runtime must
    // not be taken for that thread any more.
    std::latch running(static_cast<std::ptrdiff_t>(loops.size()));
    for (const std::unique_ptr<Loop>& loop : loops) loop->post([&running] { running.count_down(); });
    for (const std::unique_ptr<Loop>& loop : loops) {
      threads.emplace_back([&loop = *loop] {
        ::pthread_setname_np(::pthread_self(), ("wayport-" + std::to_string(loop.index())).c_str());
        loop.run();
      });
    }
    running.wait();
  }

  SystemClock system_clock;
  std::unique_ptr<Log> own_log;
  Log* const log;
  Clock* const clock;
  std::vector<std::unique_ptr<Loop>> loops;
  WorkerPool workers;
  std::vector<std::thread> threads;
  std::atomic<std::size_t> next{0};
  std::mutex stop_mutex;
  bool stopped = false;
};

Runtime::Runtime(RuntimeOptions options) : implementation_(std::make_unique<Implementation>(options)) {}

Runtime::~Runtime() {
  stop();
  // What a loop drops at its end may post to another loop: none may be gone by then.
  for (const std::unique_ptr<Loop>& loop : implementation_->loops) loop->close();
}

std::size_t Runtime::loop_count() const noexcept { return implementation_->loops.size(); }

Loop& Runtime::loop(std::size_t index) noexcept {
  WAYPORT_ASSERT(index < implementation_->loops.size(), "no such loop");
  return *implementation_->loops[index];
}

Loop& Runtime::next_loop() noexcept {
  return *implementation_->loops[implementation_->next.fetch_add(1, std::memory_order_relaxed) % loop_count()];
}

WorkerPool& Runtime::workers() noexcept { return implementation_->workers; }

Log& Runtime::log() noexcept { return *implementation_->log; }

const Clock& Runtime::clock() const noexcept { return *implementation_->clock; }

void Runtime::stop() {
  WAYPORT_ASSERT(Loop::current() == nullptr, "Runtime::stop() on a loop thread would wait for itself");
  const std::lock_guard lock(implementation_->stop_mutex);
  if (std::exchange(implementation_->stopped, true)) return;
  // Workers first, while loops still run: a worker may wait for an answer that a loop has to deliver.
  implementation_->workers.stop();
  for (const std::unique_ptr<Loop>& loop : implementation_->loops) loop->stop();
  for (std::thread& thread : implementation_->threads) thread.join();
}

}  // namespace wayport
