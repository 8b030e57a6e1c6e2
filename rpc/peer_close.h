// How a Peer ends: listeners first, then sessions and handshakes, then handlers. Internal to rpc.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "wayport/rpc/peer_state.h"

namespace wayport::rpc {

struct PeerClosing {
  std::vector<std::shared_ptr<LoopState>> loops;
  std::shared_ptr<Listening> listening;
  Log& log;
  bool graceful = true;  // false: sessions are aborted
};

// On loop 0, where `done` runs once everything has ended, or time is up.
void close_peer(PeerClosing what, std::move_only_function<void()> done);

}  // namespace wayport::rpc
