// Admission: whether one more may come in: so many at one time, so many per second, in all and of each source. The
// arithmetic of limiters, without what is limited. Core: no I/O, no clock.
//
// Any thread, without locks: one atomic addition for the total, one look into a fixed table for the source. What a
// limit counts is exact over all threads, but for this: when the first two calls of one source come on two threads at
// the same moment, the source may get two places in the table, so twice its limits, until one of them is empty;
// and one that was admitted untracked, because the table was full, leaves as if it had been tracked, so a source that
// got a place meanwhile may have one more inside than its limit.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "wayport/base/time.h"

namespace wayport::rpc::plugins {

// Zero: no limit.
struct Limit {
  std::size_t at_once = 0;  // at most kAtOnceMax for sources
  double per_second = 0;    // on average, over any time
  double burst = 0;         // how many of them may come at once; zero: what comes in 100 ms, and at least 1
};
inline constexpr std::size_t kAtOnceMax = (1u << 24) - 1;

// A token bucket in one word: the time at which it will be full again (generic cell rate algorithm).
class TokenBucket {
 public:
  TokenBucket(double per_second, double burst) noexcept;
  bool limits() const noexcept { return interval_ns_ > 0; }
  // False: none is left; nothing was taken. `full_at` is the bucket: 0 at first.
  bool try_take(std::atomic<std::int64_t>& full_at, TimePoint now) const noexcept;

 private:
  std::int64_t interval_ns_;  // of one token
  std::int64_t depth_ns_;     // of all of them
};

// Whoever is told from others: an address, a user. Equal keys share limits.
struct SourceKey {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const SourceKey&, const SourceKey&) = default;
};

// Two random numbers that no peer can know, or it could choose sources that crowd one part of the table.
using SourceSeeds = std::array<std::uint64_t, 2>;

// A fixed table of sources, eight to a set, found by a hash with a random seed. A place is given to another source only
// when nothing of the first is inside and its bucket is full: what it knew is what a new source starts with, so no
// limit is ever forgotten. 16 bytes for each.
class SourceTable {
 public:
  struct Place {
    std::atomic<std::uint64_t> tag_and_count{0};  // 40 bits of hash, 24 of how many are inside
    std::atomic<std::int64_t> full_at{0};         // TokenBucket
  };
  // `sources_max` is rounded up to a power of two, at least 8.
  SourceTable(std::size_t sources_max, const SourceSeeds& seeds);

  // Counts one more, so that the place stays the source's until leave(). nullptr: `at_once_max` are inside, told by
  // `full`, or there is no place.
  Place* enter(const SourceKey& source, std::size_t at_once_max, TimePoint now, bool& full) noexcept;
  // Of a source that was entered; without effect on one that is unknown.
  void leave(const SourceKey& source) noexcept;
  // Places with somebody inside; looks at all.
  std::size_t used() const noexcept;
  std::size_t capacity() const noexcept { return sets_ * kWays; }

 private:
  static constexpr std::size_t kWays = 8;
  static constexpr unsigned kCountBits = 24;
  static constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;

  std::uint64_t hash(const SourceKey& source) const noexcept;
  Place* set_of(std::uint64_t hash) const noexcept { return &places_[(hash & (sets_ - 1)) * kWays]; }
  static std::uint64_t tag_of(std::uint64_t hash) noexcept;

  std::size_t sets_;
  SourceSeeds seeds_;
  std::unique_ptr<Place[]> places_;
};

class Admission {
 public:
  enum class Verdict : std::uint8_t {
    admitted,
    untracked,  // admitted, but the table had no place for the source: only the total was looked at
    source_at_once,
    source_per_second,
    total_at_once,
    total_per_second,
  };

  // std::invalid_argument: a limit that means nothing.
  Admission(const Limit& total, const Limit& per_source, std::size_t sources_max, const SourceSeeds& seeds);

  bool limits_sources() const noexcept { return sources_ != nullptr; }
  // leave() must follow when it is one of the first two. `source` matters only if limits_sources().
  Verdict enter(const SourceKey& source, TimePoint now) noexcept;
  void leave(const SourceKey& source) noexcept;

  std::size_t inside() const noexcept;
  std::size_t sources() const noexcept { return sources_ ? sources_->used() : 0; }

 private:
  const std::size_t at_once_max_;
  const std::size_t source_at_once_max_;
  const TokenBucket total_bucket_;
  const TokenBucket source_bucket_;
  std::unique_ptr<SourceTable> sources_;
  alignas(64) std::atomic<std::int64_t> inside_{0};
  std::atomic<std::int64_t> full_at_{0};
};

}  // namespace wayport::rpc::plugins
