// The link layer by address, in virtual time, through a gateway by hand.
#include "wayport/transport/link/link_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wayport/transport/link/link_address.h"
#include "wayport/transport/link/link_testing.h"
#include "wayport/transport/link/virtual_stream.h"
#include "wayport/transport/tls/tls_transport.h"

namespace wayport::link {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using transport::Address;
using transport::chain_of;
using transport::DialOutcome;
using transport::Incoming;
using transport::Listener;
using transport::RecordingEvents;

struct Dialed {
  Dialed(LinkNetwork& network, const std::string& where, const transport::DialOptions& options = {}) {
    transport::dial_into(outcome, network.all, network.loop, where, options);
    network.loop.drain();
    if (!outcome.result || !*outcome.result) return;
    stream = *std::move(*outcome.result);
    stream->start(events);
    network.loop.drain();
  }
  void write(std::string_view text, bool message_end = false) { stream->write(chain_of(text), message_end); }

  DialOutcome outcome;
  RecordingEvents events;
  std::unique_ptr<Stream> stream;
};

TEST(LinkTransport, AServerListensAndClientsDialIt) {
  LinkNetwork network;
  LinkServer server(network, network.listening(42));
  EXPECT_EQ(network.link_transport->counters().server_connections.load(), 1);
  Dialed one(network, network.dialing(42)), two(network, network.dialing(42));
  ASSERT_EQ(server.streams.size(), 2) << one.outcome.error();
  one.write("from one");
  two.write("from two");
  server.streams[0]->write(chain_of("to one"));
  network.loop.drain();
  EXPECT_EQ(server.events[0]->received, "from one");
  EXPECT_EQ(server.events[1]->received, "from two");
  EXPECT_EQ(one.events.received, "to one");
  EXPECT_STREQ(one.stream->peer().scheme, "link");
  EXPECT_EQ(dynamic_cast<VirtualStream&>(*one.stream).remote_id(), 42);
  EXPECT_EQ(dynamic_cast<VirtualStream&>(*server.streams[1]).remote_id(), 2);
  EXPECT_EQ(network.gateway->connections(), 3) << "a client has one for each dial, a server one";

  one.stream->close(CloseReason::local(ErrorCode::local_closed, "bye"), {seconds(1)});
  network.loop.advance(seconds(2));
  EXPECT_EQ(server.events[0]->read_ends, 1);
  EXPECT_THAT(to_string(*server.events[0]->closed), HasSubstr("peer_closed"));
  EXPECT_THAT(to_string(*one.events.closed), HasSubstr("bye"));
  EXPECT_EQ(network.gateway->connections(), 2);
  EXPECT_FALSE(two.events.closed.has_value());
  for (const auto* events : {&one.events, &two.events, server.events[0].get()}) EXPECT_THAT(events->faults, IsEmpty());
}

TEST(LinkTransport, AServerDialsClientsOverItsListenersConnection) {
  LinkNetwork network;
  EndpointOwner client;
  client.echo = true;
  network.open(client, EndpointIdentity::client());
  LinkServer server(network, network.listening(42));
  Dialed dialed(network, "link+mem://servers/1?server=42&key_file=" + network.key_file);
  ASSERT_TRUE(dialed.stream) << dialed.outcome.error();
  EXPECT_EQ(network.gateway->connections(), 2) << "one for both";
  dialed.write("hello");
  network.loop.drain();
  EXPECT_EQ(dialed.events.received, "hello");
  // The listener's connection still is the newest of its id.
  Dialed back(network, network.dialing(42));
  EXPECT_EQ(server.streams.size(), 1);
  // Without a listener it has one of its own.
  server.listener.reset();
  network.loop.drain();
  Dialed again(network, "link+mem://servers/1?server=7&key_file=" + network.key_file);
  ASSERT_TRUE(again.stream) << again.outcome.error();
  EXPECT_FALSE(back.events.closed.has_value()) << "streams outlive their listener";
  Dialed refused(network, network.dialing(42));
  if (refused.stream) EXPECT_TRUE(refused.events.closed.has_value());
}

TEST(LinkTransport, EveryWriteThatEndsAMessageIsOneFrame) {
  LinkNetwork network;
  EndpointOwner server;
  network.open_server(server, 42);
  Dialed stream(network, network.dialing(42));
  VirtualEnd& end = *server.ends.at(0);
  const std::string large(200'000, 'm');
  stream.write("one ");
  stream.write("message", true);
  stream.write(large, true);
  stream.write("a ");
  stream.write("tail");
  network.loop.drain();
  EXPECT_THAT(end.messages, ElementsAre("one message", large, "a tail"));
  end.messages.clear();
  // A byte stream leaves in frames of 64 KiB, and a message that no frame can hold in several.
  stream.write(std::string(100'000, 's'));
  network.loop.drain();
  ASSERT_EQ(end.messages.size(), 2);
  EXPECT_EQ(end.messages[0].size(), VirtualStream::kFrameBytes);
  end.messages.clear();
  stream.write(std::string(600'000, 'x'), true);
  network.loop.drain();
  ASSERT_EQ(end.messages.size(), 2);
  EXPECT_EQ(end.messages[0].size(), 512 * 1024 - 4);
  // The other way: each message is shown with its end, an empty one not at all.
  EXPECT_TRUE(end.connection->send(as_bytes("abc")).has_value());
  EXPECT_TRUE(end.connection->send(Bytes()).has_value());
  EXPECT_TRUE(end.connection->send(as_bytes("de")).has_value());
  network.loop.drain();
  EXPECT_EQ(stream.events.received, "abcde");
  EXPECT_EQ(stream.events.message_ends, 2);
}

TEST(LinkTransport, UnconsumedBytesAreShownAgainInFrontOfTheNextMessage) {
  LinkNetwork network;
  EndpointOwner server;
  network.open_server(server, 42);
  Dialed stream(network, network.dialing(42));
  stream.events.consume = [](MutableBytes bytes) { return bytes.size() / 4 * 4; };
  for (const char* text : {"abc", "defgh", "i"}) {
    EXPECT_TRUE(server.ends[0]->connection->send(as_bytes(text)).has_value());
  }
  network.loop.drain();
  EXPECT_EQ(stream.events.received, "abcdefgh");
  EXPECT_THAT(stream.events.shown, ElementsAre(3, 8, 1));
}

TEST(LinkTransport, AnUnreadStreamPausesItsClientAndLosesNothing) {
  LinkNetwork network(transport::MemoryOptions{.window_bytes = 64 * 1024});
  LinkServer server(network, network.listening(42));
  Dialed client(network, network.dialing(42));
  client.stream->read(false);
  const std::string block(50'000, 'b');
  std::size_t sent = 0;
  for (int i = 0; i < 60; ++i) {
    server.streams[0]->write(chain_of(block));
    sent += block.size();
    network.loop.drain();
  }
  network.loop.advance(seconds(120));
  EXPECT_FALSE(client.events.closed.has_value()) << to_string(*client.events.closed);
  EXPECT_EQ(client.events.received.size(), 0);
  client.stream->read(true);
  network.loop.advance(seconds(1));
  EXPECT_EQ(client.events.received.size(), sent);
}

TEST(LinkTransport, WhatAnUnreadStreamReceivedComesBeforeItsEnd) {
  LinkNetwork network;
  LinkServer server(network, network.listening(42));
  Dialed client(network, network.dialing(42));
  client.stream->read(false);
  server.streams[0]->write(chain_of("last words"));
  server.streams[0]->close(CloseReason::local(ErrorCode::local_closed, "bye"), {seconds(1)});
  network.loop.drain();
  EXPECT_TRUE(server.events[0]->closed.has_value());
  EXPECT_EQ(client.events.read_ends, 0);
  client.stream->read(true);
  network.loop.drain();
  EXPECT_EQ(client.events.received, "last words");
  EXPECT_EQ(client.events.read_ends, 1);
  EXPECT_TRUE(client.events.closed.has_value());
  EXPECT_THAT(client.events.faults, IsEmpty());
}

TEST(LinkTransport, BackPressureReachesTheWriterAndLeavesIt) {
  LinkNetwork network(transport::MemoryOptions{.latency = milliseconds(1), .window_bytes = 64 * 1024});
  LinkServer server(network, network.listening(42));
  network.loop.advance(milliseconds(50));
  Dialed client(network, network.dialing(42));
  network.loop.advance(milliseconds(50));
  ASSERT_TRUE(client.outcome.done() && *client.outcome.result) << client.outcome.error();
  client.stream = *std::move(*client.outcome.result);
  client.stream->start(client.events);
  std::size_t sent = 0;
  while (client.stream->write(chain_of(std::string(50'000, 'w'))) == Pressure::none) sent += 50'000;
  sent += 50'000;
  EXPECT_LT(sent, 1'000'000);
  network.loop.advance(seconds(1));
  EXPECT_EQ(client.events.writables, 1);
  EXPECT_EQ(server.events.at(0)->received.size(), sent);
  EXPECT_EQ(client.stream->queued(), 0);
  // The hard bound, and a lingering close that has much to send.
  client.write(std::string(3'000'000, 'z'));
  client.stream->close(CloseReason::local(ErrorCode::local_closed, "bye"), {seconds(10)});
  network.loop.advance(seconds(5));
  EXPECT_EQ(server.events[0]->received.size(), sent + 3'000'000);
  EXPECT_TRUE(client.events.closed.has_value());
}

TEST(LinkTransport, TooMuchToQueueIsOverloaded) {
  LinkNetwork network;
  LinkServer server(network, network.listening(42));
  transport::DialOptions options;
  options.stream.queue_bytes_max = 1'000'000;
  Dialed client(network, network.dialing(42), options);
  client.write(std::string(1'000'000, 'x'));
  EXPECT_FALSE(client.events.closed.has_value());
  client.write("x");
  network.loop.drain();
  EXPECT_THAT(to_string(*client.events.closed), HasSubstr("queue_bytes_max 1000000"));
}

TEST(LinkTransport, TlsRunsInsideAndTheGatewaySeesOnlyCiphertext) {
  LinkNetwork network;
  network.all.add("tls", std::make_shared<transport::TlsTransport>(&network.log));
  const transport::TestAuthority authority;
  const transport::IssuedCertificate issued = authority.issue({.dns_names = {"game"}});
  const std::string ca = network.directory.write("ca.pem", authority.cert_pem());
  const std::string cert = network.directory.write("cert.pem", issued.cert_pem + issued.key_pem);
  LinkServer server(network, "tls+" + network.listening(42, "&cert=" + cert));
  Dialed client(network, "tls+" + network.dialing(42, "?name=game&ca=" + ca));
  ASSERT_TRUE(client.stream) << client.outcome.error();
  client.write("secret thing");
  network.loop.drain();
  ASSERT_EQ(server.events.size(), 1);
  EXPECT_EQ(server.events[0]->received, "secret thing");
  EXPECT_TRUE(client.stream->peer().tls->verified);
  Dialed stranger(network, "tls+" + network.dialing(42, "?name=other&ca=" + ca));
  EXPECT_THAT(stranger.outcome.error(), HasSubstr("refused"));
}

TEST(LinkTransport, ADialFailsWithItsReason) {
  LinkNetwork network;
  EXPECT_THAT(Dialed(network, network.dialing(7)).outcome.error(),
              HasSubstr("refused: link dial of link+mem://clients/7: the gateway has no server 7"));
  EXPECT_THAT(Dialed(network, "link+mem://nowhere/7").outcome.error(), HasSubstr("nobody listens"));
  const std::string wrong = network.directory.write("wrong", "guess");
  EXPECT_THAT(Dialed(network, "link+mem://servers/1?server=7&key_file=" + wrong).outcome.error(),
              HasSubstr("is the key of server 7 the gateway's?"));
  network.gateway->hold_dials = true;
  Dialed slow(network, network.dialing(7), {.timeout = seconds(2)});
  network.loop.advance(seconds(2) + milliseconds(2));
  EXPECT_THAT(slow.outcome.error(),
              HasSubstr("timed_out: link dial of link+mem://clients/7: no answer of the gateway"));
  Dialed canceled(network, network.dialing(7));
  canceled.outcome.dial.reset();
  network.loop.advance(seconds(30));
  EXPECT_FALSE(canceled.outcome.done());
  slow.outcome.dial.reset();
  network.loop.advance(seconds(3));
  EXPECT_EQ(network.gateway->connections(), 0) << "nothing is left of any";
}

TEST(LinkTransport, AListenerComesBackWhenItsGatewayDoes) {
  LinkNetwork network;
  transport::ListenOptions options;
  options.log = &network.log;
  LinkServer server(network, network.listening(42), options);
  Dialed before(network, network.dialing(42));
  network.gateway->die(false);
  network.loop.drain();
  EXPECT_TRUE(before.events.closed && server.events[0]->closed);
  EXPECT_EQ(network.gateway->connections(), 0);
  network.loop.advance(milliseconds(105));
  EXPECT_EQ(network.link_transport->counters().server_connections.load(), 2);
  Dialed after(network, network.dialing(42));
  EXPECT_TRUE(after.stream) << after.outcome.error();
  EXPECT_EQ(network.log.count("link server not connected"), 1);
  // For a long time nobody is there.
  network.gateway->die(true);
  network.loop.advance(seconds(60));
  network.gateway =
      std::make_unique<testing::HandGateway>(network.loop, network.all, "mem://clients", "mem://servers", "secret");
  network.loop.advance(seconds(11));
  EXPECT_TRUE(Dialed(network, network.dialing(42)).stream);
}

TEST(LinkTransport, APausedListenerKeepsABacklog) {
  LinkNetwork network;
  transport::ListenOptions options;
  options.backlog = 2;
  LinkServer server(network, network.listening(42), options);
  server.listener->pause(true);
  Dialed one(network, network.dialing(42)), two(network, network.dialing(42)), three(network, network.dialing(42));
  EXPECT_THAT(server.streams, IsEmpty());
  EXPECT_TRUE(three.events.closed.has_value()) << "the backlog is full";
  one.write("early");
  network.loop.drain();
  bool done = false;
  server.listener->finish([&] { done = true; });
  network.loop.drain();
  EXPECT_TRUE(done);
  ASSERT_EQ(server.streams.size(), 2);
  EXPECT_EQ(server.events[0]->received, "early");
  Dialed late(network, network.dialing(42));
  EXPECT_TRUE(!late.stream || late.events.closed.has_value());
}

TEST(LinkTransport, OneIdListensOnceAndOnItsOwnLoop) {
  LinkNetwork network;
  LinkServer server(network, network.listening(42));
  const auto listen = [&](const transport::ListenOptions& options) {
    const auto made = network.all.listen(network.loop, *Address::parse(network.listening(42)), options);
    return made ? std::string() : made.error().to_string();
  };
  EXPECT_THAT(listen({}), HasSubstr("refused: link address"));
  Loop other({.clock = &network.clock});
  transport::ListenOptions elsewhere;
  elsewhere.loops = {&other};
  EXPECT_THAT(listen(elsewhere), HasSubstr("ListenOptions::loops must have the listener's own loop"));
  DialOutcome outcome;
  transport::dial_into(outcome, network.all, other, "link+mem://servers/1?server=42&key_file=" + network.key_file);
  other.drain();
  EXPECT_THAT(outcome.error(), HasSubstr("on another loop of this process"));
}

TEST(LinkAddress, SaysWhoIsDialedAndWhatIsBelow) {
  const auto dial = [](const std::string& text) { return LinkAddress::for_dial(*Address::parse(text)); };
  const auto below = [&](const std::string& text) {
    const Result<LinkAddress> link = dial(text);
    return link ? link->below.to_string() : link.error().to_string();
  };
  EXPECT_EQ(below("link+tcp://gw:7001/42"), "tcp://gw:7001");
  EXPECT_EQ(below("link://gw:7001/42?ping=5s&nodelay=0"), "tcp://gw:7001?nodelay=0");
  EXPECT_EQ(below("link+snet+tls://gw:1/4294967295?wait=5s&ca=x"), "snet+tls://gw:1?wait=5s&ca=x");
  EXPECT_EQ(below("link+unix:///run/gw.sock/0"), "unix:///run/gw.sock");
  EXPECT_EQ(below("link+unix://@gw/7"), "unix://@gw");
  EXPECT_EQ(below("link+x://gw/2?key_file=a"), "x://gw?key_file=a") << "a client has no key";
  EXPECT_EQ(below("link+x://gw/2?server=1&key_file=a&key_file=b"), "x://gw?key_file=b");
  EXPECT_EQ(dial("link+tcp://gw/2?server=1&key_file=a&key_file=b")->key_file, "a");
  for (const char* bad : {"link+tcp://gw:1", "link+tcp://gw:1/", "link+tcp://gw:1/x", "link+tcp://gw:1/4294967296",
                          "link+tcp://gw:1/-1", "link+tcp://gw:1/1x"}) {
    EXPECT_THAT(below(bad), HasSubstr("the path's end must be an id")) << bad;
  }
  EXPECT_THAT(below("link+tcp://gw/1?server=1"), HasSubstr("key_file is needed to be a server"));
  EXPECT_THAT(below("link+tcp://gw/1?ping=30s"), HasSubstr("gateway's idle time-out"));
  EXPECT_THAT(below("link+tcp://gw/1?ping=31m&idle=0"), HasSubstr("ping_interval 31m0s"));
  EXPECT_THAT(below("link+tcp://gw/1?ping=1s&ping=2s"), HasSubstr("given twice"));
  EXPECT_THAT(below("link+tcp://gw/1?slow=wait"), HasSubstr("close, pause or cut"));
  EXPECT_THAT(below("link+tcp://gw/1?queue=1KiB"), HasSubstr("virtual_receive.bytes_max 1024"));
  const Result<LinkAddress> listen = LinkAddress::for_listen(*Address::parse("link+tcp://gw/9?key_file=k"));
  EXPECT_EQ(listen->server_id, 9);
  EXPECT_EQ(listen->options.receive_policy, EndpointOptions::Slow::close);
  EXPECT_EQ(dial("link+tcp://gw/9")->options.receive_policy, EndpointOptions::Slow::pause);
  EXPECT_FALSE(LinkAddress::for_listen(*Address::parse("link+tcp://gw/9")).has_value());
  EXPECT_FALSE(LinkAddress::for_listen(*Address::parse("link+tcp://gw/9?key_file=k&server=1")).has_value());
}

TEST(LinkAddress, TheKeyIsReadWithoutItsLineBreak) {
  const transport::TestDirectory directory;
  const auto key = [&](const std::string& content) {
    LinkAddress link;
    link.server = true;
    link.key_file = directory.write("key", content);
    const Result<EndpointIdentity> identity = link.identity();
    return identity ? identity->key : identity.error().to_string();
  };
  EXPECT_EQ(key("secret\n"), "secret");
  EXPECT_EQ(key("secret\r\n"), "secret");
  EXPECT_EQ(key(" two\nlines"), " two\nlines");
  EXPECT_EQ(key(""), "");
  EXPECT_EQ(key(std::string(LinkAddress::kKeyBytesMax, 'k')).size(), LinkAddress::kKeyBytesMax);
  EXPECT_THAT(key(std::string(LinkAddress::kKeyBytesMax + 1, 'k')), HasSubstr("too_large"));
  LinkAddress missing;
  missing.server = true;
  missing.key_file = directory.path() + "/none";
  EXPECT_THAT(missing.identity().error().to_string(), HasSubstr("key_file"));
}

}  // namespace
}  // namespace wayport::link
