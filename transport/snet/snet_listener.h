// A listener that finishes snet's handshakes: it shows new sessions, and gives sessions that lost their connection the
// one with which their client comes back (spec/snet.md, section 7).
//
// Sessions live on the loops of ListenOptions::loops. The id of a session says on which (id modulo the number of
// loops), so a reconnect that arrives elsewhere is carried there and no table is shared.
//
// Bounds, each with a counter (ListenerCounters, SnetCounters): ListenOptions::handshakes_max connections whose
// handshake is not done, for handshake_timeout at most, from their first byte or not; and those of SnetOptions.
#pragma once

#include <memory>

#include "wayport/transport/snet/crypto.h"
#include "wayport/transport/snet/snet_counters.h"
#include "wayport/transport/snet/snet_options.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

// The ListenOptions for the layer below.
ListenOptions snet_lower_options(const ListenOptions& options, const SnetOptions& snet);

// `address` is the whole stack's, `lower` listens below it with snet_lower_options().
std::unique_ptr<Listener> make_snet_listener(Loop& loop, const Address& address, const ListenOptions& options,
                                             const SnetOptions& snet, snet::RandomSource& random,
                                             std::shared_ptr<SnetCounters> counters, std::unique_ptr<Listener> lower);

}  // namespace wayport::transport
