#include "wayport/gateway/link/backlog.h"

#include "wayport/base/result.h"

namespace wayport::link {

void Backlog::push(std::uint32_t connection, std::size_t bytes) {
  records_.push_back({connection, static_cast<std::uint32_t>(bytes)});
  if (connection == 0) return;
  std::uint32_t slot = table_.find(connection);
  if (slot == IdTable::kNone) {
    slot = entries_.take();
    table_.insert(connection, slot);
  }
  Entry& entry = entries_[slot];
  entry.bytes += bytes;
  ++entry.messages;
}

Backlog::Share Backlog::share(std::uint32_t connection) const noexcept {
  const std::uint32_t slot = table_.find(connection);
  return slot == IdTable::kNone ? Share{} : static_cast<const Share&>(entries_[slot]);
}

void Backlog::set_paused(std::uint32_t connection) noexcept {
  const std::uint32_t slot = table_.find(connection);
  WAYPORT_ASSERT(slot != IdTable::kNone, "only what has a share can be paused");
  entries_[slot].paused = true;
}

}  // namespace wayport::link
