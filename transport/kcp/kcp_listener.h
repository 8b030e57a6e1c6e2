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
// and its port is free when the last has ended (at once with one loop, else after a turn of each). A successor that has
// the socket reads it alone from finish() on; each session that is left then gets a socket of its own, connected to its
// peer, which the kernel prefers for that peer's datagrams. Until finish() both processes read, and what the wrong one
// gets is as if it were lost on its way.
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
