#include "wayport/gateway/link/connection_ids.h"

#include <algorithm>

namespace wayport::link {

std::optional<std::uint32_t> ConnectionIds::take() noexcept {
  if (alive_.fetch_add(1, std::memory_order_relaxed) >= alive_max_) {
    alive_.fetch_sub(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  const std::optional<std::uint32_t> id = next_free();
  if (!id) alive_.fetch_sub(1, std::memory_order_relaxed);
  return id;
}

std::optional<std::uint32_t> ConnectionIds::next_free() noexcept {
  std::uint32_t candidate = next_.load(std::memory_order_relaxed);
  // The second time round those are taken that have not rested.
  for (std::size_t skipped = 0; skipped <= 2 * kBlocks;) {
    const std::uint32_t block = candidate >> kBlockBits;
    const bool enters = (candidate & kBlockMask) == 0;
    if (enters && !may_enter(block, skipped < kBlocks)) {
      const std::uint32_t to = candidate + kBlockMask + 1;
      if (next_.compare_exchange_weak(candidate, to, std::memory_order_relaxed)) {
        candidate = to;
        ++skipped;
      }
      continue;
    }
    // Within a block that this pass entered, all that follow are free: the block was empty then.
    const std::uint32_t id = std::max(candidate, 1u);
    if (next_.compare_exchange_weak(candidate, id + 1, std::memory_order_relaxed)) {
      if (enters) entered_.fetch_add(1, std::memory_order_relaxed);
      alive_in_block_[block].fetch_add(1, std::memory_order_relaxed);
      return id;
    }
  }
  return std::nullopt;
}

bool ConnectionIds::may_enter(std::uint32_t block, bool must_rest) const noexcept {
  if (alive_in_block_[block].load(std::memory_order_acquire) != 0) return false;
  return !must_rest ||
         released_in_[block].load(std::memory_order_relaxed) != entered_.load(std::memory_order_relaxed) + 1;
}

void ConnectionIds::release(std::uint32_t id) noexcept {
  const std::uint32_t block = id >> kBlockBits;
  released_in_[block].store(entered_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  alive_in_block_[block].fetch_sub(1, std::memory_order_release);
  alive_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace wayport::link
