// A listener that reads the upgrade, on the connection's own loop, before it shows the connection; where the layer
// below did not ask ListenOptions::admit, this one does. Incoming::accept() then answers 101, reject() with the status
// that the error means (handshake.h: status_of); both at any later time. Until then nothing more is read from the
// client, and no time-out runs: who decides bounds the time it takes.
#pragma once

#include <memory>

#include "wayport/transport/transports.h"
#include "wayport/transport/ws/ws_counters.h"
#include "wayport/transport/ws/ws_options.h"

namespace wayport::transport {

// The ListenOptions for the layer below.
ListenOptions ws_lower_options(const ListenOptions& options);

// `address` is the whole stack's, `lower` listens below it with ws_lower_options().
std::unique_ptr<Listener> make_ws_listener(Loop& loop, const Address& address, const WsOptions& ws,
                                           const ListenOptions& options, std::shared_ptr<WsCounters> counters,
                                           std::unique_ptr<Listener> lower);

}  // namespace wayport::transport
