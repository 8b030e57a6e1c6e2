// A listener whose sessions live on ListenOptions::loops, one KcpTable on each.
//
//   socket -- read on the listener's loop -- hash of the sender's address -- Mailbox -- the loop's table -- sessions
//                                                                   (its own loop: directly)
//   sessions send through the same socket from their own loops. A session that has moved to an address of another
//   loop's is found by its conv there, and its packets are handed on.
//
// With reuseport=1 each loop has a socket of its own, and the kernel's hash chooses.
//
// The end of the listener, or finish(), ends only the opening of sessions: the socket is read for those that live on,
// and its port is free when the last has ended (at once with one loop, else after a turn of each).
//
// A restart: two processes have one socket, and a datagram is read by either.
//
//   predecessor: inheritable_fds() ... opens no session .......... finish(): reads no more; a socket for each session
//   successor:        inherited_fd ... reads nothing ... take_back(): reads; opens at sn 0 only, for a minute
//
// A listener made with inherited_fd reads only from its take_back() on (graceful_process.h calls it when the
// predecessor knows that this one is ready; whoever uses inherited_fd without it calls it when the other reads no
// more). A predecessor whose successor does not come opens again from its take_back() on. After finish() each session
// that is left has a socket of its own, connected to its peer, which the kernel prefers for that peer's datagrams
// (SessionsLeftBehind counts those that could not get one). What the wrong process gets before is as if it were lost.
// With reuseport=1 there is nothing to inherit: such a listener takes no part in a restart.
//
// Bounded: KcpTableOptions (sessions, half-open ones, backlog, all shared out among the loops), PacketPool of each loop,
// datagrams on their way to another loop (LoopDrops beyond it).
#pragma once

#include <memory>

#include "wayport/transport/kcp/kcp_address.h"
#include "wayport/transport/kcp/kcp_driver.h"
#include "wayport/transport/transports.h"

namespace wayport::transport::kcp {

Result<std::unique_ptr<Listener>> listen_kcp(Loop& loop, const Address& address, const KcpAddress& kcp,
                                             const ListenOptions& options, LoopShares& shares);

}  // namespace wayport::transport::kcp
