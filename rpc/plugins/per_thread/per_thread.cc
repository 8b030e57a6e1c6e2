#include "wayport/rpc/plugins/per_thread/per_thread.h"

namespace wayport::rpc::plugins::detail {
namespace {

struct Keys {
  std::mutex mutex;
  std::uint64_t last_owner = 0;
  std::size_t indices = 0;
  std::vector<std::size_t> free;
};

// Never destroyed: plugins may outlive statics.
Keys& keys() {
  static Keys* const all = new Keys;
  return *all;
}

}  // namespace

std::vector<ThreadSlot>& thread_slots() noexcept {
  thread_local std::vector<ThreadSlot> slots;
  return slots;
}

ThreadSlotKey::ThreadSlotKey() {
  Keys& all = keys();
  const std::lock_guard lock(all.mutex);
  owner = ++all.last_owner;
  if (all.free.empty()) {
    index = all.indices++;
    all.free.reserve(all.indices);  // so that the destructor does not allocate
  } else {
    index = all.free.back();
    all.free.pop_back();
  }
}

ThreadSlotKey::~ThreadSlotKey() {
  Keys& all = keys();
  const std::lock_guard lock(all.mutex);
  all.free.push_back(index);
}

}  // namespace wayport::rpc::plugins::detail
