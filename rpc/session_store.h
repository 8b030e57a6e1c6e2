// A session's shared map: what handlers and applications keep with a connection. Thread-safe; empty it costs one
// pointer.
#pragma once

#include <any>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace wayport::rpc {

class SessionStore {
 public:
  void set(std::string key, std::any value) {
    Entries& all = entries();
    const std::lock_guard lock(all.mutex);
    all.values.insert_or_assign(std::move(key), std::move(value));
  }
  // nullopt: absent, or of another type.
  template <class T>
  std::optional<T> get(std::string_view key) const {
    Entries* all = entries_.load(std::memory_order_acquire);
    if (!all) return std::nullopt;
    const std::lock_guard lock(all->mutex);
    const auto found = all->values.find(key);
    if (found == all->values.end()) return std::nullopt;
    const T* value = std::any_cast<T>(&found->second);
    return value ? std::optional<T>(*value) : std::nullopt;
  }
  bool erase(std::string_view key) {
    Entries* all = entries_.load(std::memory_order_acquire);
    if (!all) return false;
    const std::lock_guard lock(all->mutex);
    const auto found = all->values.find(key);
    if (found == all->values.end()) return false;
    all->values.erase(found);
    return true;
  }
  std::size_t size() const {
    Entries* all = entries_.load(std::memory_order_acquire);
    if (!all) return 0;
    const std::lock_guard lock(all->mutex);
    return all->values.size();
  }

  // Takes all entries of `other`; this one is empty so far, and nobody else uses either yet.
  void take(SessionStore& other) noexcept { entries_.store(other.entries_.exchange(nullptr)); }

  SessionStore() = default;
  SessionStore(const SessionStore&) = delete;
  SessionStore& operator=(const SessionStore&) = delete;
  ~SessionStore() { delete entries_.load(std::memory_order_relaxed); }

 private:
  struct Entries {
    std::mutex mutex;
    std::map<std::string, std::any, std::less<>> values;
  };
  Entries& entries() {
    Entries* current = entries_.load(std::memory_order_acquire);
    if (current) return *current;
    auto fresh = std::make_unique<Entries>();
    if (entries_.compare_exchange_strong(current, fresh.get(), std::memory_order_acq_rel)) return *fresh.release();
    return *current;
  }

  std::atomic<Entries*> entries_{nullptr};
};

}  // namespace wayport::rpc
