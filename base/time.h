// One notion of time for cores and drivers: monotonic nanoseconds. Wall-clock time appears only in logs.
#pragma once

#include <chrono>
#include <string>

#include "wayport/base/result.h"

namespace wayport {

using Duration = std::chrono::nanoseconds;

// A point on a Clock. Two clocks' points do not compare; a process has one clock outside tests.
struct TimeOrigin {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<TimeOrigin, Duration>;
  static constexpr bool is_steady = true;
};
using TimePoint = TimeOrigin::time_point;
inline constexpr TimePoint kNever = TimePoint::max();

// Saturates: a time-out of for ever must not come round to the past.
constexpr TimePoint after(TimePoint now, Duration time) noexcept { return time >= kNever - now ? kNever : now + time; }

// The real one is in system_clock.h.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const noexcept = 0;  // never goes back; any thread
};

// Time that moves only when a test says so. Not thread-safe.
class ManualClock final : public Clock {
 public:
  TimePoint now() const noexcept override { return now_; }
  void advance(Duration by) noexcept { now_ += by; }
  void set(TimePoint to) noexcept { now_ = to; }

 private:
  TimePoint now_{std::chrono::hours(1)};
};

// "1.5s", "300ms", "1h2m", as Go writes and reads durations; units ns, us, µs, ms, s, m, h; "0" needs no unit.
Result<Duration> parse_duration(std::string_view text);
std::string format_duration(Duration value);

// 64KiB, 1MiB, 2GiB, or a bare count of bytes.
Result<std::size_t> parse_bytes(std::string_view text);
std::string format_bytes(std::size_t bytes);

}  // namespace wayport
