// Backlog: which virtual connections the unsent bytes of one slow connection belong to.
//
//     unsent bytes, in order of sending:   | untracked | record | record | ... |
//
// It exists while a receiver is slow, from the first flush that left something; what was left then is `untracked`.
// Costs a record of 8 bytes per unsent frame and an entry per virtual connection with unsent frames. Bounded by the
// connection's own limits. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "wayport/gateway/link/id_table.h"
#include "wayport/gateway/link/slab.h"

namespace wayport::link {

class Backlog {
 public:
  struct Share {
    std::size_t bytes = 0;
    std::size_t messages = 0;
    bool paused = false;  // its sender is not read until this share has become small
  };

  explicit Backlog(std::uint64_t hash_seed) noexcept : table_(hash_seed) {}

  void start(std::size_t untracked) noexcept { untracked_ = untracked; }
  // A frame of `connection` (0: a command) was sent after all that is here.
  void push(std::uint32_t connection, std::size_t bytes);
  // The first `bytes` of what is here have left. Calls `resume(connection)` for each paused share that is at most
  // `low` in both measures now, once.
  template <class Resume>
  void release(std::size_t bytes, const Share& low, Resume&& resume);

  Share share(std::uint32_t connection) const noexcept;
  // REQUIRES: it has a share (it was pushed and not yet released).
  void set_paused(std::uint32_t connection) noexcept;
  std::size_t messages() const noexcept { return records_.size() - first_; }  // those that are tracked
  bool empty() const noexcept { return messages() == 0 && untracked_ == 0; }

 private:
  struct Record {
    std::uint32_t connection;
    std::uint32_t bytes;  // unsent
  };
  struct Entry : Share {
    std::uint32_t next = 0;  // Slab's
  };

  std::size_t untracked_ = 0;
  std::size_t first_ = 0;  // records_ before it have left
  std::vector<Record> records_;
  IdTable table_;
  Slab<Entry> entries_;
};

template <class Resume>
void Backlog::release(std::size_t bytes, const Share& low, Resume&& resume) {
  const std::size_t of_untracked = bytes < untracked_ ? bytes : untracked_;
  untracked_ -= of_untracked;
  bytes -= of_untracked;
  while (bytes != 0 && first_ < records_.size()) {
    Record& record = records_[first_];
    const auto taken = bytes < record.bytes ? static_cast<std::uint32_t>(bytes) : record.bytes;
    bytes -= taken;
    record.bytes -= taken;
    const bool whole = record.bytes == 0;
    if (whole) ++first_;
    const std::uint32_t connection = record.connection;
    if (connection == 0) continue;
    const std::uint32_t slot = table_.find(connection);
    Entry& entry = entries_[slot];
    entry.bytes -= taken;
    entry.messages -= whole ? 1 : 0;
    const bool resumes = entry.paused && entry.bytes <= low.bytes && entry.messages <= low.messages;
    if (resumes) entry.paused = false;
    if (entry.messages == 0) {
      table_.erase(connection);
      entries_.give(slot);
    }
    if (resumes) resume(connection);
  }
  if (first_ > 64 && first_ * 2 > records_.size()) {
    records_.erase(records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

}  // namespace wayport::link
