// RPC through a link gateway: peers that know nothing of it but their addresses, over loopback sockets, in threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <future>
#include <memory>
#include <string>

#include "wayport/base/log_testing.h"
#include "wayport/base/runtime.h"
#include "wayport/gateway/link/link_gateway.h"
#include "wayport/rpc/peer.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/link/virtual_stream.h"
#include "wayport/transport/testing/certificates.h"

namespace wayport::rpc {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

class LinkPeersTest : public ::testing::Test {
 protected:
  LinkPeersTest() : key_file(directory.write("key", "secret\n")) {}

  void start_gateway(const std::string& layers = "tcp") {
    gateway = std::make_unique<link::LinkGateway>(
        runtime, link::LinkGatewayOptions{.listen_clients = {layers + "://127.0.0.1:0"},
                                          .listen_servers = {layers + "://127.0.0.1:0"},
                                          .key = "secret"});
    const Result<void> started = gateway->start();
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
  }
  // "link+tcp://127.0.0.1:4711/42"
  static std::string through(const std::string& address, std::uint32_t id, const std::string& parameters = "") {
    return "link+" + address.substr(0, address.find('?')) + "/" + std::to_string(id) + parameters;
  }
  std::string as_server(std::uint32_t id, const std::string& parameters = "") const {
    return through(gateway->server_addresses().at(0), id, "?key_file=" + key_file + parameters);
  }
  std::string as_client(std::uint32_t id, const std::string& parameters = "") const {
    return through(gateway->client_addresses().at(0), id, parameters);
  }
  static void start(Peer& peer) {
    const Result<void> started = peer.start();
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
  }
  // The server is on its way to the gateway; until it is there dials are refused.
  static Session dial(Peer& peer, const std::string& address, DialOptions options = {}) {
    const auto until = std::chrono::steady_clock::now() + seconds(30);
    for (;;) {
      const Result<Session> session = peer.dial_blocking(address, options);
      if (session) return *session;
      if (std::chrono::steady_clock::now() > until || session.error().code != ErrorCode::refused) {
        ADD_FAILURE() << session.error().to_string();
        return Session();
      }
    }
  }

  MemoryLog log;
  transport::TestDirectory directory;
  const std::string key_file;
  Runtime runtime{{.loops = 2, .log = &log}};
  std::unique_ptr<link::LinkGateway> gateway;
};

TEST_F(LinkPeersTest, BothEndsPullThroughTheGateway) {
  start_gateway();
  Peer server(runtime, {.listen = {as_server(42)}});
  server.router().on_pull("/sum", [](std::array<int, 2> v) { return v[0] + v[1]; });
  server.router().on_pull("/large", [](std::string text) { return text + text; });
  server.router().on_pull("/ask_back", [](Context& context) -> asio::awaitable<std::string> {
    co_return "server heard: " + *co_await context.session().pull<std::string>("/name");
  });
  start(server);
  Peer client(runtime);
  client.router().on_pull("/name", [] { return std::string("ann"); });
  start(client);
  const Session session = dial(client, as_client(42));
  EXPECT_EQ(*session.pull_blocking<int>("/sum", std::array{1, 2}), 3);
  EXPECT_EQ(*session.pull_blocking<std::string>("/ask_back"), "server heard: ann");
  // Several frames, several times the bound of a virtual connection.
  const std::string large(700'000, 'x');
  EXPECT_EQ(*session.pull_blocking<std::string>("/large", large), large + large);

  // Many at once, each with a physical connection of its own.
  std::vector<Session> sessions;
  for (int i = 0; i < 50; ++i) sessions.push_back(dial(client, as_client(42)));
  std::vector<std::future<Reply<int>>> replies;
  for (int i = 0; i < 50; ++i) replies.push_back(sessions[i].pull_future<int>("/sum", std::array{i, i}));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(*replies[i].get(), 2 * i);
  client.close_blocking();
  server.close_blocking();
}

// The other way round: the server dials a client by the id that the gateway gave it.
TEST_F(LinkPeersTest, AServerDialsAClient) {
  start_gateway();
  Peer client(runtime);
  client.router().on_pull("/name", [] { return std::string("bob"); });
  start(client);

  // A client that can be dialed is an endpoint whose virtual connections are given to a peer.
  struct Dialable final : link::EndpointEvents {
    explicit Dialable(Peer& which) : peer(which) {}
    void on_connected(std::unique_ptr<link::VirtualConnection> connection) override {
      EXPECT_EQ(connection->remote_id(), 42);
      EXPECT_TRUE(peer.wrap(std::make_unique<link::VirtualStream>(std::move(connection), transport::StreamOptions{}))
                      .has_value());
    }
    void on_closed(const CloseReason&) override {}
    Peer& peer;
    std::unique_ptr<transport::Dial> dial;
    std::unique_ptr<link::Endpoint> endpoint;
  };
  auto dialable = std::make_shared<Dialable>(client);
  const transport::Transports all = transport::default_transports();
  std::promise<void> connected;
  runtime.loop(1).post([&, dialable] {
    dialable->dial = all.dial(runtime.loop(1), *transport::Address::parse(gateway->client_addresses().at(0)), {},
                              [&, dialable](Result<std::unique_ptr<transport::Stream>> stream) {
                                ASSERT_TRUE(stream.has_value());
                                dialable->endpoint = std::make_unique<link::Endpoint>(
                                    *std::move(stream), link::EndpointIdentity::client(), link::EndpointOptions{},
                                    static_cast<link::EndpointEvents&>(*dialable));
                                connected.set_value();
                              });
  });
  connected.get_future().get();

  Peer server(runtime);
  start(server);
  DialOptions options;
  options.loop = &runtime.loop(0);
  const Session session =
      dial(server, through(gateway->server_addresses().at(0), 1, "?server=42&key_file=" + key_file), options);
  EXPECT_EQ(*session.pull_blocking<std::string>("/name"), "bob");
  server.close_blocking();
  client.close_blocking();
  std::promise<void> gone;
  runtime.loop(1).post([&, moved = std::move(dialable)]() mutable {
    moved->dial.reset();
    moved->endpoint.reset();
    moved.reset();
    gone.set_value();
  });
  gone.get_future().get();
}

TEST_F(LinkPeersTest, TlsInsideLinkHidesThemFromTheGateway) {
  start_gateway();
  const transport::TestAuthority authority;
  const transport::IssuedCertificate issued = authority.issue({.dns_names = {"game"}});
  const std::string ca = directory.write("ca.pem", authority.cert_pem());
  const std::string cert = directory.write("cert.pem", issued.cert_pem + issued.key_pem);
  Peer server(runtime, {.listen = {"tls+" + as_server(42, "&cert=" + cert)}});
  server.router().on_pull("/echo", [](std::string text) { return text; });
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, "tls+" + as_client(42, "?name=game&ca=" + ca));
  EXPECT_EQ(*session.pull_blocking<std::string>("/echo", std::string(300'000, 's')), std::string(300'000, 's'));
  client.close_blocking();
  server.close_blocking();
}

TEST_F(LinkPeersTest, OverSnetUntilTheGatewayIsGoneForLong) {
  start_gateway("snet+tcp");
  Peer server(runtime, {.listen = {as_server(42, "&wait=100ms")}});
  server.router().on_pull("/echo", [](std::string text) { return text; });
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, as_client(42, "?wait=100ms"));
  EXPECT_EQ(*session.pull_blocking<std::string>("/echo", std::string("over snet")), "over snet");
  std::promise<void> closed;
  session.on_closed([&](const CloseReason&) { closed.set_value(); });
  gateway.reset();
  closed.get_future().get();
  client.close_blocking();
  server.close_blocking();
}

TEST_F(LinkPeersTest, AWrongKeyIsLoggedByTheListenerAndToldToTheDialer) {
  start_gateway();
  const std::string wrong = directory.write("wrong", "guess");
  const std::string address = through(gateway->server_addresses().at(0), 42, "?key_file=" + wrong);
  Peer server(runtime, {.listen = {address}});
  start(server);
  Peer client(runtime);
  start(client);
  const Result<Session> refused = client.dial_blocking(as_client(42));
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().to_string(), HasSubstr("the gateway has no server 42"));
  DialOptions options;
  options.loop = &runtime.loop(1);
  const Result<Session> dialed =
      client.dial_blocking(through(gateway->server_addresses().at(0), 1, "?server=7&key_file=" + wrong), options);
  ASSERT_FALSE(dialed.has_value());
  EXPECT_THAT(dialed.error().to_string(), HasSubstr("is the key of server 7 the gateway's?"));
  client.close_blocking();
  server.close_blocking();
}

}  // namespace
}  // namespace wayport::rpc
