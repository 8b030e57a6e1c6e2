// Websockets over every stack, both ends ours; and raw bytes against our listener where ours would not send them.
#include "wayport/transport/ws/ws_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/log_testing.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"
#include "wayport/transport/tls/tls_transport.h"
#include "wayport/transport/unix/unix_transport.h"
#include "wayport/transport/ws/frames.h"
#include "wayport/transport/ws/handshake.h"

namespace wayport::transport {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

using namespace std::chrono_literals;

// Scripted: counts up, so that masks are known and never zero.
class CountingRandom final : public ws::RandomSource {
 public:
  void fill(MutableBytes bytes) override {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(++value);
  }
  std::uint8_t value = 0;
};

// In virtual time, over memory unless a test says otherwise.
class WsTest : public ::testing::Test {
 protected:
  WsTest() {
    all.add("ws", ws);
    all.add("wss", ws);
    all.add("tls", std::make_shared<TlsTransport>(&log));
    all.add("tcp", std::make_shared<TcpTransport>());
    all.add("unix", std::make_shared<UnixTransport>());
    all.add("mem", std::make_shared<MemoryTransport>());
    all.add("drip", std::make_shared<MemoryTransport>(MemoryOptions{.show_bytes_max = 1}));
    all.add("slow", std::make_shared<MemoryTransport>(MemoryOptions{.show_bytes_max = 32 * 1024}));
    listen_options.log = &log;
    listen_options.counters = &counters;
  }
  ~WsTest() override {
    EXPECT_THAT(client_events.faults, IsEmpty());
    EXPECT_THAT(server_events.faults, IsEmpty());
  }

  void connected(const std::string& listen = "ws+mem://x", const std::string& dial_parameters = "") {
    Result<Connection> made = connect_through(all, loop, listen, dial_parameters, listen_options, dial_options);
    ASSERT_TRUE(made) << made.error().to_string();
    c = *std::move(made);
    c.client->start(client_events);
    c.server->start(server_events);
  }
  bool until(const std::function<bool()>& done) { return run_until(loop, done); }

  // A listener whose connections a test decides on, and a raw client on the stack below it.
  void listening(const std::string& address = "ws+mem://x") {
    auto made = all.listen(loop, *Address::parse(address), listen_options);
    ASSERT_TRUE(made) << made.error().to_string();
    c.listener = *std::move(made);
    c.listener->start([this](std::unique_ptr<Incoming> one) { incoming.push_back(std::move(one)); });
  }
  void raw(const std::string& lower = "mem://x") {
    DialOutcome outcome;
    dial_into(outcome, all, loop, lower);
    ASSERT_TRUE(until([&] { return outcome.done(); }));
    ASSERT_TRUE(outcome.result->has_value()) << outcome.error();
    c.client = **std::move(outcome.result);
    c.client->start(client_events);
  }
  void send(std::string_view bytes) { c.client->write(chain_of(bytes)); }
  static std::string request(const std::string& extra = "") {
    return "GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
           "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
           extra + "\r\n";
  }
  // A raw client past its upgrade.
  void upgraded(const std::string& address = "ws+mem://x", const std::string& lower = "mem://x") {
    listening(address);
    raw(lower);
    send(request());
    ASSERT_TRUE(until([&] { return !incoming.empty(); }));
    c.server = incoming[0]->accept();
    c.server->start(server_events);
    ASSERT_TRUE(until([&] { return client_events.received.ends_with("\r\n\r\n"); }));
    client_events.received.clear();
  }
  static std::string masked(unsigned first, std::string_view payload) {
    const ws::MaskKey key{std::byte{9}, std::byte{8}, std::byte{7}, std::byte{6}};
    std::array<std::byte, ws::kFrameHeaderBytesMax> header;
    const std::size_t size = ws::write_frame_header(header.data(), ws::Opcode::binary, true, payload.size(), &key);
    header[0] = static_cast<std::byte>(first);
    std::string body(payload);
    ws::apply_mask(std::as_writable_bytes(std::span(body.data(), body.size())), key, 0);
    return std::string(as_text(Bytes(header).first(size))) + body;
  }
  // The Close frame that a raw client was sent last.
  unsigned close_code() const {
    const std::size_t at = client_events.received.rfind('\x88');
    if (at == std::string::npos || client_events.received.size() < at + 4) return 0;
    return load_be<std::uint16_t>(as_bytes(client_events.received).data() + at + 2);
  }

  ManualClock clock;
  MemoryLog log;
  ListenerCounters counters;
  CountingRandom random;
  std::shared_ptr<WsTransport> ws = std::make_shared<WsTransport>(&random);
  Transports all;
  Loop loop{{.clock = &clock}};
  ListenOptions listen_options;
  DialOptions dial_options;
  RecordingEvents client_events, server_events;
  std::vector<std::unique_ptr<Incoming>> incoming;
  Connection c;
};

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 % 253);
  return text;
}

TEST_F(WsTest, CarriesBytesBothWaysOverEveryStack) {
  const TestDirectory directory;
  const TestAuthority authority;
  const IssuedCertificate issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
  const std::string identity =
      "cert=" + directory.write("s.pem", issued.cert_pem) + "&key=" + directory.write("s.key", issued.key_pem);
  const std::string ca = "ca=" + directory.write("ca.pem", authority.cert_pem());
  const struct {
    std::string listen, dial;
    const char* scheme;
    std::size_t size;
  } stacks[] = {
      {"ws+mem://x", "", "ws", 3'000'000},
      {"ws+drip://x", "", "ws", 3'000},
      {"ws://127.0.0.1:0", "", "ws", 3'000'000},
      {"wss://127.0.0.1:0?" + identity, "?" + ca, "wss", 3'000'000},
      {"ws+tls+tcp://127.0.0.1:0?" + identity, "?" + ca, "ws", 100'000},
      {"ws+unix://@wayport-ws-test", "", "ws", 100'000},
  };
  for (const auto& [listen, dial, scheme, size] : stacks) {
    RecordingEvents client, server;
    auto made = connect_through(all, loop, listen, dial, listen_options);
    ASSERT_TRUE(made) << listen << ": " << made.error().to_string();
    made->client->start(client);
    made->server->start(server);
    EXPECT_STREQ(made->server->peer().scheme, scheme);
    EXPECT_EQ(made->server->peer().tls != nullptr, listen.contains("tls") || listen.contains("wss"));
    made->client->write(chain_of(pattern(size)));
    made->server->write(chain_of("greeting " + pattern(size)));
    ASSERT_TRUE(until([&] { return server.received.size() >= size && client.received.size() >= size + 9; })) << listen;
    EXPECT_EQ(server.received, pattern(size)) << listen;
    EXPECT_EQ(client.received, "greeting " + pattern(size)) << listen;
    made->client->shutdown_write();
    ASSERT_TRUE(until([&] { return server.read_ends == 1; })) << listen;
    made->server->shutdown_write();
    ASSERT_TRUE(until([&] { return client.closed && server.closed; })) << listen;
    EXPECT_EQ(client.closed->error.code, ErrorCode::peer_closed) << to_string(*client.closed);
    EXPECT_EQ(server.closed->error.code, ErrorCode::peer_closed) << to_string(*server.closed);
    EXPECT_THAT(client.faults, IsEmpty());
    EXPECT_THAT(server.faults, IsEmpty());
  }
}

TEST_F(WsTest, KeepsMessagesAsTheyAre) {
  for (const char* stack : {"ws+mem://x?messages=1", "ws+drip://x?messages=1"}) {
    RecordingEvents client, server;
    auto made = connect_through(all, loop, stack, "?messages=1");
    ASSERT_TRUE(made) << made.error().to_string();
    std::vector<std::string> messages;
    std::size_t seen = 0;
    server.then_bytes = [&] {
      if (messages.size() == server.message_ends) return;
      messages.push_back(server.received.substr(seen));
      seen = server.received.size();
    };
    made->client->start(client);
    made->server->start(server);
    made->client->write(chain_of("one"), true);
    made->client->write(Chain(), true);
    made->client->write(chain_of("tw"));
    loop.drain();  // leaves as a fragment
    made->client->write(chain_of("o"), true);
    made->client->write(chain_of("thr"));
    loop.drain();
    made->client->write(chain_of("ee"));
    loop.drain();
    made->client->write(Chain(), true);
    ASSERT_TRUE(until([&] { return messages.size() == 4; })) << stack;
    EXPECT_EQ(messages, (std::vector<std::string>{"one", "", "two", "three"})) << stack;
  }
}

// A consumer that leaves a part is shown it again, with what comes next.
TEST_F(WsTest, ShowsAgainWhatWasNotConsumed) {
  connected("ws+drip://x");
  server_events.consume = [](MutableBytes bytes) { return bytes.size() / 4 * 4; };
  c.client->write(chain_of(pattern(1000)), true);
  c.client->write(chain_of(pattern(1002)), true);
  ASSERT_TRUE(until([&] { return server_events.received.size() == 2000; }));
  EXPECT_EQ(server_events.received, (pattern(1000) + pattern(1002)).substr(0, 2000));
}

TEST_F(WsTest, AConsumerMayStopReadingAnywhere) {
  connected();
  int pauses = 0;
  server_events.consume = [](MutableBytes bytes) { return std::min<std::size_t>(bytes.size(), 1000); };
  server_events.then_bytes = [&] {
    ++pauses;
    c.server->read(false);
  };
  c.client->write(chain_of(pattern(300'000)));
  while (server_events.received.size() < 300'000) {
    loop.drain();
    const int before = pauses;
    c.server->read(true);
    ASSERT_TRUE(until([&] { return pauses > before; })) << server_events.received.size();
  }
  EXPECT_EQ(server_events.received, pattern(300'000));
}

TEST_F(WsTest, HalfCloseDeliversTheWholeAnswer) {
  connected();
  c.client->write(chain_of("question"));
  c.client->shutdown_write();
  ASSERT_TRUE(until([&] { return server_events.read_ends == 1; }));
  EXPECT_EQ(server_events.received, "question");
  c.server->write(chain_of(pattern(500'000)));
  c.server->shutdown_write();
  ASSERT_TRUE(until([&] { return client_events.closed && server_events.closed; }));
  EXPECT_EQ(client_events.received, pattern(500'000));
  EXPECT_EQ(client_events.read_ends, 1u);
}

// Bytes in front of our Close frame leave however long that takes, whoever's comes first.
TEST_F(WsTest, AClientThatReadsSlowlyAfterBothClosesGetsTheWholeAnswer) {
  for (const bool clients_first : {true, false}) {
    RecordingEvents client, server;
    auto made = connect_through(all, loop, "ws+slow://x");
    ASSERT_TRUE(made) << made.error().to_string();
    made->client->start(client);
    made->server->start(server);
    const std::string answer = pattern(5'000'000);
    made->client->read(false);
    if (clients_first) {
      made->client->shutdown_write();
      ASSERT_TRUE(until([&] { return server.read_ends == 1; }));
    }
    made->server->write(chain_of(answer));
    made->server->shutdown_write();
    loop.drain();
    made->client->shutdown_write();
    ASSERT_TRUE(until([&] { return server.read_ends == 1; }));
    loop.advance(2s);
    client.then_bytes = [&] { made->client->read(false); };
    while (client.received.size() < answer.size()) {
      const std::size_t before = client.received.size();
      made->client->read(true);
      loop.advance(500ms);
      ASSERT_GT(client.received.size(), before)
          << "clients_first=" << clients_first << " " << (server.closed ? to_string(*server.closed) : "");
    }
    made->client->read(true);
    ASSERT_TRUE(until([&] { return client.closed && server.closed; })) << clients_first;
    EXPECT_TRUE(client.received == answer);
    EXPECT_EQ(client.read_ends, 1u);
    EXPECT_EQ(server.closed->error.code, ErrorCode::peer_closed) << to_string(*server.closed);
  }
}

TEST_F(WsTest, AClientThatTakesNothingAfterBothClosesIsGivenUp) {
  connected();
  c.client->read(false);
  c.client->shutdown_write();
  ASSERT_TRUE(until([&] { return server_events.read_ends == 1; }));
  c.server->write(chain_of(pattern(1'000'000)));
  c.server->shutdown_write();
  loop.advance(29s);
  EXPECT_FALSE(server_events.closed);
  loop.advance(2s);
  ASSERT_TRUE(server_events.closed);
  EXPECT_EQ(server_events.closed->error.code, ErrorCode::timed_out);
  EXPECT_THAT(to_string(*server_events.closed), HasSubstr("none left in 30s"));
}

TEST_F(WsTest, AClientThatKeepsTheConnectionAfterBothClosesIsLeftAfterASecond) {
  upgraded();
  send(masked(0x88, "\x03\xe8"));
  ASSERT_TRUE(until([&] { return server_events.read_ends == 1; }));
  c.server->shutdown_write();
  ASSERT_TRUE(until([&] { return client_events.read_ends == 1; }));
  loop.advance(900ms);
  EXPECT_FALSE(server_events.closed);
  loop.advance(200ms);
  ASSERT_TRUE(server_events.closed);
  EXPECT_THAT(to_string(*server_events.closed), HasSubstr("ended in order"));
}

TEST_F(WsTest, CloseReasonsTravelAsCloseCodes) {
  const struct {
    ErrorCode ours, theirs;
  } cases[] = {{ErrorCode::overloaded, ErrorCode::overloaded},   {ErrorCode::too_large, ErrorCode::too_large},
               {ErrorCode::malformed, ErrorCode::malformed},     {ErrorCode::refused, ErrorCode::refused},
               {ErrorCode::unsupported, ErrorCode::unsupported}, {ErrorCode::internal, ErrorCode::internal},
               {ErrorCode::unreachable, ErrorCode::unreachable}};
  for (const auto& [ours, theirs] : cases) {
    RecordingEvents client, server;
    auto made = connect_through(all, loop, "ws+mem://x");
    ASSERT_TRUE(made);
    made->client->start(client);
    made->server->start(server);
    made->server->write(chain_of("last words"));
    made->server->close(CloseReason::local(ours, "our secret detail"), {1s});
    ASSERT_TRUE(until([&] { return client.closed && server.closed; }));
    EXPECT_EQ(client.received, "last words");
    EXPECT_EQ(client.closed->error.code, theirs) << to_string(*client.closed);
    EXPECT_EQ(client.closed->by, CloseReason::By::peer);
    EXPECT_EQ(client.closed->error.detail.find("secret"), std::string::npos);
    EXPECT_EQ(server.closed->error.code, ours);
  }
  connected();
  c.server->close(CloseReason::local(ErrorCode::internal, "x"), {});
  ASSERT_TRUE(until([&] { return client_events.closed.has_value(); }));
  EXPECT_THAT(to_string(*client_events.closed), HasSubstr("truncated"));
}

TEST_F(WsTest, HostileFramesEndWithTheRequiredCode) {
  const struct {
    const char* name;
    std::string bytes;
    unsigned code;
    ErrorCode reason;
  } cases[] = {
      {"unmasked", std::string("\x82\x01") + "a", 1002, ErrorCode::malformed},
      {"reserved bit", masked(0xc2, "a"), 1002, ErrorCode::malformed},
      {"text", masked(0x81, "a"), 1003, ErrorCode::unsupported},
      {"large", std::string("\x82\xff\0\0\0\0\0\x10\0\x01", 10) + "abcd", 1009, ErrorCode::too_large},
      {"close code 1006", masked(0x88, "\x03\xee"), 1002, ErrorCode::malformed},
      {"close text", masked(0x88, "\x03\xe8\xff"), 1007, ErrorCode::malformed},
      {"a close code of an error is echoed", masked(0x88, "\x03\xf0 x"), 1008, ErrorCode::refused},
  };
  for (const auto& each : cases) {
    client_events = {};
    server_events = {};
    incoming.clear();
    c = {};
    upgraded();
    send(masked(0x82, "good") + each.bytes + masked(0x82, "late"));
    ASSERT_TRUE(until([&] { return client_events.read_ends == 1; })) << each.name;
    c.client->shutdown_write();
    ASSERT_TRUE(until([&] { return server_events.closed.has_value(); })) << each.name;
    EXPECT_EQ(server_events.received, "good") << each.name;
    EXPECT_EQ(close_code(), each.code) << each.name;
    EXPECT_EQ(server_events.closed->error.code, each.reason) << each.name << to_string(*server_events.closed);
  }
  EXPECT_EQ(ws->counters().messages_too_large.load(), 1u);
  EXPECT_EQ(ws->counters().protocol_errors.load(), 5u);
}

TEST_F(WsTest, TextIsTakenIfTheOptionSaysSo) {
  upgraded("ws+mem://x?text=1");
  send(masked(0x01, "\xce") + masked(0x80, "\xba"));
  ASSERT_TRUE(until([&] { return server_events.message_ends == 1; }));
  EXPECT_EQ(server_events.received, "\xce\xba");
  send(masked(0x01, "\xce") + masked(0x80, "x"));
  ASSERT_TRUE(until([&] { return client_events.read_ends == 1; }));
  EXPECT_EQ(close_code(), 1007u);
}

TEST_F(WsTest, AnEmptyCloseIsAnsweredByAnEmptyOne) {
  upgraded();
  send(masked(0x88, ""));
  ASSERT_TRUE(until([&] { return server_events.read_ends == 1; }));
  c.server->shutdown_write();
  ASSERT_TRUE(until([&] { return client_events.read_ends == 1; }));
  EXPECT_EQ(client_events.received, std::string("\x88\0", 2));
}

TEST_F(WsTest, ACloseIsAnsweredAfterCloseWaitAtTheLatest) {
  upgraded("ws+mem://x?close_wait=3s");
  send(masked(0x88, "\x03\xe9"));
  ASSERT_TRUE(until([&] { return server_events.read_ends == 1; }));
  loop.advance(2900ms);
  EXPECT_EQ(client_events.received, "");
  loop.advance(200ms);
  EXPECT_EQ(close_code(), 1001u);
  ASSERT_TRUE(until([&] { return client_events.read_ends == 1; }));
  c.client->shutdown_write();
  ASSERT_TRUE(until([&] { return server_events.closed.has_value(); }));
  EXPECT_THAT(to_string(*server_events.closed), HasSubstr("close_wait 3s"));
}

TEST_F(WsTest, AnAnswerThatFlowsIsNotCutByCloseWait) {
  connected("ws+mem://x?close_wait=3s");
  c.client->shutdown_write();
  for (int i = 0; i < 10; ++i) {
    c.server->write(chain_of(pattern(1000)));
    loop.advance(2s);
    ASSERT_FALSE(server_events.closed) << to_string(*server_events.closed);
  }
  c.server->shutdown_write();
  ASSERT_TRUE(until([&] { return client_events.closed && server_events.closed; }));
  EXPECT_EQ(client_events.received.size(), 10'000u);
}

TEST_F(WsTest, OnlyTheLastPingOfATurnIsAnswered) {
  upgraded();
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += masked(0x89, "ping " + std::to_string(i));
  send(masked(0x02, "in ") + pings + masked(0x80, "pieces"));
  ASSERT_TRUE(until([&] { return server_events.message_ends == 1 && !client_events.received.empty(); }));
  loop.drain();
  EXPECT_EQ(server_events.received, "in pieces");
  EXPECT_EQ(client_events.received, "\x8a\x08ping 999");
  EXPECT_EQ(ws->counters().pings_unanswered.load(), 999u);
}

// A client that sends pings and reads nothing makes us keep one pong, whatever it sends.
TEST_F(WsTest, PingsOfAPeerThatDoesNotReadCostNoMemory) {
  upgraded();
  c.client->read(false);
  c.server->write(chain_of(std::string(1'000'000, 'x')));
  loop.drain();
  const std::size_t queued = c.server->queued();
  ASSERT_GT(queued, 256u * 1024);
  for (int i = 0; i < 1000; ++i) {
    send(masked(0x89, std::string(125, 'p')));
    loop.drain();
  }
  EXPECT_EQ(c.server->queued(), queued);
}

TEST_F(WsTest, SilentPeersAreAskedAndThenClosed) {
  upgraded("ws+mem://x?ping=10s&ping_timeout=4s");
  loop.advance(10'100ms);
  EXPECT_EQ(client_events.received, std::string("\x89\0", 2));
  send(masked(0x8a, ""));
  loop.advance(5s);
  EXPECT_FALSE(server_events.closed);
  client_events.received.clear();
  loop.advance(20s);
  EXPECT_THAT(client_events.received, StartsWith(std::string("\x89\0", 2)));
  EXPECT_EQ(close_code(), 1008u);
  ASSERT_TRUE(until([&] { return client_events.read_ends == 1; }));
  c.client->shutdown_write();
  ASSERT_TRUE(until([&] { return server_events.closed.has_value(); }));
  EXPECT_EQ(server_events.closed->error.code, ErrorCode::timed_out);
  EXPECT_EQ(ws->counters().ping_timeouts.load(), 1u);
}

// Its pings wait behind what it has not taken yet; that it takes some shows that it lives.
TEST_F(WsTest, ASilentDownloaderLivesAsLongAsItTakesBytes) {
  upgraded("ws+slow://x?ping=10s&ping_timeout=4s", "slow://x");
  c.client->read(false);
  c.server->write(chain_of(pattern(1'000'000)));
  client_events.then_bytes = [&] { c.client->read(false); };
  while (c.server->queued() != 0) {
    loop.advance(1s);
    ASSERT_FALSE(server_events.closed) << to_string(*server_events.closed);
    c.client->read(true);
  }
  // The ping has left, and its answer has the whole time from then.
  loop.advance(2900ms);
  EXPECT_FALSE(server_events.closed);
  client_events.then_bytes = nullptr;
  c.client->read(true);
  loop.drain();
  EXPECT_TRUE(client_events.received.ends_with(std::string("\x89\0", 2)));
  send(masked(0x8a, ""));
  loop.advance(9s);
  EXPECT_FALSE(server_events.closed);
  loop.advance(10s);
  EXPECT_EQ(close_code(), 1008u);
}

TEST_F(WsTest, APeerThatTakesNothingIsNoSilentDownloader) {
  upgraded("ws+mem://x?ping=10s&ping_timeout=4s");
  c.client->read(false);
  c.server->write(chain_of(pattern(1'000'000)));
  loop.advance(13'900ms);
  EXPECT_FALSE(server_events.closed);
  loop.advance(1200ms);
  ASSERT_TRUE(server_events.closed);
  EXPECT_EQ(server_events.closed->error.code, ErrorCode::timed_out);
  EXPECT_THAT(to_string(*server_events.closed), HasSubstr("nothing of what is queued left"));
}

TEST_F(WsTest, PingKeepsAnIdleConnectionOfOursOpen) {
  connected("ws+mem://x?ping=10s&ping_timeout=4s");
  loop.advance(10min);
  EXPECT_FALSE(client_events.closed || server_events.closed);
}

TEST_F(WsTest, TheRequestIsInThePeerInfoAndTheDecisionMayComeLater) {
  listening("ws+mem://x?protocol=v1");
  DialOutcome outcome;
  dial_into(outcome, all, loop, "ws+mem://x/room/1?query=token%3Dt&protocol=v1&header=Server-Identify:10.0.0.1:9");
  ASSERT_TRUE(until([&] { return incoming.size() == 1; }));
  const PeerInfo& info = incoming[0]->peer();
  ASSERT_NE(info.http, nullptr);
  EXPECT_EQ(info.http->path(), "/room/1");
  EXPECT_EQ(info.http->query("token"), "t");
  EXPECT_EQ(*info.http->header("server-identify"), "10.0.0.1:9");
  EXPECT_EQ(info.http->subprotocol, "v1");
  loop.advance(5s);
  EXPECT_FALSE(outcome.done());
  c.server = incoming[0]->accept();
  c.server->start(server_events);
  c.server->write(chain_of("welcome"));
  ASSERT_TRUE(until([&] { return outcome.done(); }));
  ASSERT_TRUE(outcome.result->has_value()) << outcome.error();
  c.client = **std::move(outcome.result);
  EXPECT_EQ(c.client->peer().http->subprotocol, "v1");
  EXPECT_EQ(c.server->peer().http->path(), "/room/1");
  c.client->start(client_events);
  ASSERT_TRUE(until([&] { return client_events.received == "welcome"; }));
}

TEST_F(WsTest, ARejectionIsAStatusBeforeTheUpgrade) {
  const struct {
    Error why;
    int status;
    ErrorCode code;
  } cases[] = {
      {{ErrorCode::refused, "detail", ws::http_status(401)}, 401, ErrorCode::refused},
      {{ErrorCode::refused, "detail", {}}, 403, ErrorCode::refused},
      {{ErrorCode::not_found, "detail", {}}, 404, ErrorCode::not_found},
      {{ErrorCode::unreachable, "detail", {}}, 502, ErrorCode::unreachable},
      {{ErrorCode::overloaded, "detail", {}}, 503, ErrorCode::overloaded},
      {{ErrorCode::timed_out, "detail", {}}, 504, ErrorCode::timed_out},
  };
  listening();
  for (const auto& [why, status, code] : cases) {
    DialOutcome outcome;
    dial_into(outcome, all, loop, "ws+mem://x");
    ASSERT_TRUE(until([&] { return incoming.size() == 1; }));
    incoming[0]->reject(why);
    incoming.clear();
    ASSERT_TRUE(until([&] { return outcome.done(); }));
    ASSERT_FALSE(outcome.result->has_value());
    EXPECT_EQ(outcome.result->error().cause, ws::http_status(status));
    EXPECT_EQ(outcome.result->error().code, code);
    EXPECT_EQ(outcome.error().find("detail"), std::string::npos);
  }
  EXPECT_EQ(ws->counters().upgrades_refused.load(), std::size(cases));
  // Dropped undecided.
  DialOutcome outcome;
  dial_into(outcome, all, loop, "ws+mem://x");
  ASSERT_TRUE(until([&] { return incoming.size() == 1; }));
  incoming.clear();
  ASSERT_TRUE(until([&] { return outcome.done(); }));
  EXPECT_EQ(outcome.result->error().cause, ws::http_status(503));
}

TEST_F(WsTest, AClientThatLeftBeforeTheDecisionIsAStreamThatCloses) {
  listening();
  raw();
  send(request());
  ASSERT_TRUE(until([&] { return incoming.size() == 1; }));
  c.client.reset();
  loop.drain();
  c.server = incoming[0]->accept();
  c.server->start(server_events);
  ASSERT_TRUE(until([&] { return server_events.closed.has_value(); }));
}

TEST_F(WsTest, ADecisionAfterTheListenersEndStillCounts) {
  listening();
  raw();
  send(request());
  ASSERT_TRUE(until([&] { return incoming.size() == 1; }));
  c.listener.reset();
  incoming[0]->reject({ErrorCode::refused, "", {}});
  ASSERT_TRUE(until([&] { return client_events.closed || client_events.read_ends == 1; }));
}

TEST_F(WsTest, RefusalsHaveTheirStatus) {
  const struct {
    std::string sent;
    const char* answer;
  } cases[] = {
      {request("Origin: https://evil.example\r\n"), "HTTP/1.1 403 "},
      {"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 "},
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 426 "},
      {std::string("\x16\x03\x01\x02\x00", 5), "HTTP/1.1 400 "},
      {"G" + std::string(1024, 'x'), "HTTP/1.1 431 "},
  };
  for (const auto& [sent, answer] : cases) {
    client_events = {};
    c = {};
    listening("ws+mem://x?head=1KiB");
    raw();
    send(sent);
    ASSERT_TRUE(until([&] { return client_events.read_ends == 1; })) << answer;
    EXPECT_THAT(client_events.received, StartsWith(answer));
    EXPECT_TRUE(incoming.empty());
  }
  EXPECT_EQ(ws->counters().origins_refused.load(), 1u);
  EXPECT_EQ(counters.handshakes_failed.load(), std::size(cases));
}

TEST_F(WsTest, AHeadThatDripsIsReadAndOneThatDoesNotComeTimesOut) {
  listen_options.handshake_timeout = 2s;
  listening("ws+drip://x");
  raw("drip://x");
  for (const char c_of_head : request()) {
    send(std::string_view(&c_of_head, 1));
    loop.drain();
  }
  ASSERT_TRUE(until([&] { return incoming.size() == 1; }));
  incoming.clear();
  client_events = {};
  raw("drip://x");
  send(request().substr(0, 50));
  loop.advance(1900ms);
  EXPECT_EQ(client_events.received, "");
  loop.advance(200ms);
  ASSERT_TRUE(until([&] { return client_events.read_ends == 1; }));
  EXPECT_THAT(client_events.received, StartsWith("HTTP/1.1 408 "));
}

TEST_F(WsTest, HandshakesAreBounded) {
  listen_options.handshakes_max = 1;
  listening();
  raw();
  const std::unique_ptr<Stream> first = std::move(c.client);
  RecordingEvents first_events;
  first->replace_events(first_events);
  raw();
  ASSERT_TRUE(until([&] { return client_events.read_ends == 1 || client_events.closed; }));
  EXPECT_EQ(counters.handshakes_refused.load(), 1u);
  EXPECT_FALSE(first_events.closed);
}

TEST_F(WsTest, ListenerFinishesOnceItsUpgradesAreDone) {
  listening();
  raw();
  loop.drain();
  bool finished = false;
  c.listener->finish([&] { finished = true; });
  loop.drain();
  EXPECT_FALSE(finished);
  send(request());
  ASSERT_TRUE(until([&] { return finished; }));
  EXPECT_EQ(incoming.size(), 1u);
}

TEST_F(WsTest, DialsFailWithWhatHappened) {
  listening();
  DialOutcome outcome;
  dial_options.timeout = 3s;
  dial_into(outcome, all, loop, "ws+mem://x", dial_options);
  loop.advance(4s);  // nobody decides
  EXPECT_THAT(outcome.error(), HasSubstr("timed_out: no websocket upgrade by ws+mem://x within 3s"));
  DialOutcome nobody;
  dial_into(nobody, all, loop, "ws+mem://y");
  loop.drain();
  EXPECT_THAT(nobody.error(), HasSubstr("refused"));
  DialOutcome bad;
  dial_into(bad, all, loop, "ws+mem://x?text=3");
  loop.drain();
  EXPECT_THAT(bad.error(), HasSubstr("text=3"));
  EXPECT_FALSE(all.listen(loop, *Address::parse("ws+mem://z?query=a"), {}));
}

TEST_F(WsTest, TheQueueIsBounded) {
  dial_options.stream.queue_bytes_max = 1'000'000;
  connected();
  c.server->read(false);
  EXPECT_EQ(c.client->write(chain_of(std::string(1'000'000, 'x'))), Pressure::high);
  EXPECT_FALSE(client_events.closed);
  loop.drain();
  while (c.client->queued() <= 1'000'000 && !client_events.closed) {
    c.client->write(chain_of(std::string(100'000, 'x')));
    loop.drain();
  }
  ASSERT_TRUE(client_events.closed.has_value());
  EXPECT_EQ(client_events.closed->error.code, ErrorCode::overloaded);
}

TEST_F(WsTest, PressureEndsOnceThePeerReads) {
  connected();
  c.server->read(false);
  EXPECT_EQ(c.client->write(chain_of(std::string(2'000'000, 'x'))), Pressure::high);
  loop.drain();
  EXPECT_EQ(client_events.writables, 0u);
  c.server->read(true);
  ASSERT_TRUE(until([&] { return server_events.received.size() == 2'000'000; }));
  EXPECT_EQ(client_events.writables, 1u);
}

// A new key for every frame (RFC 6455, 5.3), from the source that was given.
TEST_F(WsTest, ClientsMaskWithTheGivenSource) {
  auto made = all.listen(loop, *Address::parse("mem://x"), {});
  ASSERT_TRUE(made);
  c.listener = *std::move(made);
  c.listener->start([this](std::unique_ptr<Incoming> one) { c.server = one->accept(); });
  DialOutcome outcome;
  dial_into(outcome, all, loop, "ws+mem://x");
  ASSERT_TRUE(until([&] { return c.server != nullptr; }));
  c.server->start(server_events);
  ASSERT_TRUE(until([&] { return server_events.received.ends_with("\r\n\r\n"); }));
  const std::string key = "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n";  // 1 to 16
  EXPECT_THAT(server_events.received, HasSubstr(key));
  ws::UpgradeRequest answer{.http = std::make_unique<HttpRequest>(), .key = "AQIDBAUGBwgJCgsMDQ4PEA=="};
  c.server->write(chain_of(ws::upgrade_response(answer)));
  ASSERT_TRUE(until([&] { return outcome.done(); }));
  c.client = **std::move(outcome.result);
  c.client->start(client_events);
  server_events.received.clear();
  c.client->write(chain_of(std::string(4, '\0')), true);
  c.client->write(chain_of(std::string(4, '\0')), true);
  ASSERT_TRUE(until([&] { return server_events.received.size() == 20; }));
  EXPECT_EQ(to_hex(as_bytes(server_events.received)),
            "828411121314"
            "11121314"
            "828415161718"
            "15161718");
}

}  // namespace
}  // namespace wayport::transport
