#include "wayport/tools/bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace wayport::tools {

Histogram::Histogram() : buckets_(std::make_unique<std::array<std::uint64_t, kBuckets>>()) {}

Histogram::Histogram(const Histogram& other)
    : buckets_(std::make_unique<std::array<std::uint64_t, kBuckets>>(*other.buckets_)),
      count_(other.count_),
      max_(other.max_) {}

Histogram& Histogram::operator=(const Histogram& other) {
  *this = Histogram(other);
  return *this;
}

void Histogram::add(const Histogram& other) noexcept {
  for (std::size_t i = 0; i < kBuckets; ++i) (*buckets_)[i] += (*other.buckets_)[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

std::uint64_t Histogram::at(double quantile) const noexcept {
  const double wanted = std::ceil(quantile * static_cast<double>(count_));
  const auto rank =
      std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, std::max<std::uint64_t>(count_, 1));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += (*buckets_)[i];
    if (seen >= rank) return std::min(middle_of(i), max_);
  }
  return 0;
}

// The value's leading kBits + 1 bits, and how far they are shifted.
std::size_t Histogram::bucket_of(std::uint64_t value) noexcept {
  if (value < kPerPower) return value;
  const auto shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
  return (shift + 1) * kPerPower + ((value >> shift) - kPerPower);
}

std::uint64_t Histogram::middle_of(std::size_t bucket) noexcept {
  if (bucket < kPerPower) return bucket;
  const std::size_t shift = bucket / kPerPower - 1;
  const std::uint64_t lowest = (bucket % kPerPower + kPerPower) << shift;
  return lowest + ((std::uint64_t{1} << shift) - 1) / 2;
}

}  // namespace wayport::tools
