#include "wayport/transport/default_transports.h"

#include "wayport/transport/snet/snet_transport.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/tls/tls_transport.h"
#include "wayport/transport/unix/unix_transport.h"

namespace wayport::transport {

Transports default_transports(Log* log) {
  Transports all;
  all.add("tcp", std::make_shared<TcpTransport>());
  all.add("unix", std::make_shared<UnixTransport>());
  all.add("tls", std::make_shared<TlsTransport>(log));
  all.add("snet", std::make_shared<SnetTransport>(log));
  return all;
}

}  // namespace wayport::transport
