// Addresses as the kernel has them, for the allow list and the limits: the gateway's own, and a peer's without its port.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/gateway/route/allow_list.h"
#include "wayport/gateway/route/ip_address.h"
#include "wayport/transport/address.h"

namespace wayport::route {

// Without port and zone; nullopt: it has no address (unix, memory).
std::optional<IpAddress> ip_of(const SocketAddress& address);

// Where a client would reach these listeners (as bound, Listener::address()), for AllowList::set_own(): a listener of
// every address is at each one of this machine's interfaces. Asked for once; interfaces that come later are not known.
// `io`: the interfaces cannot be listed.
Result<std::vector<OwnEndpoint>> own_endpoints(std::span<const transport::Address> listeners);

}  // namespace wayport::route
