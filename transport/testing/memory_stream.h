// A connection without a kernel: two Streams in memory, on one loop or on two loops of one thread, in virtual time.
//
// Behaves as a stream of the kernel does: output leaves at turn end; what is on its way or unread at the other side is
// bounded (window_bytes), beyond it queued() grows; dropping or aborting an end shows the other one its bytes and then
// the end, or a reset if bytes were left unread; writing to an end that is gone closes with peer_closed. Arrivals are
// handled in a turn of their own, `latency` later (by the receiving loop's time).
//
// Not thread-safe: both loops are run by one thread.
#pragma once

#include <memory>
#include <string>

#include "wayport/transport/stream.h"

namespace wayport::transport {

struct MemoryOptions {
  Duration latency{0};
  std::size_t window_bytes = 256 * 1024;  // each direction
  std::size_t show_bytes_max = 0;         // at most so many new bytes per on_bytes(); 0: as many as there are
  StreamOptions stream{};                 // of both ends
};

struct MemoryPair {
  std::unique_ptr<Stream> a, b;
};
// PeerInfo has the scheme "mem" and no addresses.
MemoryPair make_memory_pair(Loop& loop_of_a, Loop& loop_of_b, const MemoryOptions& options = {});

}  // namespace wayport::transport
