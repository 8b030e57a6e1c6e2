// What an endpoint counts. Written on its loop, read from any thread.
#pragma once

#include "wayport/base/counters.h"

namespace wayport::link {

struct EndpointCounters {
  Counter messages_in, bytes_in;    // data frames, headers included
  Counter messages_out, bytes_out;  // those handed to the stream below
  Counter dials, dials_refused, dials_timed_out, dials_over_max;
  Counter accepted_late;       // answers to dials that were given up: closed at once
  Counter connected;           // virtual connections that the other side opened
  Counter connected_over_max;  // of those, closed for virtual_max
  Counter stray_messages;      // for unknown ids: answered by Close
  Counter late_messages;       // for ids that we closed: dropped
  Counter receive_overflows;   // messages that did not fit virtual_receive or receive
  Counter receive_pauses;      // times that reading from the gateway stopped
  Counter send_overflows;      // messages that did not fit virtual_send or send
  Counter pings, ping_timeouts, reconnects;
  Gauge virtual_connections;
};

}  // namespace wayport::link
