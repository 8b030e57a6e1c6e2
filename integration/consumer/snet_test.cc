// snet over one transport: the stream goes on over another connection.
#include "round_trip.h"
#include "wayport/transport/snet/snet_transport.h"
#include "wayport/transport/tcp/tcp_transport.h"

int main() {
  consumer::Transports all;
  const auto snet = std::make_shared<wayport::transport::SnetTransport>();
  all.add("tcp", std::make_shared<wayport::transport::TcpTransport>());
  all.add("snet", snet);
  bool reconnects = false;
  const int failed = consumer::round_trip(all, "snet+tcp://127.0.0.1:0", "",
                                          [&](consumer::Stream& client) { reconnects = client.reconnect_now(); });
  const std::uint64_t resumed = snet->counters().resumed.load();
  if (!reconnects || resumed == 0) std::cerr << "resumed " << resumed << " times\n";
  return failed || !reconnects || resumed == 0 ? 1 : 0;
}
