// Hierarchical timer wheel: O(1) arm and disarm, intrusive nodes, no I/O. Loop drives it; tests and cores may too.
//
// Deadlines are rounded up to the tick (1 ms), so nothing fires early. Idle time-outs are not re-armed by traffic:
// their owner lets the node fire, compares its last activity, and arms again for the rest.
//
// Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "wayport/base/intrusive_list.h"
#include "wayport/base/time.h"

namespace wayport {

// What the wheel keeps in a node.
class TimerDue {
  friend class TimerWheel;
  std::uint64_t due_tick_ = 0;
};

class Timer : public ListNode<Timer>, public TimerDue {
 public:
  // The node is disarmed when this runs; it may arm itself again or destroy itself.
  virtual void on_timer() = 0;
  bool armed() const noexcept { return linked(); }

 protected:
  ~Timer() = default;  // unlinks
};

class TimerWheel {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(1);

  explicit TimerWheel(TimePoint now) noexcept;

  void arm(Timer& node, TimePoint due) noexcept;  // a due time in the past fires at the next expire()
  void disarm(Timer& node) noexcept { node.unlink(); }
  // Runs every node that is due at `now`, in order of deadline tick; those armed with a time already past come first,
  // in the order of arming. Nodes armed meanwhile for a time <= now run in the next call. Returns how many ran. Not to
  // be called from on_timer().
  std::size_t expire(TimePoint now);
  // A time at or before the earliest deadline, and never before now of the last expire(); kNever if nothing is armed.
  // Far deadlines may give an earlier wake at which nothing is due.
  TimePoint next_due() const noexcept;
  // When a node armed for `due` would fire: rounded up to the tick, at the earliest now.
  TimePoint fires_at(TimePoint due) const noexcept;

 private:
  static constexpr unsigned kLevels = 8;  // 64^8 ms: longer than any Duration
  static constexpr unsigned kSlotBits = 6;
  static constexpr unsigned kSlots = 1u << kSlotBits;
  using Level = std::array<List<Timer>, kSlots>;

  // The earliest slot with nodes.
  struct Next {
    std::uint64_t tick = 0;  // first tick of the slot
    unsigned level = kLevels;
    unsigned slot = 0;
    bool found() const noexcept { return level != kLevels; }
  };

  std::uint64_t tick_of(TimePoint due) const noexcept;
  TimePoint time_of(std::uint64_t tick) const noexcept;
  void place(Timer& node) noexcept;
  Next next_slot() const noexcept;

  TimePoint origin_;
  TimePoint now_;           // of the last expire()
  std::uint64_t tick_ = 0;  // all ticks <= tick_ have been expired
  // Bits of slots that may hold nodes; a disarmed node leaves its bit behind until the slot is looked at.
  mutable std::array<std::uint64_t, kLevels> occupied_{};
  std::array<Level, kLevels> levels_;
  List<Timer> overdue_;  // armed for a tick that was already expired
};

}  // namespace wayport
