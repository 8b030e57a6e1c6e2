// Endpoints on streams, in virtual time, through a gateway by hand.
#include "wayport/transport/link/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>

#include "wayport/base/task_group.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/transport/link/channel_co.h"
#include "wayport/transport/link/link_testing.h"
#include "wayport/transport/link/typed.h"
#include "wayport/transport/snet/cutting_transport.h"
#include "wayport/transport/snet/snet_transport.h"

namespace wayport::link {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

CloseReason bye() { return CloseReason::local(ErrorCode::local_closed, "bye"); }

TEST(Endpoint, BothSidesDialAndEachSendIsOneMessage) {
  LinkNetwork network;
  EndpointOwner server, client;
  network.open_server(server, 42);
  network.open(client, EndpointIdentity::client());
  EXPECT_EQ(server.readies, 1);

  const auto dialed = network.connect(client, 42);
  ASSERT_EQ(server.ends.size(), 1);
  VirtualEnd& accepted = *server.ends[0];
  EXPECT_EQ(dialed->connection->id(), accepted.connection->id());
  EXPECT_EQ(dialed->connection->remote_id(), 42);
  EXPECT_EQ(accepted.connection->remote_id(), 1) << "the client's id";

  const auto back = network.connect(server, 1);
  ASSERT_EQ(client.ends.size(), 1);
  EXPECT_EQ(client.ends[0]->connection->remote_id(), 42);
  EXPECT_NE(back->connection->id(), dialed->connection->id());

  const std::string large(dialed->connection->message_bytes_max(), 'L');
  for (const std::string& text : {std::string("one"), std::string(), large, std::string("two")}) {
    EXPECT_TRUE(dialed->connection->send(as_bytes(text)).has_value());
  }
  EXPECT_TRUE(accepted.connection->send(as_bytes("other way")).has_value());
  EXPECT_TRUE(back->connection->send(as_bytes("third")).has_value());
  network.loop.drain();
  EXPECT_THAT(accepted.messages, ElementsAre("one", "", large, "two"));
  EXPECT_THAT(dialed->messages, ElementsAre("other way"));
  EXPECT_THAT(client.ends[0]->messages, ElementsAre("third"));
  EXPECT_EQ(dialed->connection->send(as_bytes(large + "x")).error().code, ErrorCode::too_large);

  accepted.connection->close(bye());
  network.loop.drain();
  EXPECT_THAT(dialed->error(), HasSubstr("closed by the peer: peer_closed"));
  EXPECT_THAT(accepted.error(), HasSubstr("bye"));
  EXPECT_FALSE(back->closed.has_value());
  EXPECT_EQ(network.gateway->virtual_connections(), 1);
}

TEST(Endpoint, RefusedDialsAndDialsThatTakeTooLong) {
  LinkNetwork network;
  EndpointOwner client;
  network.open(client, EndpointIdentity::client());
  VirtualOutcome nobody, slow, canceled;
  network.dial(nobody, client, 7);
  EXPECT_FALSE(nobody.result.has_value());
  network.loop.drain();
  EXPECT_THAT(nobody.error(), HasSubstr("refused: the gateway has no server 7"));

  EndpointOwner server;
  network.open_server(server, 42);
  network.gateway->hold_dials = true;
  network.dial(slow, client, 42, seconds(3));
  network.dial(canceled, client, 42);
  network.loop.advance(seconds(3) - milliseconds(1));
  EXPECT_FALSE(slow.result.has_value());
  network.loop.advance(milliseconds(2));
  EXPECT_THAT(slow.error(), HasSubstr("timed_out"));
  canceled.dial.reset();
  network.gateway->release_dials();
  network.loop.drain();
  EXPECT_FALSE(canceled.result.has_value());
  EXPECT_EQ(network.gateway->virtual_connections(), 0) << "what was accepted too late is closed";
  EXPECT_EQ(client.endpoint->counters().accepted_late.read(), 2);
  ASSERT_EQ(server.ends.size(), 2);
  EXPECT_TRUE(server.ends[0]->closed && server.ends[1]->closed);
}

TEST(Endpoint, AWrongKeyAndASilentGatewayAreNamed) {
  LinkNetwork network;
  EndpointOwner wrong;
  network.open(wrong, EndpointIdentity::as_server(42, "guess"));
  EXPECT_THAT(wrong.error(), HasSubstr("refused: the gateway closed the connection when it had the answer"));
  EXPECT_EQ(wrong.readies, 0);

  network.gateway->hold_challenge = true;
  EndpointOwner waiting;
  network.open_server(waiting, 42);
  VirtualOutcome dial;
  network.dial(dial, waiting, 1);
  network.loop.advance(seconds(5) + milliseconds(2));
  EXPECT_THAT(waiting.error(), HasSubstr("no challenge from the gateway within 5s"));
  EXPECT_THAT(dial.error(), HasSubstr("timed_out"));
}

TEST(Endpoint, AnUnreadConnectionHoldsUpNobodyAndEndsAtItsBound) {
  LinkNetwork network;
  EndpointOptions options;
  options.virtual_receive.messages_max = 10;
  EndpointOwner server, client;
  network.open_server(server, 42, options);
  network.open(client, EndpointIdentity::client());
  const auto stuck = network.connect(client, 42);
  const auto quick = network.connect(client, 42);
  server.ends[0]->connection->read(false);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(stuck->connection->send(as_bytes("s")).has_value());
    EXPECT_TRUE(quick->connection->send(as_bytes("q")).has_value());
    network.loop.drain();
  }
  EXPECT_EQ(server.ends[1]->messages.size(), 10);
  EXPECT_FALSE(server.ends[0]->closed.has_value());
  server.ends[0]->connection->read(true);
  network.loop.drain();
  EXPECT_EQ(server.ends[0]->messages.size(), 10);
  server.ends[0]->connection->read(false);
  for (int i = 0; i < 11; ++i) EXPECT_TRUE(stuck->connection->send(as_bytes("s")).has_value());
  network.loop.drain();
  EXPECT_THAT(server.ends[0]->error(), HasSubstr("overloaded"));
  EXPECT_THAT(stuck->error(), HasSubstr("peer_closed"));
  EXPECT_FALSE(quick->closed.has_value());
  EXPECT_EQ(server.endpoint->counters().receive_overflows.read(), 1);
}

TEST(Endpoint, ASlowGatewayIsPressureAndThenTheBound) {
  LinkNetwork network(transport::MemoryOptions{.latency = milliseconds(10), .window_bytes = 64 * 1024});
  EndpointOwner server, client;
  network.open_server(server, 42);
  network.loop.advance(milliseconds(100));
  network.open(client, EndpointIdentity::client());
  VirtualOutcome outcome;
  network.dial(outcome, client, 42);
  network.loop.advance(milliseconds(100));
  ASSERT_TRUE(outcome.result && *outcome.result);
  VirtualEnd end(*std::move(*outcome.result));
  const std::string block(60'000, 'b');
  std::size_t sent = 0;
  for (Result<Pressure> pressure = Pressure::none; *pressure == Pressure::none; ++sent) {
    pressure = end.connection->send(as_bytes(block));
    ASSERT_TRUE(pressure.has_value());
  }
  EXPECT_LT(sent, 20) << "a stream below takes 256 KiB, a virtual connection half of 1 MiB";
  EXPECT_EQ(end.writables, 0);
  network.loop.advance(seconds(1));
  EXPECT_EQ(end.writables, 1);
  EXPECT_EQ(server.ends.at(0)->messages.size(), sent);
  // Without a pause it ends.
  Result<Pressure> last = Pressure::none;
  for (sent = 0; last && sent < 100; ++sent) last = end.connection->send(as_bytes(block));
  EXPECT_EQ(last.error().code, ErrorCode::overloaded);
  network.loop.advance(seconds(1));
  EXPECT_THAT(end.error(), HasSubstr("overloaded"));
  EXPECT_TRUE(server.ends[0]->closed.has_value());
  EXPECT_FALSE(client.closed.has_value());
}

TEST(Endpoint, PingsKeepItAliveAndASilentGatewayIsLeft) {
  LinkNetwork network;
  EndpointOwner client;
  network.open(client, EndpointIdentity::client());
  network.loop.advance(seconds(61));
  EXPECT_EQ(network.gateway->pings, 6);
  EXPECT_FALSE(client.closed.has_value());

  network.gateway->silent = true;
  client.go_on = true;
  network.loop.advance(seconds(21));
  EXPECT_EQ(client.ping_timeouts, 1);
  EXPECT_FALSE(client.closed.has_value()) << "the callback wanted to go on";
  client.go_on = false;
  network.loop.advance(seconds(21));
  EXPECT_EQ(client.ping_timeouts, 2);
  EXPECT_THAT(client.error(), HasSubstr("the gateway did not answer a ping within 10s"));
}

TEST(Endpoint, TheGatewaysDeathEndsEverythingOnce) {
  LinkNetwork network;
  EndpointOwner server, client;
  network.open_server(server, 42);
  network.open(client, EndpointIdentity::client());
  const auto end = network.connect(client, 42);
  VirtualOutcome dial;
  network.gateway->hold_dials = true;
  network.dial(dial, client, 42);
  network.loop.drain();
  client.drop_when_closed = true;
  network.gateway->die(true);
  network.loop.drain();
  EXPECT_THAT(dial.error(), HasSubstr("peer_closed"));
  EXPECT_THAT(end->error(), HasSubstr("peer_closed"));
  EXPECT_THAT(client.error(), HasSubstr("the gateway mem://"));
  EXPECT_TRUE(server.closed && server.ends[0]->closed);
  EXPECT_EQ(end->connection->send(as_bytes("x")).error().code, ErrorCode::peer_closed);
  EXPECT_THAT(end->faults, IsEmpty());
  VirtualOutcome late;
  network.dial(late, server, 1);
  network.loop.drain();
  EXPECT_THAT(late.error(), HasSubstr("local_closed"));
}

TEST(Endpoint, VirtualConnectionsOutliveItAndThenItsConnectionCloses) {
  LinkNetwork network;
  EndpointOwner server, client;
  server.echo = true;
  network.open_server(server, 42);
  network.open(client, EndpointIdentity::client());
  auto end = network.connect(client, 42);
  client.endpoint.reset();
  VirtualOutcome refused;
  network.dial(refused, server, 1);
  EXPECT_TRUE(end->connection->send(as_bytes("still")).has_value());
  network.loop.drain();
  EXPECT_THAT(end->messages, ElementsAre("still"));
  ASSERT_TRUE(refused.result && *refused.result);
  VirtualEnd other(*std::move(*refused.result));
  network.loop.drain();
  EXPECT_TRUE(other.closed.has_value()) << "nobody takes it";
  EXPECT_EQ(network.gateway->connections(), 2);
  EXPECT_TRUE(end->connection->send(as_bytes("last words")).has_value());
  end->connection->close(bye(), {seconds(5)});
  network.loop.drain();
  EXPECT_THAT(end->error(), HasSubstr("bye"));
  EXPECT_THAT(end->messages, ElementsAre("still"));
  EXPECT_THAT(server.ends[0]->messages, ElementsAre("still", "last words"));
  end.reset();
  network.loop.advance(seconds(2));
  EXPECT_EQ(network.gateway->connections(), 1);
}

TEST(Endpoint, ALingerThatTakesTooLongEnds) {
  LinkNetwork network;
  EndpointOwner server, client;
  network.open_server(server, 42);
  network.open(client, EndpointIdentity::client());
  const auto end = network.connect(client, 42);
  network.gateway->silent = true;
  end->connection->close(bye(), {seconds(3)});
  network.loop.advance(seconds(3) - milliseconds(1));
  EXPECT_FALSE(end->closed.has_value());
  network.loop.advance(milliseconds(2));
  EXPECT_THAT(end->error(), HasSubstr("bye"));
}

TEST(Endpoint, AConnectionMayBeDroppedInItsOwnCall) {
  LinkNetwork network;
  EndpointOwner server, client;
  network.open_server(server, 42);
  network.open(client, EndpointIdentity::client());
  const auto end = network.connect(client, 42);
  server.ends[0]->drop_at_message = true;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(end->connection->send(as_bytes("x")).has_value());
  network.loop.drain();
  EXPECT_THAT(server.ends[0]->messages, ElementsAre("x"));
  EXPECT_TRUE(end->closed.has_value());
}

TEST(Endpoint, ManyVirtualConnectionsShareOnePhysical) {
  LinkNetwork network;
  EndpointOwner server, client;
  server.echo = true;
  network.open_server(server, 42);
  network.open(client, EndpointIdentity::client());
  std::vector<VirtualOutcome> dials(1000);
  for (VirtualOutcome& dial : dials) network.dial(dial, client, 42);
  network.loop.drain();
  std::vector<std::unique_ptr<VirtualEnd>> ends;
  for (VirtualOutcome& dial : dials) ends.push_back(std::make_unique<VirtualEnd>(*std::move(*dial.result)));
  for (const auto& end : ends) {
    EXPECT_TRUE(end->connection->send(as_bytes(std::to_string(end->connection->id()))).has_value());
  }
  network.loop.drain();
  for (const auto& end : ends) EXPECT_THAT(end->messages, ElementsAre(std::to_string(end->connection->id())));
  EXPECT_EQ(client.endpoint->virtual_count(), 1000);
  EXPECT_EQ(network.gateway->connections(), 2);
  ends.clear();
  network.loop.drain();
  EXPECT_EQ(network.gateway->virtual_connections(), 0);
  EXPECT_EQ(client.endpoint->virtual_count(), 0);
}

// The path dies without a word: nothing is heard, nothing fails. Only the unanswered ping tells; snet then dials again, and
// nothing that was sent is lost.
TEST(Endpoint, OverSnetADeadPathIsReconnected) {
  MemoryLog log;
  ManualClock clock;
  Loop loop({.clock = &clock});
  auto network = std::make_shared<transport::CuttingTransport>(std::make_shared<transport::MemoryTransport>());
  transport::Transports all;
  all.add("mem", network);
  all.add("snet", std::make_shared<transport::SnetTransport>(&log));
  testing::HandGateway gateway(loop, all, "snet+mem://clients", "snet+mem://servers", "secret");
  EndpointOwner server, client;
  server.echo = true;
  const auto open = [&](EndpointOwner& owner, const std::string& where, EndpointIdentity identity) {
    transport::DialOutcome lower;
    transport::dial_into(lower, all, loop, where);
    loop.drain();
    owner.endpoint = std::make_unique<Endpoint>(*std::move(*lower.result), std::move(identity), EndpointOptions{},
                                                static_cast<EndpointEvents&>(owner));
    loop.drain();
  };
  open(server, "snet+mem://servers", EndpointIdentity::as_server(42, "secret"));
  open(client, "snet+mem://clients", EndpointIdentity::client());
  VirtualOutcome outcome;
  outcome.dial = client.endpoint->dial(
      42, {}, [&](Result<std::unique_ptr<VirtualConnection>> made) { outcome.result = std::move(made); });
  loop.drain();
  VirtualEnd end(*std::move(*outcome.result));
  const std::size_t dials = network->dials;

  network->cut_all(transport::CutPlan::Noticed::by_listener);
  EXPECT_TRUE(end.connection->send(as_bytes("into the void")).has_value());
  loop.advance(seconds(19));
  EXPECT_EQ(network->dials, dials) << "nobody has noticed yet";
  EXPECT_THAT(end.messages, IsEmpty());
  loop.advance(seconds(3));
  EXPECT_EQ(network->dials, dials + 2);
  EXPECT_THAT(end.messages, ElementsAre("into the void"));
  EXPECT_EQ(client.endpoint->counters().reconnects.read(), 1);
  EXPECT_EQ(client.ping_timeouts, 0);
  loop.advance(seconds(60));
  EXPECT_FALSE(end.closed || client.closed || server.closed);
}

struct Score {
  std::string name;
  int points = 0;
};
BOOST_DESCRIBE_STRUCT(Score, (), (name, points))

TEST(Typed, AValueIsOneMessageInItsCodec) {
  LinkNetwork network;
  const framing::CodecRegistry codecs;
  const framing::Codec& json = *codecs.find(framing::kCodecJson);
  EndpointOwner server, client;
  network.open_server(server, 42);
  network.open(client, EndpointIdentity::client());
  const auto end = network.connect(client, 42);
  EXPECT_TRUE(send_value(*end->connection, json, Score{"ann", 7}).has_value());
  network.loop.drain();
  EXPECT_THAT(server.ends[0]->messages, ElementsAre(R"({"name":"ann","points":7})"));
  const Result<Score> score = decode_message<Score>(json, as_bytes(server.ends[0]->messages[0]));
  ASSERT_TRUE(score.has_value());
  EXPECT_EQ(score->points, 7);
  EXPECT_EQ(decode_message<Score>(json, {})->points, 0);
  EXPECT_FALSE(decode_message<Score>(json, as_bytes("[")).has_value());
}

asio::awaitable<void> talk(Endpoint& endpoint, const framing::Codec& json, std::vector<std::string>& said) {
  Result<CoChannel> channel = co_await dial(endpoint, 42, seconds(1));
  EXPECT_TRUE(channel.has_value());
  if (!channel) co_return;
  EXPECT_TRUE((co_await channel->send("hello")).has_value());
  EXPECT_TRUE((co_await channel->send(json, Score{"bob", 3})).has_value());
  for (int i = 0; i < 2; ++i) said.push_back(*co_await channel->receive());
  const Result<Score> score = co_await channel->receive<Score>(json);
  said.push_back(score->name);
  said.push_back((co_await channel->receive()).error().to_string());
}

TEST(CoChannel, ReceivesAndSendsOneByOne) {
  LinkNetwork network;
  const framing::CodecRegistry codecs;
  const framing::Codec& json = *codecs.find(framing::kCodecJson);
  EndpointOwner server, client;
  network.open_server(server, 42);
  network.open(client, EndpointIdentity::client());
  std::vector<std::string> said;
  TaskGroup tasks(network.loop);
  ASSERT_TRUE(tasks.spawn(talk(*client.endpoint, json, said)));
  network.loop.drain();
  ASSERT_EQ(server.ends.size(), 1);
  EXPECT_THAT(server.ends[0]->messages, ElementsAre("hello", R"({"name":"bob","points":3})"));
  for (const char* text : {"a", "b", R"({"name":"eve"})"}) {
    EXPECT_TRUE(server.ends[0]->connection->send(as_bytes(text)).has_value());
  }
  network.loop.drain();
  server.ends[0]->connection->close(bye(), {seconds(1)});
  network.loop.drain();
  EXPECT_THAT(said, ElementsAre("a", "b", "eve", HasSubstr("peer_closed")));
}

}  // namespace
}  // namespace wayport::link
