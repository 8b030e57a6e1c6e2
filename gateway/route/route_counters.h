// What a loop of a route gateway has done so far; one set per loop, added up by whoever scrapes.
#pragma once

#include <array>
#include <cstddef>

#include "wayport/base/counters.h"
#include "wayport/framing/route/route_error.h"

namespace wayport::route {

inline constexpr std::size_t kRelayEnds = 6;  // of relay::RelayEnd

struct RouteCounters {
  // Now.
  Gauge handshakes;  // from accept to the relay, or to the end of a refused client
  Gauge relays;
  Gauge splicing;  // relays whose bytes do not pass through the process; as of the last look (each, once a second)

  Counter accepted;  // let in; handshakes of transports (TLS, HTTP) that failed are the listeners' (ListenerCounters)
  // What was refused, by code; `overloaded` are those that a limit refused at accept.
  std::array<Counter, kRouteErrors.size()> refused;
  Counter identify_timeouts;  // connect_timeout
  Counter gone;               // clients that left before they had an answer
  Counter reads_stopped;      // clients that sent more before the answer than is kept

  Counter dials;           // clients for whom a backend was dialed
  Counter dial_attempts;   // that it took, of those that succeeded
  Counter dials_canceled;  // the client left, or the gateway closed

  Counter joined;  // relays begun
  Counter joined_spliced;
  // As read; of relays that run, as of the last look.
  Counter bytes_from_clients;
  Counter bytes_from_backends;
  Counter bytes_spliced;                  // of both; counted when a relay ends
  Counter client_waits;                   // times a slow backend stopped the reading of its client; when a relay ends
  Counter backend_waits;                  // and the other way round
  Counter message_timeouts;               // clients whose message did not end in time
  std::array<Counter, kRelayEnds> ended;  // relays, by relay::RelayEnd

  Counter& refused_as(RouteError code) noexcept { return refused[static_cast<std::size_t>(code)]; }
  const Counter& refused_as(RouteError code) const noexcept { return refused[static_cast<std::size_t>(code)]; }
};

}  // namespace wayport::route
