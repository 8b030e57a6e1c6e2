// Websockets over one transport.
#include "round_trip.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/ws/ws_transport.h"

int main() {
  consumer::Transports all;
  all.add("tcp", std::make_shared<wayport::transport::TcpTransport>());
  all.add("ws", std::make_shared<wayport::transport::WsTransport>());
  return consumer::round_trip(all, "ws://127.0.0.1:0/chat");
}
