// What resolvers with a table share: the lookup and the order of an entry's backends. Internal to gateway/route.
//
// Any thread; a table that changes is replaced or edited under the lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/gateway/route/backend_table.h"
#include "wayport/gateway/route/resolver.h"

namespace wayport::route {

enum class BackendOrder : std::uint8_t { rotate, first };

class TableLookup {
 public:
  TableLookup(std::string name, BackendOrder order) : name_(std::move(name)), order_(order) {}

  ResolveOutcome find(std::string_view identify) const {
    std::shared_ptr<const BackendTable::Backends> found;
    {
      const std::lock_guard lock(mutex_);
      found = table_.find(identify);
    }
    if (!found) {
      unknown_.fetch_add(1, std::memory_order_relaxed);
      return refuse(RouteError::resolve_failed, name_ + " has no entry \"" + escape(identify, 64) + "\"");
    }
    const std::uint64_t turn = resolved_.fetch_add(1, std::memory_order_relaxed);
    Resolved resolved;
    const std::size_t first = order_ == BackendOrder::rotate ? turn % found->size() : 0;
    for (std::size_t i = 0; i < found->size(); ++i) {
      resolved.backends.push_back((*found)[(first + i) % found->size()]);
    }
    resolved.how = name_ + ", entry \"" + escape(identify, 64) + "\"";
    return resolved;
  }

  void replace(BackendTable table) {
    const std::lock_guard lock(mutex_);
    table_ = std::move(table);
  }
  Result<void> set(std::string identify, BackendTable::Backends backends) {
    const std::lock_guard lock(mutex_);
    return table_.set(std::move(identify), std::move(backends));
  }
  void erase(std::string_view identify) {
    const std::lock_guard lock(mutex_);
    table_.erase(identify);
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return table_.size();
  }
  std::uint64_t resolved() const noexcept { return resolved_.load(std::memory_order_relaxed); }
  std::uint64_t unknown() const noexcept { return unknown_.load(std::memory_order_relaxed); }

 private:
  const std::string name_;
  const BackendOrder order_;
  mutable std::mutex mutex_;
  BackendTable table_;  // by mutex_
  mutable std::atomic<std::uint64_t> resolved_{0};
  mutable std::atomic<std::uint64_t> unknown_{0};
};

// "rotate" or "first".
inline Result<BackendOrder> parse_backend_order(std::string_view text) {
  if (text == "rotate") return BackendOrder::rotate;
  if (text == "first") return BackendOrder::first;
  return fail(ErrorCode::invalid_argument, "is \"" + escape(text, 32) + "\"; it is one of rotate, first");
}

}  // namespace wayport::route
