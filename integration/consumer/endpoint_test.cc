// Endpoints of a link gateway, on streams of one's own: two virtual connections, each a channel of whole messages.
#include <vector>

#include "link_gateway.h"
#include "round_trip.h"
#include "wayport/transport/link/endpoint.h"
#include "wayport/transport/tcp/tcp_transport.h"

namespace {

using namespace consumer;
namespace link = wayport::link;

struct Channel final : link::VirtualEvents {
  Channel(std::unique_ptr<link::VirtualConnection> which, bool answers) : connection(std::move(which)), echo(answers) {
    connection->start(*this);
  }
  void on_message(MutableBytes message) override {
    messages.emplace_back(wayport::as_text(message));
    if (echo && !connection->send(wayport::Bytes(message))) std::exit(1);
  }
  void on_closed(const CloseReason&) override { closed = true; }

  std::unique_ptr<link::VirtualConnection> connection;
  bool echo;
  bool closed = false;
  std::vector<std::string> messages;
};

struct Owner final : link::EndpointEvents {
  void on_ready() override { ready = true; }
  void on_connected(std::unique_ptr<link::VirtualConnection> connection) override {
    channels.push_back(std::make_unique<Channel>(std::move(connection), true));
  }
  void on_closed(const CloseReason& reason) override { std::cerr << to_string(reason) << "\n"; }

  bool ready = false;
  std::vector<std::unique_ptr<Channel>> channels;
};

}  // namespace

int main() {
  Gateway gateway;
  Transports all;
  all.add("tcp", std::make_shared<wayport::transport::TcpTransport>());
  Loop loop;
  Owner at_server, at_client;
  auto to_server = dial_now(all, loop, gateway.gateway.server_addresses().at(0));
  auto to_client = dial_now(all, loop, gateway.gateway.client_addresses().at(0));
  if (!to_server || !to_client) return 1;
  link::Endpoint server(std::move(to_server), link::EndpointIdentity::as_server(7, "secret"), {}, at_server);
  link::Endpoint client(std::move(to_client), link::EndpointIdentity::client(), {}, at_client);
  if (!run_until(loop, "the server", [&] { return at_server.ready; })) return 1;
  std::vector<std::unique_ptr<Channel>> ends;
  for (int i = 0; i < 2; ++i) {
    std::optional<Result<std::unique_ptr<link::VirtualConnection>>> made;
    const auto dial =
        client.dial(7, std::chrono::seconds(10),
                    [&](Result<std::unique_ptr<link::VirtualConnection>> result) { made.emplace(std::move(result)); });
    if (!run_until(loop, "a virtual connection", [&] { return made.has_value(); }) || !*made) return 1;
    ends.push_back(std::make_unique<Channel>(*std::move(*made), false));
  }
  const std::vector<std::string> said{"one", "", std::string(70'000, 'x')};
  for (const auto& end : ends) {
    for (const std::string& message : said) {
      if (!end->connection->send(wayport::as_bytes(message))) return 1;
    }
  }
  const auto all_back = [&] { return ends[0]->messages == said && ends[1]->messages == said; };
  if (!run_until(loop, "the messages", all_back)) return 1;
  ends.erase(ends.begin());
  return run_until(loop, "the end of the first", [&] { return at_server.channels.at(0)->closed; }) &&
                 !at_server.channels.at(1)->closed
             ? 0
             : 1;
}
