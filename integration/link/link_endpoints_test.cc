// Endpoints at the real gateway: what one side alone cannot show. The gateway has loops on threads of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/base/runtime.h"
#include "wayport/gateway/link/link_gateway.h"
#include "wayport/transport/link/endpoint.h"
#include "wayport/transport/link/link_transport.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::link {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using transport::Address;
using transport::chain_of;
using transport::run_until;

struct End final : VirtualEvents {
  explicit End(std::unique_ptr<VirtualConnection> which) : connection(std::move(which)) { connection->start(*this); }
  void on_message(MutableBytes message) override {
    ++count;
    bytes += message.size();
    if (echo) static_cast<void>(connection->send(Bytes(message)));
  }
  void on_closed(const CloseReason& reason) override { closed = reason; }
  std::unique_ptr<VirtualConnection> connection;
  std::size_t count = 0;
  std::size_t bytes = 0;
  std::optional<CloseReason> closed;
  bool echo = false;
};

struct Owner final : EndpointEvents {
  void on_ready() override { ready = true; }
  void on_connected(std::unique_ptr<VirtualConnection> connection) override {
    ends.push_back(std::make_unique<End>(std::move(connection)));
    ends.back()->echo = echo;
  }
  void on_closed(const CloseReason& reason) override { closed = reason; }
  std::unique_ptr<Endpoint> endpoint;
  std::vector<std::unique_ptr<End>> ends;
  std::optional<CloseReason> closed;
  bool ready = false;
  bool echo = false;
};

class LinkEndpointsTest : public ::testing::TestWithParam<unsigned> {
 protected:
  LinkEndpointsTest() : key_file(directory.write("key", "secret")), runtime({.loops = GetParam(), .log = &null_log()}) {
    all.add("tcp", std::make_shared<transport::TcpTransport>());
    all.add("link", std::make_shared<transport::LinkTransport>());
  }
  void start(SwitchOptions switching = {}) {
    gateway = std::make_unique<LinkGateway>(runtime, LinkGatewayOptions{.listen_clients = {"tcp://127.0.0.1:0"},
                                                                        .listen_servers = {"tcp://127.0.0.1:0"},
                                                                        .key = "secret",
                                                                        .switching = switching});
    const Result<void> started = gateway->start();
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
  }
  void open(Owner& owner, EndpointIdentity identity, EndpointOptions options = {}) {
    transport::DialOutcome lower;
    const bool server = identity.server;
    transport::dial_into(lower, all, loop, (server ? gateway->server_addresses() : gateway->client_addresses()).at(0));
    ASSERT_TRUE(run_until(loop, [&] { return lower.done(); }));
    owner.endpoint = std::make_unique<Endpoint>(*std::move(*lower.result), std::move(identity), options,
                                                static_cast<EndpointEvents&>(owner));
    if (server) ASSERT_TRUE(run_until(loop, [&] { return owner.ready || owner.closed; }));
  }
  std::unique_ptr<End> connect(Owner& from, std::uint32_t remote) {
    std::optional<Result<std::unique_ptr<VirtualConnection>>> made;
    // With several loops the news of a server may still be on its way.
    for (int attempt = 0; attempt < 100; ++attempt) {
      made.reset();
      const auto dial = from.endpoint->dial(
          remote, seconds(10), [&](Result<std::unique_ptr<VirtualConnection>> result) { made = std::move(result); });
      EXPECT_TRUE(run_until(loop, [&] { return made.has_value(); }));
      if (*made || made->error().code != ErrorCode::refused) break;
    }
    EXPECT_TRUE(made->has_value()) << made->error().to_string();
    return std::make_unique<End>(**std::move(made));
  }
  static EndpointIdentity server(std::uint32_t id) { return EndpointIdentity::as_server(id, "secret"); }

  transport::TestDirectory directory;
  const std::string key_file;
  Runtime runtime;
  Loop loop;
  transport::Transports all;
  std::unique_ptr<LinkGateway> gateway;
};
INSTANTIATE_TEST_SUITE_P(Loops, LinkEndpointsTest, ::testing::Values(1u, 2u));

TEST_P(LinkEndpointsTest, ManyVirtualConnectionsInBothDirections) {
  start({.client_virtual_max = 0});
  Owner one, client;
  one.echo = client.echo = true;
  open(one, server(7));
  open(client, EndpointIdentity::client());
  std::vector<std::unique_ptr<End>> ends;
  for (int i = 0; i < 100; ++i) ends.push_back(connect(client, 7));
  // The server learns the client's id from what it dialed.
  const std::uint32_t client_id = one.ends.at(0)->connection->remote_id();
  for (int i = 0; i < 100; ++i) ends.push_back(connect(one, client_id));
  EXPECT_TRUE(run_until(loop, [&] { return client.ends.size() == 100; }));
  for (int round = 0; round < 10; ++round) {
    for (const auto& end : ends)
      EXPECT_TRUE(end->connection->send(as_bytes(std::string(round * 100, 'm'))).has_value());
  }
  EXPECT_TRUE(run_until(loop, [&] {
    return std::ranges::all_of(ends, [](const auto& end) { return end->count == 10 && end->bytes == 4500; });
  }));
  EXPECT_EQ(gateway->virtual_count(), 200);
  ends.clear();
  EXPECT_TRUE(run_until(loop, [&] { return gateway->virtual_count() == 0; }));
}

TEST_P(LinkEndpointsTest, TheGatewaysLimitIsARefusal) {
  start({.client_virtual_max = 2});
  Owner one, client;
  open(one, server(7));
  open(client, EndpointIdentity::client());
  const auto first = connect(client, 7), second = connect(client, 7);
  std::optional<Result<std::unique_ptr<VirtualConnection>>> made;
  const auto dial = client.endpoint->dial(
      7, seconds(10), [&](Result<std::unique_ptr<VirtualConnection>> result) { made = std::move(result); });
  EXPECT_TRUE(run_until(loop, [&] { return made.has_value(); }));
  EXPECT_THAT(made->error().to_string(), HasSubstr("refused: the gateway has no server 7, or no room"));
}

TEST_P(LinkEndpointsTest, TheLargestMessageOfBothPasses) {
  SwitchOptions switching;
  switching.packet_bytes_max = 1000;
  start(switching);
  EndpointOptions options;
  options.packet_bytes_max = 1000;
  Owner one, client;
  open(one, server(7), options);
  open(client, EndpointIdentity::client(), options);
  const auto end = connect(client, 7);
  EXPECT_TRUE(end->connection->send(as_bytes(std::string(996, 'x'))).has_value());
  EXPECT_EQ(end->connection->send(as_bytes(std::string(997, 'x'))).error().code, ErrorCode::too_large);
  EXPECT_TRUE(run_until(loop, [&] { return !one.ends.empty() && one.ends[0]->bytes == 996; }));
  EXPECT_FALSE(client.closed.has_value());
}

TEST_P(LinkEndpointsTest, OneStuckConnectionEndsAndTheOthersGoOn) {
  start();
  Owner one, client;
  one.echo = true;
  open(one, server(7));
  open(client, EndpointIdentity::client());
  const auto stuck = connect(client, 7);
  const auto quick = connect(client, 7);
  stuck->connection->read(false);
  const std::string block(10'000, 'b');
  std::size_t sent = 0;
  EXPECT_TRUE(run_until(loop, [&] {
    if (client.endpoint->counters().receive_overflows.read() != 0) return true;
    // Few are under way at one time, so that it is this queue that fills.
    if (sent - stuck->connection->unread_bytes() < 20 * block.size()) {
      EXPECT_TRUE(stuck->connection->send(as_bytes(block)).has_value());
      sent += block.size() + kFrameHeaderBytes;
    }
    return false;
  }));
  // It hears of its end when it reads.
  stuck->connection->read(true);
  EXPECT_TRUE(run_until(loop, [&] { return stuck->closed.has_value(); }));
  EXPECT_THAT(to_string(*stuck->closed), HasSubstr("virtual_receive (1MiB, 1024 messages)"));
  EXPECT_TRUE(quick->connection->send(as_bytes("still there")).has_value());
  EXPECT_TRUE(run_until(loop, [&] { return quick->count == 1; }));
  EXPECT_FALSE(quick->closed || client.closed || one.closed);
}

TEST_P(LinkEndpointsTest, AWrongKeyAndTheGatewaysDeath) {
  start();
  Owner wrong, one, client;
  open(wrong, EndpointIdentity::as_server(7, "guess"));
  ASSERT_TRUE(wrong.closed.has_value());
  EXPECT_EQ(wrong.closed->error.code, ErrorCode::refused);
  open(one, server(7));
  open(client, EndpointIdentity::client());
  const auto end = connect(client, 7);
  gateway.reset();
  EXPECT_TRUE(run_until(loop, [&] { return client.closed && one.closed && end->closed; }));
}

TEST_P(LinkEndpointsTest, PingsOutliveTheGatewaysIdleTimeout) {
  SwitchOptions switching;
  switching.client_idle_timeout = switching.server_idle_timeout = std::chrono::milliseconds(400);
  start(switching);
  EndpointOptions pinging;
  pinging.gateway_idle_timeout = std::chrono::milliseconds(400);
  pinging.ping_interval = std::chrono::milliseconds(50);
  EndpointOptions lazy;
  lazy.gateway_idle_timeout = lazy.ping_interval = Duration::zero();
  Owner one, client;
  open(one, server(7), pinging);
  open(client, EndpointIdentity::client(), lazy);
  EXPECT_TRUE(run_until(loop, [&] { return client.closed.has_value(); })) << "who says nothing is cut";
  EXPECT_FALSE(one.closed.has_value());
  EXPECT_GE(one.endpoint->counters().pings.read(), 4);
}

TEST_P(LinkEndpointsTest, StreamsAndMessagesMix) {
  start();
  Owner one;
  one.echo = true;
  open(one, server(7));
  transport::DialOutcome dialed;
  const std::string address = gateway->client_addresses().at(0);
  transport::dial_into(dialed, all, loop, "link+" + address.substr(0, address.find('?')) + "/7");
  ASSERT_TRUE(run_until(loop, [&] { return dialed.done(); }));
  ASSERT_TRUE(dialed.result->has_value()) << dialed.error();
  const std::unique_ptr<Stream> stream = **std::move(dialed.result);
  transport::RecordingEvents events;
  stream->start(events);
  for (int i = 0; i < 50; ++i) stream->write(chain_of("message " + std::to_string(i)), true);
  EXPECT_TRUE(run_until(loop, [&] { return !one.ends.empty() && one.ends[0]->count == 50; }));
  EXPECT_TRUE(run_until(loop, [&] { return events.received.size() == one.ends[0]->bytes; }));
  EXPECT_EQ(events.message_ends, 50);
  stream->close(CloseReason::local(ErrorCode::local_closed, "bye"), {seconds(5)});
  EXPECT_TRUE(run_until(loop, [&] { return events.closed && one.ends[0]->closed && gateway->virtual_count() == 0; }));
}

}  // namespace
}  // namespace wayport::link
