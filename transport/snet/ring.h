// Ring: the last bytes of a stream, by their position in it, for those that have to be sent again.
//
//   0 ....... begin() #################### end()      end() - begin() <= capacity
//
// Memory is taken as bytes come, doubling up to the capacity, and not given back. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"

namespace wayport::transport::snet {

class Ring {
 public:
  // REQUIRES: capacity > 0.
  explicit Ring(std::size_t capacity) noexcept : capacity_(capacity) {}

  void append(Bytes bytes);  // of more than the capacity, only the tail stays
  // Copies [from, end()) to the end of `out`. REQUIRES: begin() <= from <= end().
  void copy_from(std::uint64_t from, Chain& out) const;

  std::uint64_t begin() const noexcept { return end_ - std::min<std::uint64_t>(end_, capacity_); }
  std::uint64_t end() const noexcept { return end_; }  // bytes ever appended
  std::size_t capacity() const noexcept { return capacity_; }
  std::size_t memory() const noexcept { return allocated_; }

 private:
  void grow(std::size_t needed);

  std::size_t capacity_;
  std::size_t allocated_ = 0;  // the byte at position k is at data_[k % allocated_]
  std::uint64_t end_ = 0;
  std::unique_ptr<std::byte[]> data_;
};

}  // namespace wayport::transport::snet
