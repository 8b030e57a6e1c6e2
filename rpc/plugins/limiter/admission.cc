#include "wayport/rpc/plugins/limiter/admission.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

namespace wayport::rpc::plugins {
namespace {

constexpr double kSecondNs = 1e9;
// Longer would not fit into the arithmetic: one token in a hundred days.
constexpr double kIntervalNsMax = 1e16;

void check(const Limit& limit, const char* name) {
  const bool sound = std::isfinite(limit.per_second) && limit.per_second >= 0 && std::isfinite(limit.burst) &&
                     (limit.burst == 0 || limit.burst >= 1);
  if (!sound) {
    throw std::invalid_argument(std::string("limiter: ") + name +
                                ": per_second must be 0 (no limit) or more, burst 0 (100 ms of it) or at least 1");
  }
}

}  // namespace

TokenBucket::TokenBucket(double per_second, double burst) noexcept : interval_ns_(0), depth_ns_(0) {
  if (per_second <= 0) return;
  const double interval = std::clamp(kSecondNs / per_second, 1.0, kIntervalNsMax);
  const double tokens = burst > 0 ? burst : std::max(1.0, per_second / 10);
  interval_ns_ = static_cast<std::int64_t>(interval);
  depth_ns_ = static_cast<std::int64_t>(std::min(interval * tokens, kIntervalNsMax));
}

bool TokenBucket::try_take(std::atomic<std::int64_t>& full_at, TimePoint now) const noexcept {
  const std::int64_t now_ns = now.time_since_epoch().count();
  std::int64_t before = full_at.load(std::memory_order_relaxed);
  while (true) {
    const std::int64_t after = std::max(before, now_ns) + interval_ns_;
    if (after - now_ns > depth_ns_) return false;
    if (full_at.compare_exchange_weak(before, after, std::memory_order_relaxed)) return true;
  }
}

// --- sources ---

SourceTable::SourceTable(std::size_t sources_max, const SourceSeeds& seeds)
    : sets_(std::bit_ceil(std::max(sources_max, kWays)) / kWays),
      seeds_(seeds),
      places_(std::make_unique<Place[]>(sets_ * kWays)) {}

// A peer chooses its key, but neither knows the seeds nor sees what becomes of it. The finalizer spreads neighbours,
// which addresses often are.
std::uint64_t SourceTable::hash(const SourceKey& source) const noexcept {
  const auto spread = [](std::uint64_t value) {
    value = (value ^ (value >> 33)) * 0xff51afd7ed558ccdu;
    value = (value ^ (value >> 33)) * 0xc4ceb9fe1a85ec53u;
    return value ^ (value >> 33);
  };
  return spread((source.low ^ spread(source.high ^ seeds_[0])) * (seeds_[1] | 1));
}

// Never 0, which marks a place that nobody had yet.
std::uint64_t SourceTable::tag_of(std::uint64_t hash) noexcept { return (hash & ~kCountMask) | (kCountMask + 1); }

SourceTable::Place* SourceTable::enter(const SourceKey& source, std::size_t at_once_max, TimePoint now,
                                       bool& full) noexcept {
  const std::uint64_t at = hash(source);
  const std::uint64_t tag = tag_of(at);
  const std::uint64_t count_max = at_once_max == 0 ? kAtOnceMax : std::min(at_once_max, kAtOnceMax);
  const std::int64_t now_ns = now.time_since_epoch().count();
  // The index uses the lowest bits, the tag the highest.
  Place* const set = set_of(at);
  full = false;
  for (std::size_t attempt = 0; attempt < kWays; ++attempt) {
    for (Place* place = set; place != set + kWays; ++place) {
      std::uint64_t value = place->tag_and_count.load(std::memory_order_relaxed);
      while ((value & ~kCountMask) == tag) {
        full = (value & kCountMask) >= count_max;
        if (full) return nullptr;
        if (place->tag_and_count.compare_exchange_weak(value, value + 1, std::memory_order_relaxed)) return place;
      }
    }
    bool lost = false;
    for (Place* place = set; place != set + kWays; ++place) {
      std::uint64_t value = place->tag_and_count.load(std::memory_order_relaxed);
      if ((value & kCountMask) != 0 || place->full_at.load(std::memory_order_relaxed) > now_ns) continue;
      if (place->tag_and_count.compare_exchange_strong(value, tag | 1, std::memory_order_relaxed)) return place;
      lost = true;  // perhaps to the same source
      break;
    }
    if (!lost) break;
  }
  return nullptr;
}

void SourceTable::leave(const SourceKey& source) noexcept {
  const std::uint64_t at = hash(source);
  const std::uint64_t tag = tag_of(at);
  Place* const set = set_of(at);
  for (Place* place = set; place != set + kWays; ++place) {
    std::uint64_t value = place->tag_and_count.load(std::memory_order_relaxed);
    while ((value & ~kCountMask) == tag && (value & kCountMask) != 0) {
      if (place->tag_and_count.compare_exchange_weak(value, value - 1, std::memory_order_relaxed)) return;
    }
  }
}

std::size_t SourceTable::used() const noexcept {
  std::size_t count = 0;
  for (std::size_t i = 0; i < capacity(); ++i) {
    count += (places_[i].tag_and_count.load(std::memory_order_relaxed) & kCountMask) != 0 ? 1 : 0;
  }
  return count;
}

// --- both ---

Admission::Admission(const Limit& total, const Limit& per_source, std::size_t sources_max, const SourceSeeds& seeds)
    : at_once_max_(total.at_once),
      source_at_once_max_(per_source.at_once),
      total_bucket_(total.per_second, total.burst),
      source_bucket_(per_source.per_second, per_source.burst) {
  check(total, "total");
  check(per_source, "per_source");
  if (per_source.at_once != 0 || source_bucket_.limits()) sources_ = std::make_unique<SourceTable>(sources_max, seeds);
}

Admission::Verdict Admission::enter(const SourceKey& source, TimePoint now) noexcept {
  Verdict verdict = Verdict::admitted;
  bool tracked = false;
  // The source first: who is over a limit of its own takes nothing from the others.
  if (sources_) {
    bool full = false;
    SourceTable::Place* const place = sources_->enter(source, source_at_once_max_, now, full);
    if (full) return Verdict::source_at_once;
    tracked = place != nullptr;
    if (!tracked) verdict = Verdict::untracked;
    if (tracked && source_bucket_.limits() && !source_bucket_.try_take(place->full_at, now)) {
      sources_->leave(source);
      return Verdict::source_per_second;
    }
  }
  const std::int64_t inside = inside_.fetch_add(1, std::memory_order_relaxed);
  if (at_once_max_ != 0 && inside >= static_cast<std::int64_t>(at_once_max_)) {
    verdict = Verdict::total_at_once;
  } else if (total_bucket_.limits() && !total_bucket_.try_take(full_at_, now)) {
    verdict = Verdict::total_per_second;
  } else {
    return verdict;
  }
  inside_.fetch_sub(1, std::memory_order_relaxed);
  if (tracked) sources_->leave(source);
  return verdict;
}

void Admission::leave(const SourceKey& source) noexcept {
  inside_.fetch_sub(1, std::memory_order_relaxed);
  if (sources_) sources_->leave(source);
}

std::size_t Admission::inside() const noexcept {
  return static_cast<std::size_t>(std::max(inside_.load(std::memory_order_relaxed), std::int64_t{0}));
}

}  // namespace wayport::rpc::plugins
