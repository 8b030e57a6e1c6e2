// PerThread<T>: an object for each thread that asks, found without a lock after the first time. For counters that loops
// add to per message and that a scraper sums up now and then.
//
// The objects live as long as the PerThread, also after their threads have ended, so nothing that was counted is lost;
// there are as many as threads that ever asked (the loops of the peers that a plugin serves). What T holds must bear
// one writer and any number of readers at a time (base/counters.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace wayport::rpc::plugins {

namespace detail {

// Where each thread keeps what it found. Indices are used again, so a thread's table is as long as there were
// PerThreads at one time; owners are not, so what an earlier one left there is never taken for a later one's.
struct ThreadSlot {
  std::uint64_t owner = 0;
  void* object = nullptr;
};
std::vector<ThreadSlot>& thread_slots() noexcept;

struct ThreadSlotKey {
  ThreadSlotKey();
  ~ThreadSlotKey();
  ThreadSlotKey(const ThreadSlotKey&) = delete;
  ThreadSlotKey& operator=(const ThreadSlotKey&) = delete;

  std::uint64_t owner = 0;
  std::size_t index = 0;
};

}  // namespace detail

template <class T>
class PerThread {
 public:
  // `make` runs once per thread, under a lock.
  explicit PerThread(std::function<std::unique_ptr<T>()> make = [] { return std::make_unique<T>(); })
      : make_(std::move(make)) {}

  T& local() {
    std::vector<detail::ThreadSlot>& slots = detail::thread_slots();
    if (key_.index < slots.size() && slots[key_.index].owner == key_.owner) [[likely]]
      return *static_cast<T*>(slots[key_.index].object);
    return add(slots);
  }

  // Any thread, while others write.
  template <class F>
  void for_each(F&& visit) const {
    const std::lock_guard lock(mutex_);
    for (const std::unique_ptr<T>& object : objects_) visit(static_cast<const T&>(*object));
  }

 private:
  T& add(std::vector<detail::ThreadSlot>& slots) {
    if (slots.size() <= key_.index) slots.resize(key_.index + 1);
    const std::lock_guard lock(mutex_);
    objects_.push_back(make_());
    slots[key_.index] = {key_.owner, objects_.back().get()};
    return *objects_.back();
  }

  const detail::ThreadSlotKey key_;
  const std::function<std::unique_ptr<T>()> make_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<T>> objects_;
};

}  // namespace wayport::rpc::plugins
