// ConnectionIds: the ids of virtual connections, 1, 2, 3 ... for all loops of a gateway from one atomic (spec/link.md 5).
//
// 0 is never given out, and no id that is alive. After 2^32 dials the counter comes round; it then skips each block of
// 65,536 ids of which one is still alive, so an id that is given out has no living namesake. It skips a block, too, from
// which one was released since the last block was entered: at least 65,536 dials lie between an id's release and its next
// use, in which mail about it between loops is read, however long the connection had lived. When all 65,536 blocks hold a
// living one (which takes that many connections, each 65,536 dials older than the next), take() fails; when the only ones
// that do not were released from just now, it takes one of these.
//
// Thread-safe, without locks. 512 KiB.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace wayport::link {

class ConnectionIds {
 public:
  // `alive_max`: how many may be alive at once. `first`: where tests begin.
  explicit ConnectionIds(std::size_t alive_max, std::uint32_t first = 1) noexcept
      : alive_max_(alive_max), next_(first) {}
  // For tests: as if so many had been given out that this is the next candidate.
  void jump(std::uint32_t next) noexcept { next_.store(next, std::memory_order_relaxed); }

  // The next id, alive from now until release(). nullopt: alive_max are, or none is free.
  std::optional<std::uint32_t> take() noexcept;
  void release(std::uint32_t id) noexcept;

  std::size_t alive() const noexcept { return alive_.load(std::memory_order_relaxed); }

 private:
  static constexpr unsigned kBlockBits = 16;
  static constexpr std::size_t kBlocks = std::size_t{1} << (32 - kBlockBits);
  static constexpr std::uint32_t kBlockMask = (std::uint32_t{1} << kBlockBits) - 1;

  std::optional<std::uint32_t> next_free() noexcept;
  bool may_enter(std::uint32_t block, bool must_rest) const noexcept;

  const std::size_t alive_max_;
  std::atomic<std::size_t> alive_{0};
  std::atomic<std::uint32_t> next_;
  std::array<std::atomic<std::uint32_t>, kBlocks> alive_in_block_{};
  // How many blocks were entered, modulo 2^32; and one more than that when an id of a block was last released.
  std::atomic<std::uint32_t> entered_{0};
  std::array<std::atomic<std::uint32_t>, kBlocks> released_in_{};
};

}  // namespace wayport::link
