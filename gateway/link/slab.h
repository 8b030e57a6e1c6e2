// Slab: small records by 32-bit slot, in blocks, so that a slot's address never changes and growing copies nothing.
//
// Free slots are chained through T::next (a std::uint32_t that the user has for itself while the record is in use). A
// block goes back to the system only with the slab: memory stays at what the busiest hour needed. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace wayport::link {

template <class T>
class Slab {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  // A slot whose record is as default-constructed.
  std::uint32_t take() {
    if (free_ == kNone) grow();
    const std::uint32_t slot = free_;
    free_ = (*this)[slot].next;
    (*this)[slot] = T{};
    ++size_;
    return slot;
  }
  void give(std::uint32_t slot) noexcept {
    (*this)[slot].next = free_;
    free_ = slot;
    --size_;
  }
  T& operator[](std::uint32_t slot) noexcept { return blocks_[slot / kBlock][slot % kBlock]; }
  const T& operator[](std::uint32_t slot) const noexcept { return blocks_[slot / kBlock][slot % kBlock]; }

  std::size_t size() const noexcept { return size_; }
  std::size_t heap_bytes() const noexcept {
    return blocks_.size() * kBlock * sizeof(T) + blocks_.capacity() * sizeof(blocks_[0]);
  }

 private:
  static constexpr std::uint32_t kBlock = 64;

  void grow() {
    const auto first = static_cast<std::uint32_t>(blocks_.size()) * kBlock;
    blocks_.push_back(std::make_unique<T[]>(kBlock));
    for (std::uint32_t i = kBlock; i-- > 0;) {
      blocks_.back()[i].next = free_;
      free_ = first + i;
    }
  }

  std::vector<std::unique_ptr<T[]>> blocks_;
  std::uint32_t free_ = kNone;
  std::size_t size_ = 0;
};

}  // namespace wayport::link
