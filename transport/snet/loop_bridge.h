// A stream of one loop, made a stream of another: for a client that came back to a loop where its session does not
// live, on a connection that cannot be moved as a socket (TLS). Each turn's bytes travel in one posted piece.
//
// Bounded as any stream: at most 256 KiB (and one read) that the other loop has not shown to its consumer, and
// StreamOptions::queue_bytes_max of output not yet taken by the lower stream.
#pragma once

#include <memory>

#include "wayport/transport/stream.h"

namespace wayport::transport {

// On the loop of `lower`, which is started. The result belongs to `to`: it is started, used and dropped there only. It
// shows what `lower` has not shown yet. `lower` lives on its own loop until the result is dropped or it ends.
std::unique_ptr<Stream> bridge_to(Loop& to, std::unique_ptr<Stream> lower, const StreamOptions& options);

}  // namespace wayport::transport
