#include "wayport/transport/default_transports.h"

#include "wayport/transport/kcp/kcp_transport.h"
#include "wayport/transport/link/link_transport.h"
#include "wayport/transport/route/route_transport.h"
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
  all.add("kcp", std::make_shared<KcpTransport>(log));
  all.add("link", std::make_shared<LinkTransport>(log));
  all.add("route", std::make_shared<RouteTransport>());
  const auto ws = std::make_shared<WsTransport>();
  all.add("ws", ws);
  all.add("wss", ws);
  return all;
}

}  // namespace wayport::transport
