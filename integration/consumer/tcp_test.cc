// TCP alone.
#include "round_trip.h"
#include "wayport/transport/tcp/tcp_transport.h"

int main() {
  consumer::Transports all;
  all.add("tcp", std::make_shared<wayport::transport::TcpTransport>());
  return consumer::round_trip(all, "tcp://127.0.0.1:0");
}
