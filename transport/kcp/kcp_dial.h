// One kcp dial: name, then the first address that there is a route to. KCP has no handshake: the dial succeeds without a
// word to the peer, and a peer that is not there shows when the first bytes are not acknowledged (refused, timed_out).
#pragma once

#include <memory>

#include "wayport/transport/kcp/kcp_address.h"
#include "wayport/transport/kcp/kcp_driver.h"
#include "wayport/transport/resolver.h"
#include "wayport/transport/transports.h"

namespace wayport::transport::kcp {

// REQUIRES: a host and a port.
std::unique_ptr<Dial> dial_kcp(Loop& loop, const Address& address, const KcpAddress& kcp, const DialOptions& options,
                               const ResolverOptions& resolver, std::shared_ptr<LoopShare> share, OnDialed on_done);

}  // namespace wayport::transport::kcp
