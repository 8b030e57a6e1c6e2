#include "wayport/transport/default_transports.h"

#include "wayport/transport/link/link_transport.h"
#include "wayport/transport/snet/snet_transport.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/tls/tls_transport.h"
#include "wayport/transport/unix/unix_transport.h"
#include "wayport/transport/ws/ws_transport.h"

namespace wayport::transport {

Transports default_transports(Log* log) {
  Transports all;
  all.add("tcp", std::make_shared<TcpTransport>());
  all.add("unix", std::make_shared<UnixTransport>());
  all.add("tls", std::make_shared<TlsTransport>(log));
  all.add("snet", std::make_shared<SnetTransport>(log));
  all.add("link", std::make_shared<LinkTransport>(log));
  const auto ws = std::make_shared<WsTransport>();
  all.add("ws", ws);
  all.add("wss", ws);
  return all;
}

}  // namespace wayport::transport
