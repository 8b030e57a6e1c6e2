// Which backend takes a call: the policies of ReverseProxy, and whether a backend is in rotation.
//
// Core: no I/O; time and random numbers are the caller's. Not thread-safe: each loop has its own.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "wayport/base/time.h"
#include "wayport/rpc/pool/backoff.h"

namespace wayport::rpc {

enum class Balance : std::uint8_t {
  round_robin,        // in turn, by weight, spread evenly (not three times a, then once b)
  least_outstanding,  // fewest calls without a reply for its weight; ties in turn
  hash,               // by a key: the same backend while it is there; one that goes or comes moves only its own share
};

// Of text, the same in every process and release (unlike std::hash): FNV-1a, mixed.
std::uint64_t hash_text(std::string_view text) noexcept;

struct HealthOptions {
  // So many lost or timed-out calls in a row take a backend out; 0: never.
  unsigned failures_max = 3;
  // For so long, growing with each time in a row. Then one call at a time is tried until one is answered.
  BackoffOptions ejection{.min = std::chrono::seconds(1), .max = std::chrono::seconds(30)};
  unsigned fall = 3;  // failed checks in a row that take a backend out
  unsigned rise = 2;  // good checks in a row that take it in again
};

// Whether one backend is in rotation.
class Health {
 public:
  explicit Health(const HealthOptions& options) noexcept : options_(options), ejection_(options.ejection) {}

  bool usable(TimePoint now, std::size_t outstanding) const noexcept {
    if (down_ || now < ejected_until_) return false;
    return ejections_ == 0 || outstanding == 0;
  }
  bool on_trial() const noexcept { return ejections_ != 0; }
  bool down() const noexcept { return down_; }
  TimePoint ejected_until() const noexcept { return ejected_until_; }

  // A reply came, whatever its status.
  void answered() noexcept;
  // Lost or timed out. True: it is ejected now, until ejected_until().
  bool failed(TimePoint now, std::uint64_t random) noexcept;
  // An active check. True: down() has changed.
  bool checked(bool good) noexcept;

 private:
  HealthOptions options_;
  Backoff ejection_;
  TimePoint ejected_until_ = TimePoint::min();
  unsigned failures_ = 0;
  unsigned ejections_ = 0;  // since the last answer
  unsigned checks_ = 0;     // in a row, against down_
  bool down_ = false;
};

struct Candidate {
  bool usable = false;
  std::uint32_t weight = 1;       // at least 1
  std::size_t outstanding = 0;    // calls
  std::uint64_t seed = 0;         // hash of its name
  std::int64_t* share = nullptr;  // round_robin's, 0 at first
};

class Balancer {
 public:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  explicit Balancer(Balance balance) noexcept : balance_(balance) {}
  // The index of the chosen one; kNone: none is usable. `key` is for `hash`.
  std::size_t pick(std::span<const Candidate> candidates, std::uint64_t key) noexcept;

 private:
  static std::size_t round_robin(std::span<const Candidate> candidates) noexcept;
  std::size_t least_outstanding(std::span<const Candidate> candidates) noexcept;
  static std::size_t hash(std::span<const Candidate> candidates, std::uint64_t key) noexcept;

  Balance balance_;
  std::size_t first_ = 0;  // where ties are looked at first
};

}  // namespace wayport::rpc
