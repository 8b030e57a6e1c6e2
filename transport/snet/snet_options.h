// What an snet address says. Parameters that are not of snet belong to the layers below.
//
// Both sides:
//   encrypt=1          RC4, for old peers that want it; both sides must say the same, nothing on the wire tells (0)
//   buffer=64KiB       the ring: bytes the peer has not read that survive a break (1 to 1GiB). spec/snet.md, section 6,
//                      says how large it must be
//   wait=60s           how long a session without a connection lives; 0: it ends with its connection
//   peer_buffer=64MiB  the largest ring that a peer may claim to have
// Listening:
//   sessions=100000       sessions at once; more are closed in the handshake
//   per_address=0         of these, with one remote IP address; 0: as many as `sessions`, since a gateway often stands
//                         behind a balancer
//   detached=10000        sessions that wait for their client at once; more end the one that waits longest
//   detached_bytes=256MiB memory of those: rings, unread and unsent bytes; more end the one that waits longest
//   attempts=4            reconnects under way for one session; another closes the oldest of them
#pragma once

#include "wayport/base/time.h"
#include "wayport/transport/address.h"
#include "wayport/transport/snet/session.h"

namespace wayport::transport {

struct SnetOptions {
  snet::SessionOptions session{};
  Duration wait = std::chrono::seconds(60);
  // Listening only.
  std::size_t sessions_max = 100'000;
  std::size_t sessions_per_address_max = 0;  // 0: no bound of its own
  std::size_t detached_max = 10'000;
  std::size_t detached_bytes_max = 256u << 20;
  std::size_t attempts_max = 4;

  static constexpr std::size_t kRingBytesMax = 1u << 30;

  static Result<SnetOptions> for_dial(const Address& address);
  static Result<SnetOptions> for_listen(const Address& address);
  // The address of the layer below; tcp, if none is named.
  static Address below(const Address& address);
};

}  // namespace wayport::transport
