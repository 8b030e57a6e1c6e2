// The client side against a gateway made here: over every stack, at every split, and with everything that a gateway can do
// wrong.
#include "wayport/transport/route/route_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "wayport/framing/route/handshake.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"
#include "wayport/transport/tls/tls_transport.h"
#include "wayport/transport/unix/unix_transport.h"
#include "wayport/transport/ws/ws_transport.h"

namespace wayport::transport {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

using namespace std::chrono_literals;

const std::string kOk("\2\0\0\0ok", 6);

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 % 253);
  return text;
}

// One listener and the last connection it took. Over a websocket the identify is read from the header, and `answer` is
// sent as one message.
class Gateway {
 public:
  Gateway(const Transports& all, Loop& loop, const std::string& url) {
    auto made = all.listen(loop, *Address::parse(url), {});
    EXPECT_TRUE(made) << made.error().to_string();
    listener = *std::move(made);
    listener->start([this](std::unique_ptr<Incoming> one) { take(std::move(one)); });
  }
  ~Gateway() { EXPECT_THAT(events.faults, IsEmpty()); }

  std::string identify;      // of the last client
  std::string answer = kOk;  // and whatever else is to leave with it
  bool silent = false;
  bool reject = false;
  std::function<void()> then;  // once the answer is written
  RecordingEvents events;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Stream> stream;

 private:
  void take(std::unique_ptr<Incoming> one) {
    if (reject) return one->reject({ErrorCode::refused, "not here", {}});
    stream = one->accept();
    if (const HttpRequest* http = stream->peer().http.get()) {
      const std::string* const header = http->header("server-identify");
      identify = header != nullptr ? *header : "";
      stream->start(events);
      return reply(true);
    }
    events.consume = [this](MutableBytes bytes) {
      if (reader_.done()) return bytes.size();
      const std::size_t taken = reader_.read(bytes).value();
      identify = reader_.identify();
      return taken;
    };
    events.then_bytes = [this] {
      if (!reader_.done() || answered_) return;
      answered_ = true;
      events.received.clear();
      reply(false);
    };
    stream->start(events);
  }
  void reply(bool message) {
    if (silent) return;
    stream->write(chain_of(answer), message);
    if (then) then();
  }

  route::IdentifyReader reader_;
  bool answered_ = false;
};

// In virtual time.
class RouteTest : public ::testing::Test {
 protected:
  RouteTest() {
    all.add("route", route);
    const auto ws = std::make_shared<WsTransport>();
    all.add("ws", ws);
    all.add("wss", ws);
    all.add("tls", std::make_shared<TlsTransport>());
    all.add("tcp", std::make_shared<TcpTransport>());
    all.add("unix", std::make_shared<UnixTransport>());
    all.add("mem", std::make_shared<MemoryTransport>());
  }
  ~RouteTest() override { EXPECT_THAT(client_events.faults, IsEmpty()); }

  bool until(const std::function<bool()>& done) { return run_until(loop, done); }
  bool dial(const std::string& url) {
    outcome.result.reset();
    dial_into(outcome, all, loop, url, dial_options);
    return until([&] { return outcome.done(); });
  }
  void connect(const std::string& url) {
    ASSERT_TRUE(dial(url));
    ASSERT_TRUE(outcome.result->has_value()) << outcome.error();
    client = **std::move(outcome.result);
    client->start(client_events);
  }
  std::string refusal(const std::string& url) {
    EXPECT_TRUE(dial(url)) << url;
    EXPECT_FALSE(outcome.result && outcome.result->has_value()) << url;
    return outcome.error();
  }

  ManualClock clock;
  std::shared_ptr<RouteTransport> route = std::make_shared<RouteTransport>();
  Transports all;
  Loop loop{{.clock = &clock}};
  DialOptions dial_options;
  DialOutcome outcome;
  RecordingEvents client_events;
  std::unique_ptr<Stream> client;
};

TEST_F(RouteTest, CarriesBytesBothWaysOverEveryStack) {
  const TestDirectory directory;
  const TestAuthority authority;
  const IssuedCertificate issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
  const std::string identity =
      "?cert=" + directory.write("s.pem", issued.cert_pem) + "&key=" + directory.write("s.key", issued.key_pem);
  const std::string ca = "?ca=" + directory.write("ca.pem", authority.cert_pem());
  all.add("drip", std::make_shared<MemoryTransport>(MemoryOptions{.show_bytes_max = 1}));
  const struct {
    std::string listen, path, parameters;
    std::size_t size;
  } stacks[] = {
      {"mem://gw", "/10.1.2.3:9090", "", 3'000'000},
      {"drip://gw", "/10.1.2.3:9090", "", 3'000},
      {"tcp://127.0.0.1:0", "/backend.example:443", "?nodelay=1", 3'000'000},
      {"tls://127.0.0.1:0" + identity, "/[2001:db8::7]:1", ca, 1'000'000},
      {"unix://@wayport-route-test", "", "?identify=orders", 100'000},
      {"ws+mem://gw", "/10.1.2.3:9090", "", 3'000'000},
      {"ws+drip://gw", "/10.1.2.3:9090", "", 3'000},
      {"ws+mem://gw", "/10.1.2.3:9090", "?messages=1", 500'000},
      {"ws://127.0.0.1:0", "/10.1.2.3:9090", "", 1'000'000},
      {"wss://127.0.0.1:0" + identity, "/10.1.2.3:9090", ca, 1'000'000},
      {"ws+unix://@wayport-route-test-ws", "", "?identify=orders", 100'000},
  };
  for (const auto& [listen, path, parameters, size] : stacks) {
    Gateway gateway(all, loop, listen);
    const std::string url = "route+" + dial_address(*gateway.listener, path + parameters);
    SCOPED_TRACE(url);
    if (listen.starts_with("ws")) gateway.answer = "ok";
    client_events = RecordingEvents();
    connect(url);
    if (HasFatalFailure()) return;
    EXPECT_EQ(gateway.identify, path.empty() ? "orders" : path.substr(1));
    const bool messages = parameters == "?messages=1";
    client->write(chain_of(pattern(size)), messages);
    gateway.stream->write(chain_of("greeting " + pattern(size)));
    ASSERT_TRUE(
        until([&] { return gateway.events.received.size() >= size && client_events.received.size() >= size + 9; }));
    EXPECT_EQ(gateway.events.received, pattern(size));
    EXPECT_EQ(client_events.received, "greeting " + pattern(size));
    // Each direction ends by itself.
    client->shutdown_write();
    ASSERT_TRUE(until([&] { return gateway.events.read_ends == 1; }));
    gateway.stream->write(chain_of("after"));
    gateway.stream->shutdown_write();
    ASSERT_TRUE(until([&] { return client_events.closed && gateway.events.closed; }));
    EXPECT_THAT(client_events.received, EndsWith("after"));
    EXPECT_EQ(client_events.closed->error.code, ErrorCode::peer_closed) << to_string(*client_events.closed);
    client.reset();
  }
  EXPECT_EQ(route->counters().accepted.load(), std::size(stacks));
}

TEST_F(RouteTest, AnAnswerMayComeInAnyPiecesAndWithTheFirstBytesOfTheBackend) {
  for (const std::string& answer : {kOk, std::string("\0\0\0\0", 4), std::string("\3\0\0\0\0\1\xff", 7)}) {
    for (std::size_t piece = 1; piece <= answer.size() + 5; ++piece) {
      SCOPED_TRACE(piece);
      all.add("piece", std::make_shared<MemoryTransport>(MemoryOptions{.show_bytes_max = piece}));
      Gateway gateway(all, loop, "piece://gw");
      gateway.answer = answer + "hello";
      client_events = RecordingEvents();
      connect("route+piece://gw/127.0.0.1:9000");
      if (HasFatalFailure()) return;
      ASSERT_TRUE(until([&] { return client_events.received.size() >= 5; }));
      EXPECT_EQ(client_events.received, "hello");
      client.reset();
    }
  }
}

TEST_F(RouteTest, TheFirstBytesWaitForAConsumerThatStartsLaterAndReadsLater) {
  Gateway gateway(all, loop, "mem://gw");
  gateway.answer = kOk + "hello";
  gateway.then = [&] { gateway.stream->shutdown_write(); };
  ASSERT_TRUE(dial("route+mem://gw/127.0.0.1:9000"));
  ASSERT_TRUE(outcome.result->has_value()) << outcome.error();
  loop.advance(5s);
  client = **std::move(outcome.result);
  client->read(false);
  client->start(client_events);
  loop.advance(5s);
  EXPECT_THAT(client_events.shown, IsEmpty());
  client->read(true);
  ASSERT_TRUE(until([&] { return client_events.read_ends == 1; }));
  EXPECT_EQ(client_events.received, "hello");
}

TEST_F(RouteTest, AConnectionThatDiesBeforeItIsUsedSaysSo) {
  for (const std::string layer : {"", "ws+"}) {
    Gateway gateway(all, loop, layer + "mem://gw");
    if (!layer.empty()) gateway.answer = "ok";
    client_events = RecordingEvents();
    ASSERT_TRUE(dial("route+" + layer + "mem://gw/127.0.0.1:9000"));
    ASSERT_TRUE(outcome.result->has_value()) << outcome.error();
    client = **std::move(outcome.result);
    gateway.stream.reset();  // a reset, or an end: both sides' own affair
    loop.advance(5s);
    client->start(client_events);
    if (layer.empty()) client->shutdown_write();
    EXPECT_TRUE(until([&] { return client_events.closed.has_value(); }));
    client->close(CloseReason::local(ErrorCode::local_closed, "twice"));
    client.reset();
  }
}

TEST_F(RouteTest, WhatAGatewayAnswersWrongIsToldInWords) {
  const std::string where = "route to 127.0.0.1:9000 through mem://gw: ";
  const struct {
    std::string answer;
    enum { stays, ends, aborts } then;
    ErrorCode code;
    std::string words;
  } cases[] = {
      {"error", cases[0].ends, ErrorCode::refused, "answered \"error\""},
      {"error", cases[0].stays, ErrorCode::refused, "answered \"error\""},
      {"error: more words", cases[0].aborts, ErrorCode::refused, "answered \"error\""},
      {"", cases[0].ends, ErrorCode::peer_closed, "without an answer"},
      {"err", cases[0].ends, ErrorCode::peer_closed, "after 3 bytes of an unfinished answer"},
      {kOk.substr(0, 5), cases[0].ends, ErrorCode::peer_closed, "after 5 bytes of an unfinished answer"},
      {std::string("\1\0\1\0", 4), cases[0].stays, ErrorCode::too_large, "65537 bytes"},
      {"HTTP/1.1 400 Bad Request\r\n\r\n", cases[0].ends, ErrorCode::too_large, "is the other side a route gateway"},
  };
  std::uint64_t refused = 0;
  for (const auto& one : cases) {
    for (std::size_t piece = 1; piece <= one.answer.size() + 1; ++piece) {
      SCOPED_TRACE(one.answer + " in pieces of " + std::to_string(piece));
      all.add("mem", std::make_shared<MemoryTransport>(MemoryOptions{.show_bytes_max = piece}));
      Gateway gateway(all, loop, "mem://gw");
      gateway.answer = one.answer;
      gateway.then = [&] {
        if (one.then != one.stays) gateway.stream->shutdown_write();
        if (one.then == one.aborts) gateway.stream->close(CloseReason::local(ErrorCode::local_closed, "x"), {1s});
      };
      EXPECT_THAT(refusal("route+mem://gw/127.0.0.1:9000"), AllOf(HasSubstr(where), HasSubstr(one.words)));
      EXPECT_EQ(outcome.result->error().code, one.code);
      refused += one.code == ErrorCode::refused ? 1 : 0;
    }
  }
  EXPECT_EQ(route->counters().refused.load(), refused);
  EXPECT_GT(route->counters().failed.load(), 0u);
  EXPECT_EQ(route->counters().accepted.load(), 0u);
}

TEST_F(RouteTest, TheLimitOfASuccessMessageIsTheCallersToSet) {
  const std::string answer = std::string("\xa\0\0\0", 4) + std::string(10, 'm');
  for (const std::string layer : {"", "ws+"}) {
    Gateway gateway(all, loop, layer + "mem://gw");
    gateway.answer = layer.empty() ? answer : answer.substr(4);
    EXPECT_THAT(refusal("route+" + layer + "mem://gw/a:1?success=9"),
                AllOf(StartsWith("too_large"), HasSubstr("limit of 9")));
  }
  for (const std::string layer : {"", "ws+"}) {
    Gateway gateway(all, loop, layer + "mem://gw");
    gateway.answer = layer.empty() ? answer : answer.substr(4);
    connect("route+" + layer + "mem://gw/a:1?success=10");
    client.reset();
  }
}

TEST_F(RouteTest, TheTimeOfADialCoversTheAnswer) {
  dial_options.timeout = 3s;
  for (const std::string layer : {"", "ws+"}) {
    Gateway gateway(all, loop, layer + "mem://gw");
    gateway.silent = true;
    outcome.result.reset();
    dial_into(outcome, all, loop, "route+" + layer + "mem://gw/a.example:1", dial_options);
    ASSERT_TRUE(until([&] { return gateway.identify == "a.example:1"; }));
    loop.advance(2900ms);
    EXPECT_FALSE(outcome.done());
    loop.advance(200ms);
    ASSERT_TRUE(outcome.done());
    EXPECT_EQ(outcome.error(),
              "timed_out: route to a.example:1 through " + layer + "mem://gw: no answer of the gateway within 3s");
  }
  // And what comes then comes to nobody.
  Gateway gateway(all, loop, "mem://gw");
  gateway.silent = true;
  dial_into(outcome, all, loop, "route+mem://gw/a.example:1", dial_options);
  ASSERT_TRUE(until([&] { return gateway.identify == "a.example:1"; }));
  outcome.dial.reset();
  outcome.result.reset();
  loop.advance(10s);
  EXPECT_FALSE(outcome.done());
  EXPECT_EQ(route->counters().failed.load(), 2u);
}

TEST_F(RouteTest, NoGatewayIsNoRoute) {
  EXPECT_THAT(refusal("route+mem://nobody/a.example:1"),
              AllOf(StartsWith("refused"), HasSubstr("route to a.example:1 through mem://nobody: ")));
}

TEST_F(RouteTest, AWebSocketCarriesTheSuccessMessageWithoutALength) {
  // Also an empty one, and one that looks like a frame.
  for (const std::string& message :
       {std::string("ok"), std::string(), kOk, std::string("erro"), std::string("errors")}) {
    Gateway gateway(all, loop, "ws+mem://gw?messages=1");
    gateway.answer = message;
    gateway.then = [&] { gateway.stream->write(chain_of("hello"), true); };
    client_events = RecordingEvents();
    connect("route+ws+mem://gw/127.0.0.1:9000");
    if (HasFatalFailure()) return;
    ASSERT_TRUE(until([&] { return client_events.received.size() >= 5; }));
    EXPECT_EQ(client_events.received, "hello");
    client.reset();
  }
}

TEST_F(RouteTest, AWebSocketIsRefusedBeforeOrAfterItsUpgrade) {
  {
    Gateway gateway(all, loop, "ws+mem://gw");
    gateway.reject = true;
    EXPECT_THAT(
        refusal("route+ws+mem://gw/127.0.0.1:9000"),
        AllOf(StartsWith("refused"), HasSubstr("route to 127.0.0.1:9000 through ws+mem://gw"), HasSubstr("403")));
  }
  {
    Gateway gateway(all, loop, "ws+mem://gw");
    gateway.answer = "error";
    EXPECT_THAT(refusal("route+ws+mem://gw/127.0.0.1:9000"), AllOf(StartsWith("refused"), HasSubstr("\"error\"")));
  }
  // In order, and as the original does it.
  for (const bool in_order : {true, false}) {
    Gateway gateway(all, loop, "ws+mem://gw");
    gateway.answer.clear();
    gateway.silent = true;
    outcome.result.reset();
    dial_into(outcome, all, loop, "route+ws+mem://gw/127.0.0.1:9000");
    ASSERT_TRUE(until([&] { return gateway.stream != nullptr; }));
    loop.drain();
    ASSERT_FALSE(outcome.done());
    if (in_order) {
      gateway.stream->shutdown_write();
    } else {
      gateway.stream.reset();
    }
    ASSERT_TRUE(until([&] { return outcome.done(); }));
    EXPECT_THAT(outcome.error(), AllOf(StartsWith("refused"), HasSubstr("closed the websocket without an answer")))
        << in_order;
  }
}

// What the gateway puts a length in front of.
TEST_F(RouteTest, AWriteIsAMessageAndALongOneIsCut) {
  Gateway gateway(all, loop, "ws+mem://gw?messages=1");
  gateway.answer = "ok";
  connect("route+ws+mem://gw/127.0.0.1:9000");
  std::vector<std::size_t> messages;
  std::size_t ends = 0, begin = 0;
  gateway.events.then_bytes = [&] {
    if (gateway.events.message_ends == ends) return;
    ends = gateway.events.message_ends;
    messages.push_back(gateway.events.received.size() - begin);
    begin = gateway.events.received.size();
  };
  client->write(chain_of("one"));
  client->write(Chain());
  client->write(chain_of("three"), true);
  client->write(chain_of(pattern(150'000)));
  ASSERT_TRUE(until([&] { return gateway.events.received.size() >= 150'008; }));
  EXPECT_THAT(messages, ElementsAre(3, 5, 65536, 65536, 150'000 - 2 * 65536));
  gateway.stream->write(chain_of("a"), true);
  gateway.stream->write(Chain(), true);
  gateway.stream->write(chain_of("b"), true);
  ASSERT_TRUE(until([&] { return client_events.received == "ab"; }));
  EXPECT_EQ(client_events.message_ends, 0u) << "a byte stream has no messages";
}

TEST_F(RouteTest, MessagesAreTheCallersWhoWantsThem) {
  Gateway gateway(all, loop, "ws+mem://gw?messages=1");
  gateway.answer = "ok";
  connect("route+ws+mem://gw/127.0.0.1:9000?messages=1");
  client->write(chain_of("one "));
  loop.drain();
  client->write(chain_of("message"), true);
  client->write(Chain(), true);
  ASSERT_TRUE(until([&] { return gateway.events.message_ends == 2; }));
  EXPECT_EQ(gateway.events.received, "one message");
  gateway.stream->write(Chain(), true);
  gateway.stream->write(chain_of("back"), true);
  ASSERT_TRUE(until([&] { return client_events.message_ends == 2; }));
  EXPECT_EQ(client_events.received, "back");
}

TEST_F(RouteTest, ABytesConsumerOverAWebSocketMayBeReplacedAndDroppedFromInside) {
  for (const std::string layer : {"", "ws+"}) {
    Gateway gateway(all, loop, layer + "mem://gw");
    if (!layer.empty()) gateway.answer = "ok";
    RecordingEvents first, second;
    ASSERT_TRUE(dial("route+" + layer + "mem://gw/127.0.0.1:9000"));
    ASSERT_TRUE(outcome.result->has_value()) << outcome.error();
    client = **std::move(outcome.result);
    first.consume = [](MutableBytes) { return std::size_t{4}; };
    first.then_bytes = [&] { client->replace_events(second); };
    second.then_bytes = [&] { client.reset(); };
    client->start(first);
    gateway.stream->write(chain_of("headbody"), true);
    ASSERT_TRUE(until([&] { return !second.received.empty(); }));
    EXPECT_EQ(first.received, "head");
    EXPECT_EQ(second.received, "body");
    EXPECT_THAT(first.faults, IsEmpty());
    EXPECT_THAT(second.faults, IsEmpty());
  }
}

TEST_F(RouteTest, PressureIsTheLowerStreams) {
  for (const std::string layer : {"", "ws+"}) {
    Gateway gateway(all, loop, layer + "mem://gw");
    if (!layer.empty()) gateway.answer = "ok";
    gateway.then = [&] { gateway.stream->read(false); };
    client_events = RecordingEvents();
    connect("route+" + layer + "mem://gw/127.0.0.1:9000");
    const std::string block = pattern(1'000'000);
    EXPECT_EQ(client->write(chain_of(block)), Pressure::high);
    loop.drain();
    EXPECT_GT(client->queued(), 500'000u);
    EXPECT_EQ(client_events.writables, 0u);
    gateway.stream->read(true);
    ASSERT_TRUE(until([&] { return client_events.writables == 1 && gateway.events.received.size() == block.size(); }));
    EXPECT_EQ(client->queued(), 0u);
    client.reset();
  }
}

TEST_F(RouteTest, TheBackendIsNamedInOneOfFourWays) {
  const TestDirectory directory;
  const std::string file = directory.write("token", "aaa.bbb.ccc\r\n");
  const struct {
    std::string rest, identify;
  } cases[] = {
      {"/Backend.Example:80", "backend.example:80"}, {"?identify=orders%20db", "orders db"}, {"/?identify=x", "x"},
      {"?token=aaa.bbb.ccc", "aaa.bbb.ccc"},         {"?token_file=" + file, "aaa.bbb.ccc"},
  };
  for (const auto& [rest, identify] : cases) {
    for (const std::string layer : {"", "ws+"}) {
      SCOPED_TRACE(layer + rest);
      Gateway gateway(all, loop, layer + "mem://gw");
      gateway.answer = "error";
      const std::string error = refusal("route+" + layer + "mem://gw" + rest);
      EXPECT_EQ(gateway.identify, identify);
      EXPECT_THAT(error, Not(HasSubstr("aaa")));
    }
  }
  // It is read anew.
  directory.write("token", "ddd.eee.fff");
  Gateway gateway(all, loop, "mem://gw");
  connect("route+mem://gw?token_file=" + file);
  EXPECT_EQ(gateway.identify, "ddd.eee.fff");
}

TEST_F(RouteTest, OtherHeadersAndTheRequestsPathStayTheCallers) {
  Gateway gateway(all, loop, "ws+mem://gw");
  gateway.answer = "ok";
  connect("route+ws+mem://gw/10.0.0.1:80?target=/edge&header=X-One:1&header=X-Two:a%26b&query=r=1");
  const HttpRequest& http = *gateway.stream->peer().http;
  EXPECT_EQ(http.target, "/edge?r=1");
  EXPECT_EQ(gateway.identify, "10.0.0.1:80");
  ASSERT_NE(http.header("x-one"), nullptr);
  EXPECT_EQ(*http.header("x-one"), "1");
  ASSERT_NE(http.header("x-two"), nullptr);
  EXPECT_EQ(*http.header("x-two"), "a&b");
}

TEST_F(RouteTest, AddressesThatCannotWorkSayWhy) {
  const TestDirectory directory;
  const std::string empty = directory.write("empty", "\n");
  const std::string large = directory.write("large", std::string(5000, 't'));
  const std::string largest = directory.write("largest", std::string(4096, 't') + "\r\n");
  const struct {
    std::string url, words;
  } cases[] = {
      {"route+mem://gw", "names no backend"},
      {"route+mem://gw/", "names no backend"},
      {"route+mem://gw/a:1?identify=x", "more than once"},
      {"route+mem://gw?token=x&token_file=y", "more than once"},
      {"route+mem://gw?identify=x&identify=y", "\"identify\" is given twice"},
      {"route+mem://gw?token=x&token=y", "\"token\" is given twice"},
      {"route+mem://gw/a", "HOST:PORT"},
      {"route+mem://gw/127.1:80", "no IPv4"},
      {"route+mem://gw/a:1/more", "port"},
      {"route+mem://gw?identify=", "empty"},
      {"route+mem://gw/a:1?success=x", "success"},
      {"route+mem://gw/a:1?success=2GiB", "success"},
      {"route+mem://gw?token_file=" + empty, "is empty"},
      {"route+mem://gw?token_file=" + large, "4096 bytes"},
      {"route+mem://gw?token_file=/nowhere/at/all", "No such file"},
      {"route+ws+mem://gw?identify=%20x", "blanks at its ends"},
      {"route+ws+mem://gw?identify=%c3%a9", "printable"},
      {"route+ws+mem://gw/a:1?messages=x", "messages"},
      {"route+unix://@wayport-none", "names no backend"},
      {"route+nothing://gw/a:1", "nothing"},
  };
  for (const auto& [url, words] : cases) EXPECT_THAT(refusal(url), HasSubstr(words)) << url;
  EXPECT_THAT(refusal("route+mem://nobody?token_file=" + largest), StartsWith("refused")) << "4096 bytes are taken";
}

TEST_F(RouteTest, ThereIsNothingToListenOn) {
  const auto made = all.listen(loop, *Address::parse("route+tcp://127.0.0.1:0/a:1"), {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::unsupported);
  EXPECT_THAT(made.error().detail, HasSubstr("for dialing"));
}

}  // namespace
}  // namespace wayport::transport
