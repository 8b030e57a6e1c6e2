// A listener that finishes the TLS handshake, on the connection's own loop, before it shows the connection. It asks
// ListenOptions::admit first.
#pragma once

#include <memory>

#include "wayport/transport/tls/tls_context.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

// The ListenOptions for the layer below.
ListenOptions tls_lower_options(const ListenOptions& options);

// `address` is the whole stack's, `lower` listens below it with tls_lower_options().
std::unique_ptr<Listener> make_tls_listener(Loop& loop, const Address& address, const ListenOptions& options,
                                            std::unique_ptr<TlsContextFiles> contexts, std::unique_ptr<Listener> lower);

}  // namespace wayport::transport
