// What the dials of a RouteTransport came to.
#pragma once

#include <atomic>
#include <cstdint>

namespace wayport::transport {

struct RouteCounters {
  std::atomic<std::uint64_t> accepted{0};  // the gateway reached the backend
  std::atomic<std::uint64_t> refused{0};   // the gateway said "error"
  std::atomic<std::uint64_t> failed{0};    // no gateway, no answer in time, an answer that is none
};

}  // namespace wayport::transport
