// What snet counts, on both sides; added to from every loop.
#pragma once

#include <atomic>
#include <cstdint>

namespace wayport::transport {

struct SnetCounters {
  using Count = std::atomic<std::uint64_t>;

  Count opened{0};    // sessions that began
  Count detached{0};  // connections that sessions lost
  Count resumed{0};   // connections that took up a session again
  // Client.
  Count attempts{0};  // reconnects begun
  Count gave_up{0};   // sessions lost: wait elapsed, refused, overrun
  // Server.
  Count resumes_refused{0};    // requests answered with zeros
  Count resumes_failed{0};     // answered, but the proof was wrong, late or for a session that had gone on
  Count resumes_displaced{0};  // closed because more than attempts_max were under way
  Count sessions_refused{0};   // over sessions_max or sessions_per_address_max
  Count expired{0};            // sessions whose wait elapsed
  Count evicted{0};            // over detached_max or detached_bytes_max
  Count moved{0};              // connections brought to the loop of their session

  static void add(Count& count) noexcept { count.fetch_add(1, std::memory_order_relaxed); }
};

}  // namespace wayport::transport
