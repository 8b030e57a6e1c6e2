#include "wayport/gateway/link/connection_ids.h"

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
  for (std::size_t skipped = 0; skipped <= kBlocks;) {
    if (candidate == 0) {
      // 0 is the first of its block, so that block is looked at here.
      const bool taken = alive_in_block_[0].load(std::memory_order_relaxed) != 0;
      const std::uint32_t to = taken ? kBlockMask + 1 : 1;
      if (next_.compare_exchange_weak(candidate, to, std::memory_order_relaxed)) {
        candidate = to;
        skipped += taken ? 1 : 0;
      }
      continue;
    }
    // Within a block that this pass entered, all that follow are free: the block was empty then.
    std::atomic<std::uint32_t>& alive = alive_in_block_[candidate >> kBlockBits];
    if ((candidate & kBlockMask) == 0 && alive.load(std::memory_order_relaxed) != 0) {
      const std::uint32_t to = candidate + kBlockMask + 1;
      if (next_.compare_exchange_weak(candidate, to, std::memory_order_relaxed)) {
        candidate = to;
        ++skipped;
      }
      continue;
    }
    if (next_.compare_exchange_weak(candidate, candidate + 1, std::memory_order_relaxed)) {
      alive.fetch_add(1, std::memory_order_relaxed);
      return candidate;
    }
  }
  return std::nullopt;
}

void ConnectionIds::release(std::uint32_t id) noexcept {
  alive_in_block_[id >> kBlockBits].fetch_sub(1, std::memory_order_relaxed);
  alive_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace wayport::link
