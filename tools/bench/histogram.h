// Histogram: latencies from nanoseconds to hours in a fixed table, after HdrHistogram.
//
// Values below 128 are exact; above, each power of two is cut into 128 equal buckets, so that a value is off by less
// than 0.4 %. Adding costs a few instructions and no memory. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace wayport::tools {

class Histogram {
 public:
  Histogram();
  Histogram(const Histogram& other);
  Histogram(Histogram&& other) noexcept = default;
  Histogram& operator=(const Histogram& other);
  Histogram& operator=(Histogram&& other) noexcept = default;

  void add(std::uint64_t value) noexcept {
    ++(*buckets_)[bucket_of(value)];
    ++count_;
    if (value > max_) max_ = value;
  }
  void add(const Histogram& other) noexcept;

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t max() const noexcept { return max_; }  // exact
  // The value that `quantile` (0 to 1) of all values do not exceed; 0 if there are none. Middle of its bucket.
  std::uint64_t at(double quantile) const noexcept;

 private:
  static constexpr unsigned kBits = 7;
  static constexpr std::size_t kPerPower = std::size_t{1} << kBits;
  static constexpr std::size_t kBuckets = kPerPower * (64 - kBits + 1);

  static std::size_t bucket_of(std::uint64_t value) noexcept;
  static std::uint64_t middle_of(std::size_t bucket) noexcept;

  std::unique_ptr<std::array<std::uint64_t, kBuckets>> buckets_;
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace wayport::tools
