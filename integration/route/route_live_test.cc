// What only shows between processes' sockets: resets, websocket requests as browsers make them, half-open clients by the
// thousand, targets that an attacker would like, tokens, tables, reloads under traffic.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/framing/base64.h"
#include "wayport/gateway/route/default_resolvers.h"
#include "wayport/gateway/route/jwt_resolver.h"
#include "wayport/integration/route/live_route.h"

namespace wayport::route {
namespace {

using namespace std::chrono_literals;
using testing::Backend;
using testing::End;
using ::testing::HasSubstr;
using testing::LiveRoute;
using testing::pattern;

const std::string kOk("\2\0\0\0ok", 6);

RouteOptions tcp_route() {
  RouteOptions route;
  route.listen = {"tcp://127.0.0.1:0"};
  route.allow = {"127.0.0.0/8:*"};
  route.dial_retry = 0;
  return route;
}
std::string frame(std::string_view identify) {
  Chain chain;
  EXPECT_TRUE(write_identify(chain, identify));
  return chain.to_string();
}
std::uint16_t port_of(const std::string& address) { return transport::Address::parse(address).value().port(); }

TEST(RouteLive, TargetsThatAnAttackerWouldLikeAreAnsweredByErrorAndNothingIsDialed) {
  RouteOptions route = tcp_route();
  route.allow = {"0.0.0.0/0:*", "[::]/0:*", "*:* public"};
  route.open_relay = true;
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
  const std::string port = std::to_string(backend.port());
  const std::vector<std::string> targets = {
      "127.0.0.1:" + port,
      "127.8.8.8:" + port,
      "0.0.0.0:" + port,
      "[::1]:" + port,
      "[::]:" + port,
      "[::ffff:127.0.0.1]:" + port,
      "[64:ff9b::7f00:1]:" + port,
      "localhost:" + port,
      "169.254.169.254:80",
      "[fe80::1]:80",
      "224.0.0.1:80",
      "255.255.255.255:80",
      "127.1:" + port,
      "2130706433:" + port,
      "0x7f000001:" + port,
      "user@127.0.0.1:" + port,
      "127.0.0.1:" + port + "\r\n",
  };
  for (const std::string& target : targets) {
    const std::unique_ptr<End> client = live.raw();
    client->send(frame(target));
    ASSERT_TRUE(live.becomes([&] { return client->events.read_ends == 1 || client->over(); })) << target;
    EXPECT_EQ(client->events.received, kErrorAnswer) << target;
  }
  EXPECT_EQ(backend.ends.size(), 0u);
  EXPECT_EQ(live.refused(RouteError::forbidden) + live.refused(RouteError::bad_request), targets.size());
  EXPECT_EQ(live.log.count("OPEN RELAY"), 1u);
}

TEST(RouteLive, TheGatewaysOwnAddressIsNoBackendThoughARuleAllowsAllOfTheLoopback) {
  RouteOptions route = tcp_route();
  route.listen.push_back("ws://127.0.0.1:0");
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
  const auto answer = [&](const std::string& target) {
    const std::unique_ptr<End> client = live.raw();
    client->send(frame(target));
    const std::string& got = client->events.received;
    EXPECT_TRUE(live.becomes([&] { return got == kOk || got == kErrorAnswer; })) << target;
    return client->events.received;
  };
  EXPECT_EQ(answer(backend.target()), kOk) << "the rule allows it";
  std::uint64_t refused = 0;
  for (const std::string& address : live.gateway.addresses()) {
    const std::string own = "127.0.0.1:" + std::to_string(port_of(address));
    EXPECT_EQ(answer(own), kErrorAnswer) << own;
    ++refused;
    EXPECT_TRUE(live.becomes([&] { return live.refused(RouteError::forbidden) == refused; })) << own;
  }
  EXPECT_TRUE(live.becomes([&] { return live.log.count("where this gateway listens") >= 1; }));
  EXPECT_EQ(live.sum(&RouteCounters::joined), 1u);
}

TEST(RouteLive, AClientThatResetsDuringTheDialCancelsIt) {
  RouteOptions route = tcp_route();
  // Accepts, and does not shake hands: the dial hangs.
  route.backend_transport = "tls?insecure=1";
  route.dial_timeout = 1min;
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  Backend hangs(live.all, live.loop, "tcp://127.0.0.1:0");
  std::unique_ptr<End> client = live.raw();
  client->send(frame(hangs.target()));
  ASSERT_TRUE(live.becomes([&] { return hangs.ends.size() == 1 && !hangs.last().events.received.empty(); }));
  EXPECT_EQ(live.gateway.connection_count(), 1u);
  for (int i = 0; i < 10 && client->stream->queued() != 0; ++i) live.loop.run_turn(1ms);
  std::optional<Fd> fd = client->stream->detach();
  ASSERT_TRUE(fd);
  const linger hard{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd->get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  fd->reset();
  ASSERT_TRUE(live.becomes([&] { return live.gateway.connection_count() == 0; }));
  EXPECT_EQ(live.sum(&RouteCounters::dials_canceled), 1u);
  EXPECT_EQ(live.sum(&RouteCounters::gone), 1u);
  ASSERT_TRUE(live.becomes([&] { return hangs.last().over() || hangs.last().events.read_ends == 1; }));
}

TEST(RouteLive, AThousandHalfOpenClientsAreHeldAndMoreAreTurnedAwayUntilSomeLeave) {
  RouteOptions route = tcp_route();
  route.limits.handshakes_max = 1000;
  route.limits.source_handshakes_max = 0;
  // Longer than this test, however slow the machine.
  route.connect_timeout = 1h;
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
  const std::unique_ptr<End> before = live.client(backend.target());
  ASSERT_TRUE(live.becomes([&] { return live.sum(&RouteCounters::handshakes) == 0; }));
  std::vector<std::unique_ptr<End>> silent;
  for (int i = 0; i < 1000; ++i) {
    silent.push_back(live.raw());
    silent.back()->send(std::string("\x0e\0\0", 3));
  }
  ASSERT_TRUE(live.becomes([&] { return live.sum(&RouteCounters::handshakes) == 1000; }));
  EXPECT_EQ(live.refused(RouteError::overloaded), 0u);
  const std::unique_ptr<End> more = live.raw();
  ASSERT_TRUE(live.becomes([&] { return more->over() || more->events.read_ends == 1; }));
  EXPECT_EQ(more->events.received, "");
  ASSERT_TRUE(live.becomes([&] { return live.refused(RouteError::overloaded) == 1; }));
  // Whoever is joined already is not disturbed.
  before->send("still");
  ASSERT_TRUE(live.becomes([&] { return backend.ends[0]->events.received == "still"; }));
  silent.resize(500);
  ASSERT_TRUE(live.becomes([&] { return live.sum(&RouteCounters::handshakes) == 500; }));
  const std::unique_ptr<End> after = live.client(backend.target());
  ASSERT_TRUE(live.becomes([&] { return live.sum(&RouteCounters::relays) == 2; }));
}

// One address that is silent, in TLS and in HTTP, cannot fill a listener.
TEST(RouteLive, SilentClientsOfOneAddressAreBoundedBeforeTheirHandshakesToo) {
  for (const std::string& listen : {std::string("ws://127.0.0.1:0"), "tls://127.0.0.1:0?" + testing::tls().listen,
                                    "wss://127.0.0.1:0?" + testing::tls().listen, std::string("tcp://127.0.0.1:0")}) {
    SCOPED_TRACE(listen.substr(0, 3));
    const bool layered = !listen.starts_with("tcp");
    RouteOptions route = tcp_route();
    route.listen = {listen};
    route.limits.handshakes_max = 10;
    route.limits.source_handshakes_max = 5;
    route.connect_timeout = 1h;
    LiveRoute live({.routes = {route}});
    ASSERT_EQ(live.failed, "");
    Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
    std::vector<std::unique_ptr<End>> silent;
    for (int i = 0; i < 10; ++i) silent.push_back(live.raw());
    const auto gone = [&] {
      return std::ranges::count_if(silent, [](const auto& one) { return one->over() || one->events.read_ends == 1; });
    };
    ASSERT_TRUE(live.becomes([&] { return gone() == 5; })) << gone();
    const auto admission = live.gateway.routes().at(0).admission;
    EXPECT_EQ(admission->handshakes.read(), 5);
    EXPECT_EQ(admission->refused_source_handshakes.read(), 5u);
    EXPECT_EQ(live.refused(RouteError::overloaded), 5u);
    EXPECT_EQ(live.gateway.listener_counters().handshakes_refused.load(), layered ? 5u : 0u);
    EXPECT_GE(live.log.count("127.0.0.1 has 5 handshakes"), 1u);
    // A place that is given back is somebody's, through every handshake.
    silent.clear();
    ASSERT_TRUE(live.becomes([&] { return admission->handshakes.read() == 0; }));
    const std::unique_ptr<End> client = live.client(backend.target());
    ASSERT_TRUE(live.becomes([&] { return live.sum(&RouteCounters::relays) == 1; }));
    EXPECT_EQ(admission->admitted.read(), 6u);
    EXPECT_EQ(admission->handshakes.read(), 0);
    EXPECT_EQ(admission->connections.read(), 1);
  }
}

TEST(RouteLive, ARoutesOwnLimitHoldsForHandshakesOfTransports) {
  RouteOptions route = tcp_route();
  route.listen = {"ws://127.0.0.1:0"};
  route.limits.handshakes_max = 5;
  route.connect_timeout = 1h;
  LiveRoute live({.routes = {route}, .listen_options = {.handshakes_max = 2}});
  ASSERT_EQ(live.failed, "");
  std::vector<std::unique_ptr<End>> silent;
  for (int i = 0; i < 6; ++i) silent.push_back(live.raw());
  ASSERT_TRUE(live.becomes([&] {
    return std::ranges::any_of(silent, [](const auto& one) { return one->over() || one->events.read_ends == 1; });
  }));
  EXPECT_EQ(live.gateway.routes().at(0).admission->handshakes.read(), 5);
  EXPECT_EQ(live.gateway.listener_counters().handshakes_refused.load(), 1u);
}

TEST(RouteLive, TimeFreesWhatHalfOpenClientsHold) {
  RouteOptions route = tcp_route();
  route.limits.handshakes_max = 50;
  route.limits.source_handshakes_max = 0;
  route.connect_timeout = 300ms;
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
  std::vector<std::unique_ptr<End>> silent;
  for (int i = 0; i < 50; ++i) {
    silent.push_back(live.raw());
    silent.back()->send(std::string("\x0e\0\0", 3));
  }
  ASSERT_TRUE(live.becomes([&] { return live.sum(&RouteCounters::identify_timeouts) == 50; }));
  ASSERT_TRUE(live.becomes([&] { return live.sum(&RouteCounters::handshakes) == 0; }));
  ASSERT_TRUE(live.becomes([&] {
    return std::ranges::all_of(silent, [](const auto& one) { return one->over() || one->events.read_ends == 1; });
  }));
}

TEST(RouteLive, ABackendThatDoesNotReadCostsABoundedAmountOfMemory) {
  RouteOptions route = tcp_route();
  route.listen = {"tcp://127.0.0.1:0?rcvbuf=65536", "ws://127.0.0.1:0?rcvbuf=65536"};
  route.backend_transport = "tcp?sndbuf=65536";
  route.relay_high_water_bytes = 128 << 10;
  route.relay_low_water_bytes = 32 << 10;
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0?rcvbuf=65536");
  backend.reads = false;
  for (std::size_t listener = 0; listener < 2; ++listener) {
    const std::unique_ptr<End> client = live.client(backend.target(), listener, "sndbuf=65536");
    const std::string bytes = pattern(32u << 20, 5);
    client->send(bytes);
    std::string queues;
    for (std::size_t before = 0; before == 0 || client->stream->queued() != before;) {
      before = client->stream->queued();
      for (int i = 0; i < 20; ++i) live.loop.run_turn(5ms);
    }
    queues = live.gateway.dump(RouteDump::queues);
    ASSERT_THAT(queues, HasSubstr("unsent_to_backend="));
    EXPECT_LE(std::stoul(queues.substr(queues.find("unsent_to_backend=") + 18)), (128u << 10) + (512u << 10)) << queues;
    EXPECT_GT(client->stream->queued(), 28u << 20);
    End& slow = backend.last();
    slow.stream->read(true);
    ASSERT_TRUE(live.becomes([&] { return client->stream->queued() == 0; }));
    ASSERT_TRUE(live.becomes([&] { return slow.events.received.size() >= bytes.size(); }));
    EXPECT_TRUE(
        (listener == 0 ? slow.events.received : testing::without_prefixes(slow.events.received)).starts_with(bytes));
  }
}

TEST(RouteLive, PlainSocketsAreLeftToTheKernelOnceTheyMoveInBulk) {
  RouteOptions route = tcp_route();
  route.zero_copy = true;
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
  const std::unique_ptr<End> bulk = live.client(backend.target());
  const std::unique_ptr<End> small = live.client(backend.target());
  const std::string bytes = pattern(16u << 20, 9);
  bulk->send(bytes);
  small->send("small");
  ASSERT_TRUE(live.becomes([&] { return backend.ends.at(0)->events.received.size() == bytes.size(); }));
  EXPECT_TRUE(backend.ends[0]->events.received == bytes);
  ASSERT_TRUE(live.becomes([&] { return live.sum(&RouteCounters::splicing) == 1; }));
  EXPECT_THAT(live.gateway.dump(RouteDump::connections), HasSubstr("mode=splice"));
  for (const std::unique_ptr<End>& end : backend.ends) {
    end->send("done");
    end->stream->shutdown_write();
  }
  bulk->stream->shutdown_write();
  small->stream->shutdown_write();
  ASSERT_TRUE(live.becomes([&] { return live.gateway.connection_count() == 0; }));
  ASSERT_TRUE(live.becomes([&] { return bulk->over() && small->over(); }));
  EXPECT_EQ(bulk->events.received, "done");
  EXPECT_EQ(small->events.received, "done");
  EXPECT_EQ(live.sum(&RouteCounters::splicing), 0);
  EXPECT_EQ(live.sum(&RouteCounters::joined_spliced), 1u);
  EXPECT_EQ(live.sum(&RouteCounters::bytes_from_clients), bytes.size() + 5);
  EXPECT_GT(live.sum(&RouteCounters::bytes_spliced), 8u << 20);
  EXPECT_EQ(live.log.count("mode=splice"), 1u);
  EXPECT_EQ(live.log.count("mode=copy"), 1u);
}

TEST(RouteLive, TheBackendIsToldWhoTheClientIs) {
  RouteOptions route = tcp_route();
  route.proxy_protocol = ProxyProtocol::v1;
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
  const std::unique_ptr<End> client = live.client(backend.target());
  client->send("GET");
  const std::string header = "PROXY TCP4 127.0.0.1 127.0.0.1 " + std::to_string(client->stream->peer().local.port()) +
                             " " + std::to_string(port_of(live.gateway.addresses()[0])) + "\r\n";
  ASSERT_TRUE(live.becomes([&] { return backend.last().events.received.size() >= header.size() + 3; }));
  EXPECT_EQ(backend.last().events.received, header + "GET");
}

TEST(RouteLive, AWebsocketClientIsRefusedBeforeItsUpgradeByAStatus) {
  RouteOptions route = tcp_route();
  route.listen = {"ws://127.0.0.1:0"};
  route.websocket.paths = {{"/fixed", "127.0.0.1:1"}};
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  const auto status = [&](const std::string& target, const std::string& headers) {
    const std::unique_ptr<End> client = live.raw();
    client->send("GET " + target +
                 " HTTP/1.1\r\nHost: gate\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                 headers + "\r\n");
    EXPECT_TRUE(live.becomes([&] { return client->events.received.find("\r\n\r\n") != std::string::npos; }));
    return client->events.received;
  };
  EXPECT_THAT(status("/", ""), HasSubstr("HTTP/1.1 400 "));
  EXPECT_THAT(status("/", "Server-Identify: no target\r\n"), HasSubstr("HTTP/1.1 400 "));
  EXPECT_THAT(status("/", "server-identify: " + std::string(5000, 'x') + "\r\n"), HasSubstr("HTTP/1.1 400 "));
  // What the allow list refuses looks like a backend that refuses.
  const std::string forbidden = status("/", "server-identify: 192.0.2.1:80\r\n");
  const std::string refused = status("/", "server-identify: 127.0.0.1:1\r\n");
  EXPECT_THAT(refused, HasSubstr("HTTP/1.1 502 "));
  EXPECT_EQ(forbidden, refused);
  EXPECT_EQ(status("/fixed", "server-identify: 192.0.2.1:80\r\n"), refused) << "the path decides";
  EXPECT_EQ(live.refused(RouteError::forbidden), 1u);
  EXPECT_EQ(live.refused(RouteError::dial_refused), 2u);
  ASSERT_TRUE(live.becomes([&] { return live.gateway.connection_count() == 0; }));
}

TEST(RouteLive, ABrowserNamesTheBackendBySubprotocolQueryOrPath) {
  RouteOptions route = tcp_route();
  route.listen = {"ws://127.0.0.1:0"};
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
  route.websocket.paths = {{"/orders", backend.target()}};
  ASSERT_TRUE(live.gateway.reload({route}));
  const std::string at = "ws://127.0.0.1:" + std::to_string(port_of(live.gateway.addresses()[0]));
  std::string encoded;
  {
    const std::string text = backend.target();
    encoded.resize(framing::base64_size(text.size()));
    framing::write_base64(encoded.data(), as_bytes(text));
    std::ranges::replace(encoded, '+', '-');
    std::ranges::replace(encoded, '/', '_');
    while (encoded.ends_with('=')) encoded.pop_back();
  }
  for (const std::string& url : {at + "/?messages=1&protocol=identify." + encoded + "&protocol=chat",
                                 at + "/?messages=1&query=server-identify%3D" + backend.target(),
                                 at + "/orders?messages=1", at + "/orders?messages=1&protocol=chat"}) {
    transport::DialOutcome outcome;
    transport::dial_into(outcome, live.all, live.loop, url);
    ASSERT_TRUE(live.becomes([&] { return outcome.done(); })) << url;
    ASSERT_TRUE(*outcome.result) << url << ": " << outcome.error();
    End client;
    client.stream = *std::move(*outcome.result);
    client.stream->start(client.events);
    if (url.find("protocol=identify") != std::string::npos) {
      EXPECT_EQ(client.stream->peer().http->subprotocol, "identify." + encoded);
    }
    ASSERT_TRUE(live.becomes([&] { return client.events.message_ends == 1; })) << url;
    EXPECT_EQ(client.events.received, "ok") << "one message, without a length";
    client.stream->write(transport::chain_of("hello"), true);
    client.stream->write({}, true);
    ASSERT_TRUE(live.becomes([&] { return backend.last().events.received.size() >= 13; })) << url;
    EXPECT_EQ(backend.last().events.received, std::string("\5\0\0\0hello\0\0\0\0", 13));
  }
}

TEST(RouteLive, MessagesGoToTheBackendAsTheyAreIfTheRouteSaysSo) {
  RouteOptions route = tcp_route();
  route.listen = {"ws://127.0.0.1:0"};
  route.websocket.length_prefix = false;
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
  const std::unique_ptr<End> client = live.client(backend.target());
  client->send("hello");
  ASSERT_TRUE(live.becomes([&] { return !backend.ends.empty() && backend.last().events.received.size() >= 5; }));
  EXPECT_EQ(backend.last().events.received, "hello");
  backend.last().send("world");
  ASSERT_TRUE(live.becomes([&] { return client->events.received == "world"; }));
}

TEST(RouteLive, AReloadNeverTakesASocketFromKcpSessions) {
  RouteOptions route = tcp_route();
  route.listen = {"kcp://127.0.0.1:0"};
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  const std::string at = live.gateway.addresses()[0];
  route.connect_timeout = 7s;
  EXPECT_TRUE(live.gateway.reload({route})) << "bounds of the listener stay";
  route.listen = {at + "?fec=10,3"};
  const Result<void> reloaded = live.gateway.reload({route});
  ASSERT_FALSE(reloaded);
  EXPECT_THAT(reloaded.error().detail, HasSubstr("its sessions share the socket"));
  EXPECT_EQ(live.gateway.addresses()[0], at);
}

TEST(RouteLive, AReloadUnderTrafficLosesNobody) {
  RouteOptions route = tcp_route();
  LiveRoute live({.routes = {route}});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
  const std::unique_ptr<End> client = live.client(backend.target());
  const std::string bytes = pattern(8u << 20, 7);
  client->send(bytes);
  const std::vector<std::string> before = live.gateway.addresses();
  // The same port with other parameters, which is a new listener on the same socket.
  route.listen = {before[0] + "?keepalive=10s"};
  route.allow = {"127.0.0.1:1"};
  ASSERT_TRUE(live.gateway.reload({route}));
  EXPECT_EQ(port_of(live.gateway.addresses()[0]), port_of(before[0]));
  EXPECT_THAT(live.refusal(backend.target()), HasSubstr("refused"));
  route.allow = {"127.0.0.0/8:*"};
  route.listen.push_back("tcp://127.0.0.1:0");
  ASSERT_TRUE(live.gateway.reload({route}));
  const std::unique_ptr<End> second = live.client(backend.target(), 1);
  const Result<void> reloaded = live.gateway.reload({[&] {
    RouteOptions bad = route;
    bad.listen = {"tcp://127.0.0.1:" + std::to_string(backend.port())};
    return bad;
  }()});
  EXPECT_FALSE(reloaded) << "somebody else listens there";
  const std::unique_ptr<End> third = live.client(backend.target());
  ASSERT_TRUE(live.becomes([&] { return backend.ends[0]->events.received.size() == bytes.size(); }));
  EXPECT_TRUE(backend.ends[0]->events.received == bytes);
  const std::string first = live.gateway.addresses()[0];
  route.listen.erase(route.listen.begin());
  route.listen[0] = live.gateway.addresses()[1];
  ASSERT_TRUE(live.gateway.reload({route}));
  transport::DialOutcome outcome;
  transport::dial_into(outcome, live.all, live.loop, "tcp://127.0.0.1:" + std::to_string(port_of(first)));
  ASSERT_TRUE(live.becomes([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.error(), HasSubstr("refused"));
  EXPECT_EQ(live.sum(&RouteCounters::relays), 3);
}

TEST(RouteLive, ATableNamesBackendsWithTransportsOfTheirOwn) {
  RouteOptions route = tcp_route();
  LiveRoute around({.routes = {route}});
  Backend plain(around.all, around.loop, "tcp://127.0.0.1:0");
  Backend secure(around.all, around.loop, "tls://127.0.0.1:0?" + testing::tls().listen);
  route.resolver = "static";
  route.resolver_settings = {
      {"backends", SettingsTable{{"plain", plain.target()},
                                 {"secure", "tls://" + secure.target() + "?" + testing::tls().dial},
                                 {"second", SettingsList{"127.0.0.1:1", plain.target()}}}}};
  route.dial_retry = 1;
  ASSERT_TRUE(around.gateway.reload({route}));
  const auto ask = [&](const std::string& name) {
    std::unique_ptr<End> client = around.raw();
    client->send(frame(name) + "ask " + name);
    EXPECT_TRUE(around.becomes([&] { return client->events.received.size() >= 5; }));
    return client;
  };
  const auto a = ask("plain"), b = ask("secure"), c = ask("second"), d = ask("nobody");
  EXPECT_EQ(a->events.received, kOk);
  EXPECT_EQ(b->events.received, kOk);
  EXPECT_EQ(d->events.received, kErrorAnswer);
  EXPECT_EQ(c->events.received, kOk) << "the first of two backends is not there";
  ASSERT_TRUE(around.becomes([&] {
    return plain.ends.size() == 2 &&
           std::ranges::any_of(plain.ends, [](const auto& end) { return end->events.received == "ask second"; });
  }));
  ASSERT_TRUE(around.becomes([&] { return secure.ends.size() == 1 && secure.last().events.received == "ask secure"; }));
  EXPECT_EQ(around.refused(RouteError::resolve_failed), 1u);
}

std::string vector_text(const std::string& list, const std::string& name, const std::string& key) {
  const boost::json::object all = testing::vectors();
  for (const boost::json::value& each : all.at(list).as_array()) {
    if (each.as_object().at("name").as_string() == name) return std::string(each.as_object().at(key).as_string());
  }
  ADD_FAILURE() << "no " << list << " " << name;
  return {};
}

// The vectors' tokens, at the vectors' time. They all name 127.0.0.1:9000, which is a backend of ours here.
TEST(RouteLive, TokensAreBelievedOnceVerifiedAndTheAllowListStillDecides) {
  const boost::json::object vectors = testing::vectors();
  ResolverRegistry resolvers = default_resolvers();
  resolvers.add("jwt", [](const SettingsTable& settings, const ResolverContext& context) {
    ResolverContext then = context;
    then.wall_clock = [] { return std::chrono::sys_seconds(std::chrono::seconds(1'800'000'000)); };
    return make_jwt_resolver(settings, then);
  });
  RouteOptions route = tcp_route();
  route.listen = {"tcp://127.0.0.1:0", "ws://127.0.0.1:0"};
  route.resolver = "jwt";
  route.resolver_settings = {
      {"leeway", "0s"},
      {"keys", SettingsList{SettingsTable{
                   {"algorithm", "HS256"},
                   {"secret", std::string(vectors.at("keys").as_object().at("hs_secret_utf8").as_string())}}}}};
  testing::Redirected redirected;
  LiveRoute live({.routes = {route}, .transports = &redirected.all, .resolvers = &resolvers});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
  redirected.to(9000, backend.port());
  const std::string good = vector_text("jwt", "hs256-valid", "token");
  const std::string expired = vector_text("jwt", "hs256-expired", "token");
  const auto ask = [&](const std::string& token) {
    std::unique_ptr<End> client = live.raw();
    client->send(frame(token));
    EXPECT_TRUE(live.becomes([&] { return client->events.received.size() >= 5; }));
    return client->events.received;
  };
  EXPECT_EQ(ask(good), kOk);
  EXPECT_EQ(ask(expired), kErrorAnswer);
  EXPECT_EQ(ask(good.substr(0, good.size() - 4) + "AAAA"), kErrorAnswer);
  EXPECT_EQ(live.refused(RouteError::unauthorized), 2u);
  // As a query, which may stand in other people's logs, but not in ours.
  transport::DialOutcome outcome;
  transport::dial_into(outcome, live.all, live.loop,
                       "ws://127.0.0.1:" + std::to_string(port_of(live.gateway.addresses()[1])) +
                           "/?query=server-identify%3D" + expired);
  ASSERT_TRUE(live.becomes([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.error(), HasSubstr("502"));
  for (const std::string& token : {good, expired}) {
    EXPECT_EQ(live.log.count(token.substr(0, 30)), 0u);
    EXPECT_EQ(live.log.count(token.substr(token.size() - 20)), 0u);
  }
  route.allow = {"127.0.0.1:1"};
  ASSERT_TRUE(live.gateway.reload({route}));
  EXPECT_EQ(ask(good), kErrorAnswer);
  EXPECT_EQ(live.refused(RouteError::forbidden), 1u);
}

class Transcripts : public ::testing::TestWithParam<std::size_t> {};

// Each of spec/vectors/route.json, with what the gateway reads in pieces of every size.
TEST_P(Transcripts, GoAsTheVectorsSay) {
  std::size_t played = 0;
  const boost::json::object vectors = testing::vectors();
  for (const boost::json::value& value : vectors.at("transcripts").as_array()) {
    const boost::json::object& transcript = value.as_object();
    SCOPED_TRACE(std::string(transcript.at("name").as_string()));
    ++played;
    testing::Redirected redirected(GetParam());
    RouteOptions route = tcp_route();
    route.listen = {"tcp://127.0.0.1:0", "ws://127.0.0.1:0"};
    LiveRoute live({.routes = {route}, .transports = &redirected.all});
    ASSERT_EQ(live.failed, "");
    Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
    redirected.to(9000, backend.port());
    std::unique_ptr<End> client;
    if (const boost::json::value* const headers = transcript.if_contains("http_request_headers")) {
      client = std::make_unique<End>();
      transport::DialOutcome outcome;
      transport::dial_into(outcome, live.all, live.loop,
                           "ws://127.0.0.1:" + std::to_string(port_of(live.gateway.addresses()[1])) +
                               "/?messages=1&header=server-identify:" +
                               std::string(headers->as_object().at("server-identify").as_string()));
      ASSERT_TRUE(live.becomes([&] { return outcome.done() && *outcome.result; })) << outcome.error();
      client->stream = *std::move(*outcome.result);
      client->stream->start(client->events);
    } else {
      client = live.raw();
    }
    std::string to_client, to_backend;
    for (const boost::json::value& one : transcript.at("steps").as_array()) {
      const boost::json::object& step = one.as_object();
      const std::string direction(step.at("direction").as_string());
      if (step.if_contains("close")) {
        ASSERT_TRUE(live.becomes([&] { return client->events.read_ends == 1 || client->over(); }));
        continue;
      }
      const std::string bytes = from_hex(std::string(step.at("hex").as_string())).value();
      if (direction == "client->gateway") {
        client->stream->write(transport::chain_of(bytes), true);
      } else if (direction == "backend->gateway") {
        ASSERT_TRUE(live.becomes([&] { return !backend.ends.empty(); }));
        backend.last().send(bytes);
      } else if (direction == "gateway->client") {
        to_client += bytes;
        ASSERT_TRUE(live.becomes([&] { return client->events.received.size() >= to_client.size(); }));
        EXPECT_EQ(client->events.received, to_client);
      } else {
        to_backend += bytes;
        ASSERT_TRUE(live.becomes(
            [&] { return !backend.ends.empty() && backend.last().events.received.size() >= to_backend.size(); }));
        EXPECT_EQ(backend.last().events.received, to_backend);
      }
    }
  }
  EXPECT_EQ(played, 5u);
}

INSTANTIATE_TEST_SUITE_P(Pieces, Transcripts, ::testing::Values(1, 2, 3, 5, 8, 65536));

TEST(RouteLive, ACloseLeavesWhatWaitsToASuccessorAndDrainsItsOwn) {
  RouteOptions route = tcp_route();
  LiveRoute live({.routes = {route}, .drain = 1h});
  ASSERT_EQ(live.failed, "");
  Backend backend(live.all, live.loop, "tcp://127.0.0.1:0");
  const std::unique_ptr<End> client = live.client(backend.target());
  const std::vector<int> fds = live.gateway.hand_over_listeners();
  EXPECT_EQ(fds.size(), 1u);
  EXPECT_FALSE(live.gateway.reload({route})) << "a successor takes over";
  std::atomic<bool> closed = false;
  live.gateway.close_async([&] { closed = true; });
  client->send("still here");
  ASSERT_TRUE(live.becomes([&] { return backend.last().events.received == "still here"; }));
  EXPECT_FALSE(closed);
  client->stream->shutdown_write();
  backend.last().stream->shutdown_write();
  ASSERT_TRUE(live.becomes([&] { return closed.load(); }));
}

}  // namespace
}  // namespace wayport::route
