// KCP alone: it has its own socket.
#include "round_trip.h"
#include "wayport/transport/kcp/kcp_transport.h"

int main() {
  consumer::Transports all;
  const auto kcp = std::make_shared<wayport::transport::KcpTransport>();
  all.add("kcp", kcp);
  const std::string parameters = "?crypt=aes-128-gcm&key=000102030405060708090a0b0c0d0e0f&fec=10,3";
  return consumer::round_trip(all, "kcp://127.0.0.1:0" + parameters, parameters);
}
