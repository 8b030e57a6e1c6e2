// What websockets count; added to from every loop.
#pragma once

#include <atomic>
#include <cstdint>

namespace wayport::transport {

struct WsCounters {
  std::atomic<std::uint64_t> upgrades_refused{0};    // answered with a status from 400 up, by us or by who decides
  std::atomic<std::uint64_t> origins_refused{0};     // of these: the origin
  std::atomic<std::uint64_t> protocol_errors{0};     // streams that ended with 1002, 1003 or 1007
  std::atomic<std::uint64_t> messages_too_large{0};  // streams that ended with 1009
  std::atomic<std::uint64_t> ping_timeouts{0};
  std::atomic<std::uint64_t> pings_unanswered{0};  // pings of a peer that a later one replaced before we could answer
};

}  // namespace wayport::transport
