// IdTable: from 32-bit ids that peers choose or guess to 32-bit slots, in one flat array.
//
// Open addressing with linear probing and backward shifting; a cell is 8 bytes, and 3/8 to 3/4 of them are taken once
// there are more than a few. The hash is keyed by a seed that peers do not know, so nobody can choose ids that fall on
// one another. Growing and shrinking rehash all cells at once (2 ms for 100,000). Bounded by its users, who bound what
// they put in. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace wayport::link {

class IdTable {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;  // no slot

  explicit IdTable(std::uint64_t seed) noexcept : seed_(seed) {}

  // kNone: absent.
  std::uint32_t find(std::uint32_t id) const noexcept {
    if (cells_.empty()) return kNone;
    for (std::size_t at = home(id);; at = (at + 1) & mask()) {
      const Cell& cell = cells_[at];
      if (cell.slot == kNone) return kNone;
      if (cell.id == id) return cell.slot;
    }
  }
  // False, and nothing changed: the id is there. REQUIRES: slot != kNone.
  bool insert(std::uint32_t id, std::uint32_t slot) {
    if (find(id) != kNone) return false;
    if ((size_ + 1) * 4 > cells_.size() * 3) rehash(cells_.empty() ? kCellsMin : cells_.size() * 2);
    place(id, slot);
    ++size_;
    return true;
  }
  bool erase(std::uint32_t id) {
    if (cells_.empty()) return false;
    std::size_t hole = home(id);
    while (cells_[hole].slot == kNone || cells_[hole].id != id) {
      if (cells_[hole].slot == kNone) return false;
      hole = (hole + 1) & mask();
    }
    // Whatever lies behind and may lie in the hole moves there, so that no search ends too early.
    for (std::size_t at = (hole + 1) & mask(); cells_[at].slot != kNone; at = (at + 1) & mask()) {
      const std::size_t from_home = (at - home(cells_[at].id)) & mask();
      if (from_home >= ((at - hole) & mask())) {
        cells_[hole] = cells_[at];
        hole = at;
      }
    }
    cells_[hole].slot = kNone;
    --size_;
    if (cells_.size() > kCellsMin * 8 && size_ * 8 < cells_.size()) rehash(cells_.size() / 4);
    return true;
  }
  // Visits (id, slot) in no order. `visit` must not change the table.
  template <class F>
  void for_each(F&& visit) const {
    for (const Cell& cell : cells_) {
      if (cell.slot != kNone) visit(cell.id, cell.slot);
    }
  }

  std::size_t size() const noexcept { return size_; }
  std::size_t heap_bytes() const noexcept { return cells_.capacity() * sizeof(Cell); }

 private:
  static constexpr std::size_t kCellsMin = 8;  // a power of two, as every size

  struct Cell {
    std::uint32_t id = 0;
    std::uint32_t slot = kNone;
  };

  std::size_t mask() const noexcept { return cells_.size() - 1; }
  std::size_t home(std::uint32_t id) const noexcept {
    // One folded multiplication of two numbers that both hold secret bits.
    __extension__ using Wide = unsigned __int128;
    const Wide product = Wide{seed_ ^ (id * 0x9e3779b97f4a7c15ull)} * (seed_ | 1);
    return static_cast<std::size_t>(static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product)) &
           mask();
  }
  void place(std::uint32_t id, std::uint32_t slot) noexcept {
    std::size_t at = home(id);
    while (cells_[at].slot != kNone) at = (at + 1) & mask();
    cells_[at] = {id, slot};
  }
  void rehash(std::size_t cells) {
    const std::vector<Cell> old = std::exchange(cells_, std::vector<Cell>(cells));
    for (const Cell& cell : old) {
      if (cell.slot != kNone) place(cell.id, cell.slot);
    }
  }

  std::uint64_t seed_;
  std::size_t size_ = 0;
  std::vector<Cell> cells_;
};

}  // namespace wayport::link
