// Streams by address through a link gateway: server 42 listens, a client dials it.
#include <fstream>

#include "link_gateway.h"
#include "round_trip.h"
#include "wayport/transport/link/link_transport.h"
#include "wayport/transport/tcp/tcp_transport.h"

int main() {
  using namespace consumer;
  Gateway gateway;
  Transports all;
  const auto link = std::make_shared<wayport::transport::LinkTransport>();
  all.add("tcp", std::make_shared<wayport::transport::TcpTransport>());
  all.add("link", link);
  Loop loop;
  const char* const directory = std::getenv("TEST_TMPDIR");
  const std::string key_file = std::string(directory ? directory : ".") + "/key";
  std::ofstream(key_file) << "secret";
  const std::string servers = gateway.gateway.server_addresses().at(0);
  auto listener = all.listen(loop, Address::parse("link+" + servers + "/42?key_file=" + key_file).value(), {});
  if (!listener) {
    std::cerr << listener.error().to_string() << "\n";
    return 1;
  }
  std::optional<End> server;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) { server.emplace(incoming->accept(), true); });
  if (!run_until(loop, "the server", [&] { return link->counters().server_connections.load() == 1; })) return 1;
  auto stream = dial_now(all, loop, "link+" + gateway.gateway.client_addresses().at(0) + "/42");
  if (!stream) return 1;
  End client(std::move(stream), false);
  const std::string sent = bytes_of(100'000);
  client.stream->write(chain_of(sent));
  if (!run_until(loop, "the bytes", [&] { return client.closed || client.received.size() >= sent.size(); })) return 1;
  return client.received == sent ? 0 : 1;
}
