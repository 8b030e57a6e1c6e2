// CallLedger: which calls of which caller were executed, and which of them more than once. Bounded: callers, calls of
// each, and the memory of all. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace wayport::tools {

class CallLedger {
 public:
  static constexpr std::uint64_t kCallsMax = 1u << 24;               // of one caller: 2 MiB
  static constexpr std::uint64_t kBitsMax = std::uint64_t{1} << 31;  // of all callers, one for each call: 256 MiB
  // How far a call may be ahead of its caller's highest one: memory follows what was really called.
  static constexpr std::uint64_t kAheadMax = 1u << 16;

  enum class Entry : std::uint8_t { first, again, no_room };
  struct Totals {
    std::uint64_t executed = 0;  // calls, each counted once
    std::uint64_t doubled = 0;   // executions beyond the first
    std::size_t callers = 0;
  };

  explicit CallLedger(std::size_t callers_max, std::uint64_t bits_max = kBitsMax)
      : callers_max_(callers_max), bits_max_(bits_max) {}

  Entry enter(std::uint64_t caller, std::uint64_t call);
  Totals totals() const;

 private:
  const std::size_t callers_max_;
  const std::uint64_t bits_max_;
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::vector<bool>> seen_;
  std::uint64_t bits_ = 0;
  Totals totals_;
};

}  // namespace wayport::tools
