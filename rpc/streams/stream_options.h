// What the streams of a session may be told. Every bound has a counter in StreamCounters.
#pragma once

#include <cstddef>
#include <string>

#include "wayport/base/counters.h"
#include "wayport/base/time.h"

namespace wayport::rpc {

struct StreamOptions {
  // Under which the wire's routes live: "/wayport/stream/open" and so on (README.md). Both ends use the same.
  std::string prefix = "/wayport/stream";

  // How much of one direction of one stream may wait here for its reader; the peer is told, and sends no more.
  std::size_t window_bytes = 256u << 10;
  // Of one data push, before compression.
  std::size_t chunk_bytes = 16u << 10;
  // Per session: that many which we opened, and as many which the peer opened. Those whose reader and writer are still
  // held count. More are refused with 503.
  std::size_t streams_max = 64;
  // Streams send nothing while the session has this many unsent bytes, whatever credit the peer gives.
  std::size_t unsent_bytes_max = 1u << 20;
  // Path and query that a peer opens; longer ones are refused with 400.
  std::size_t target_bytes_max = 4096;

  // Until the peer has taken or refused the stream. Zero: wait until the session ends.
  Duration open_timeout = std::chrono::seconds(10);
  // While a read waits for data, or a write for credit, something must come within this time, else the stream is aborted
  // with 504. An application that does not read or write lets no time run here. Zero: none.
  Duration idle_timeout = std::chrono::seconds(60);
};

// One set per loop.
struct StreamCounters {
  Counter opened;        // by us
  Counter accepted;      // opened by peers
  Counter refused;       // streams_max, target_bytes_max, no such path, bad opens
  Counter aborted_here;  // by the application, a dropped writer, a handler that failed
  Counter aborted_by_peer;
  Counter violations;  // the peer broke a rule of the stream, which was aborted
  Counter idle_timeouts;
  Counter messages_malformed;  // of no stream that can be told
  Counter messages_unmatched;  // the stream is over, or never was
  Counter data_dropped;        // bytes that came after the reader had gone
  Counter bytes_sent;
  Counter bytes_received;
  Counter output_blocked;  // unsent_bytes_max, or the session's output_bytes_max
  Counter handler_exceptions;
  Gauge streams;         // now
  Gauge buffered_bytes;  // received and not read, now
  Gauge buffered_bytes_peak;
};

}  // namespace wayport::rpc
