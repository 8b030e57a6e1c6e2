#include "wayport/transport/snet/ring.h"

#include <bit>
#include <cstring>

#include "wayport/base/result.h"

namespace wayport::transport::snet {
namespace {

constexpr std::size_t kFirstBytes = 1024;

}  // namespace

void Ring::append(Bytes bytes) {
  if (bytes.size() > capacity_) {
    end_ += bytes.size() - capacity_;
    bytes = bytes.last(capacity_);
  }
  const auto held = static_cast<std::size_t>(std::min<std::uint64_t>(end_, capacity_));
  const std::size_t needed = std::min(capacity_, held + bytes.size());
  if (needed > allocated_) grow(needed);
  while (!bytes.empty()) {
    const auto at = static_cast<std::size_t>(end_ % allocated_);
    const Bytes piece = bytes.first(std::min(bytes.size(), allocated_ - at));
    std::memcpy(data_.get() + at, piece.data(), piece.size());
    end_ += piece.size();
    bytes = bytes.subspan(piece.size());
  }
}

void Ring::grow(std::size_t needed) {
  const std::size_t size = std::min(capacity_, std::bit_ceil(std::max(needed, kFirstBytes)));
  auto larger = std::make_unique_for_overwrite<std::byte[]>(size);
  // What was skipped by an append of more than the capacity was never here.
  const std::uint64_t held = std::min<std::uint64_t>(end_, allocated_);
  for (std::uint64_t position = end_ - held; position < end_;) {
    const auto from = static_cast<std::size_t>(position % allocated_);
    const auto to = static_cast<std::size_t>(position % size);
    const auto piece =
        static_cast<std::size_t>(std::min<std::uint64_t>({end_ - position, allocated_ - from, size - to}));
    std::memcpy(larger.get() + to, data_.get() + from, piece);
    position += piece;
  }
  data_ = std::move(larger);
  allocated_ = size;
}

void Ring::copy_from(std::uint64_t from, Chain& out) const {
  WAYPORT_ASSERT(from >= begin() && from <= end_, "the ring holds these bytes");
  while (from < end_) {
    const auto at = static_cast<std::size_t>(from % allocated_);
    const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(end_ - from, allocated_ - at));
    out.append(Bytes(data_.get() + at, piece));
    from += piece;
  }
}

}  // namespace wayport::transport::snet
