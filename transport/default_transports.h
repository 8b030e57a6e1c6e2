// The table of everything this build has. A program that wants less builds its own table and links less.
#pragma once

#include "wayport/base/log.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

// tcp, unix, tls, snet, link, route, kcp, ws, wss. `log` is told of dials that verify nothing (tls with insecure=1), of
// snet's weak encryption, of kcp ciphers that should not be chosen, and of snet sessions and link servers that lose their
// connection; it outlives the table and the streams that come of it.
Transports default_transports(Log* log = nullptr);

}  // namespace wayport::transport
