#include "wayport/base/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "wayport/base/result.h"

namespace wayport {
namespace {

constexpr std::uint64_t kTickNs = 1'000'000;
static_assert(TimerWheel::kTick == std::chrono::nanoseconds(kTickNs));

}  // namespace

TimerWheel::TimerWheel(TimePoint now) noexcept : origin_(now), now_(now) {}

std::uint64_t TimerWheel::tick_of(TimePoint due) const noexcept {
  if (due <= origin_) return 0;
  const std::uint64_t since = static_cast<std::uint64_t>(due.time_since_epoch().count()) -
                              static_cast<std::uint64_t>(origin_.time_since_epoch().count());
  return since / kTickNs + (since % kTickNs != 0);
}

TimePoint TimerWheel::time_of(std::uint64_t tick) const noexcept {
  const auto left = static_cast<std::uint64_t>((kNever - std::max(origin_, TimePoint{})).count());
  if (tick > left / kTickNs) return kNever;
  return origin_ + Duration(static_cast<Duration::rep>(tick * kTickNs));
}

TimePoint TimerWheel::fires_at(TimePoint due) const noexcept {
  const std::uint64_t tick = tick_of(due);
  return tick <= tick_ ? now_ : time_of(tick);
}

void TimerWheel::arm(Timer& node, TimePoint due) noexcept {
  node.due_tick_ = tick_of(due);
  place(node);
}

// The level is that of the highest 6-bit digit in which the deadline differs from tick_. Hence every node of a level
// is in a slot after tick_'s own digit there, and all nodes of a level are due before all of the next.
void TimerWheel::place(Timer& node) noexcept {
  if (node.due_tick_ <= tick_) {
    overdue_.push_back(node);
    return;
  }
  const unsigned level = static_cast<unsigned>(std::bit_width(node.due_tick_ ^ tick_) - 1) / kSlotBits;
  WAYPORT_ASSERT(level < kLevels, "a deadline is further away than any Duration");
  const unsigned slot = static_cast<unsigned>(node.due_tick_ >> (level * kSlotBits)) % kSlots;
  levels_[level][slot].push_back(node);
  occupied_[level] |= std::uint64_t{1} << slot;
}

TimerWheel::Next TimerWheel::next_slot() const noexcept {
  for (unsigned level = 0; level < kLevels; ++level) {
    while (occupied_[level] != 0) {
      const auto slot = static_cast<unsigned>(std::countr_zero(occupied_[level]));
      if (levels_[level][slot].empty()) {
        occupied_[level] &= occupied_[level] - 1;
        continue;
      }
      const unsigned shift = level * kSlotBits;
      const std::uint64_t above = shift + kSlotBits >= 64 ? 0 : tick_ >> (shift + kSlotBits) << (shift + kSlotBits);
      return {above | std::uint64_t{slot} << shift, level, slot};
    }
  }
  return {};
}

std::size_t TimerWheel::expire(TimePoint now) {
  now_ = std::max(now_, now);
  const std::uint64_t target = static_cast<std::uint64_t>((now_ - origin_).count()) / kTickNs;

  // First everything due is collected, then it runs: what callbacks arm waits for the next call, what they disarm or
  // destroy leaves the list.
  List<Timer> due;
  due.splice_back(overdue_);
  for (Next next = next_slot(); next.found() && next.tick <= target; next = next_slot()) {
    tick_ = next.tick;
    occupied_[next.level] &= ~(std::uint64_t{1} << next.slot);
    List<Timer>& slot = levels_[next.level][next.slot];
    if (next.level == 0) {
      due.splice_back(slot);
      continue;
    }
    while (Timer* node = slot.pop_front()) {
      if (node->due_tick_ <= tick_) {
        due.push_back(*node);
      } else {
        place(*node);
      }
    }
  }
  tick_ = std::max(tick_, target);

  std::size_t ran = 0;
  while (Timer* node = due.pop_front()) {
    ++ran;
    node->on_timer();
  }
  return ran;
}

TimePoint TimerWheel::next_due() const noexcept {
  if (!overdue_.empty()) return now_;
  const Next next = next_slot();
  return next.found() ? time_of(next.tick) : kNever;
}

}  // namespace wayport
