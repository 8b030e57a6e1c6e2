// snet over real transports, its options, its bounds, and how sessions end.
#include "wayport/transport/snet/snet_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wayport/transport/address.h"
#include "wayport/transport/snet/hand_client.h"
#include "wayport/transport/snet/snet_options.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/failing_stream.h"
#include "wayport/transport/testing/stream_wrapper.h"
#include "wayport/transport/tls/tls_transport.h"

namespace wayport::transport {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// --- options ---

TEST(SnetOptions, ReadWhatAnAddressSaysAndPassTheRestDown) {
  const Address address = *Address::parse(
      "snet+tcp://h:1?encrypt=1&buffer=1MiB&wait=5s&peer_buffer=2MiB&sessions=7&per_address=3&detached=5&"
      "detached_bytes=1000&attempts=2&nodelay=0");
  const SnetOptions options = *SnetOptions::for_listen(address);
  EXPECT_TRUE(options.session.encrypt);
  EXPECT_EQ(options.session.ring_bytes, 1u << 20);
  EXPECT_EQ(options.session.peer_ring_bytes_max, 2u << 20);
  EXPECT_EQ(options.wait, 5s);
  EXPECT_EQ(options.sessions_max, 7u);
  EXPECT_EQ(options.sessions_per_address_max, 3u);
  EXPECT_EQ(options.detached_max, 5u);
  EXPECT_EQ(options.detached_bytes_max, 1000u);
  EXPECT_EQ(options.attempts_max, 2u);
  EXPECT_EQ(SnetOptions::below(address).to_string(), "tcp://h:1?nodelay=0");
  EXPECT_EQ(SnetOptions::below(*Address::parse("snet://h:1")).to_string(), "tcp://h:1");
}

TEST(SnetOptions, DefaultsAreThoseOfTheOriginalWhereItHasThem) {
  const SnetOptions options = *SnetOptions::for_listen(*Address::parse("snet+tcp://h:1"));
  EXPECT_FALSE(options.session.encrypt);
  EXPECT_EQ(options.session.ring_bytes, 65536u);
  EXPECT_EQ(options.wait, 60s);
}

TEST(SnetOptions, RefuseWhatTheyDoNotUnderstandByName) {
  const auto error = [](const std::string& query, bool listening) {
    const Address address = *Address::parse("snet+tcp://h:1?" + query);
    const auto options = listening ? SnetOptions::for_listen(address) : SnetOptions::for_dial(address);
    return options ? "" : options.error().detail;
  };
  EXPECT_THAT(error("buffer=0", true), HasSubstr("snet+tcp address: buffer=0 is less than 1"));
  EXPECT_EQ(error("buffer=1GiB", true), "");
  EXPECT_THAT(error("buffer=1073741825", true), HasSubstr("is more than 1GiB"));
  EXPECT_THAT(error("wait=x", false), HasSubstr("is not a duration"));
  EXPECT_THAT(error("encrypt=2", false), HasSubstr("is neither 0 nor 1"));
  EXPECT_THAT(error("wait=1s&wait=2s", false), HasSubstr("is given twice"));
  EXPECT_THAT(error("detached=5", false), HasSubstr("is for listeners"));
  EXPECT_THAT(error("attempts=0", true), HasSubstr("is less than 1"));
}

// --- over the real ones ---

class SnetStacks : public ::testing::Test {
 protected:
  SnetStacks() {
    all.add("tcp", network);
    all.add("tls", std::make_shared<TlsTransport>());
    all.add("snet", std::make_shared<SnetTransport>(&log));
    const IssuedCertificate issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
    identity = "cert=" + directory.write("c", issued.cert_pem) + "&key=" + directory.write("k", issued.key_pem);
    trust = "ca=" + directory.write("ca", authority.cert_pem());
  }
  void survive(const std::string& listen, const std::string& dial_parameters) {
    auto listener = all.listen(loop, *Address::parse(listen), {.log = &log});
    ASSERT_TRUE(listener) << listener.error().to_string();
    std::unique_ptr<SnetEnd> server;
    (*listener)->start(
        [&](std::unique_ptr<Incoming> incoming) { server = std::make_unique<SnetEnd>(incoming->accept()); });
    DialOutcome outcome;
    dial_into(outcome, all, loop, dial_address(**listener, dial_parameters));
    ASSERT_TRUE(run_until(loop, [&] { return outcome.done() && server; }));
    ASSERT_TRUE(*outcome.result) << outcome.error();
    SnetEnd client(*std::move(*outcome.result));
    std::string up, down;
    for (int round = 0; round < 5; ++round) {
      up += "up " + std::to_string(round) + std::string(20'000, 'u');
      down += "down " + std::to_string(round) + std::string(20'000, 'd');
      client.write(up.substr(up.rfind("up")));
      server->write(down.substr(down.rfind("down")));
      if (round % 2 == 0) network->cut_all();
      ASSERT_TRUE(run_until(loop, [&] { return server->events.received == up && client.events.received == down; }))
          << client.closed() << server->closed();
    }
    EXPECT_STREQ(client.stream->peer().scheme, "snet");
    EXPECT_EQ(client.stream->peer().remote.port(), (*listener)->address().port());
    client.stream.reset();
    server.reset();
  }

  MemoryLog log;
  Loop loop;
  std::shared_ptr<CuttingTransport> network = std::make_shared<CuttingTransport>(std::make_shared<TcpTransport>());
  Transports all;
  TestDirectory directory;
  TestAuthority authority;
  std::string identity, trust;
};

TEST_F(SnetStacks, TcpSurvivesCuts) { survive("snet+tcp://127.0.0.1:0", ""); }
TEST_F(SnetStacks, TcpEncryptedSurvivesCuts) { survive("snet+tcp://127.0.0.1:0?encrypt=1", "?encrypt=1"); }
TEST_F(SnetStacks, TlsSurvivesCuts) { survive("snet+tls://127.0.0.1:0?" + identity, "?" + trust); }

TEST_F(SnetStacks, SessionsWithOneAddressAreBoundedOnEachSide) {
  auto listener = all.listen(loop, *Address::parse("snet+tcp://127.0.0.1:0?per_address=2"), {});
  ASSERT_TRUE(listener);
  std::vector<std::unique_ptr<SnetEnd>> servers, clients;
  (*listener)->start(
      [&](std::unique_ptr<Incoming> incoming) { servers.push_back(std::make_unique<SnetEnd>(incoming->accept())); });
  const auto connect = [&] {
    DialOutcome outcome;
    dial_into(outcome, all, loop, dial_address(**listener));
    ASSERT_TRUE(run_until(loop, [&] { return outcome.done(); }));
    ASSERT_TRUE(*outcome.result) << outcome.error();
    clients.push_back(std::make_unique<SnetEnd>(*std::move(*outcome.result)));
  };
  connect();
  connect();
  ASSERT_TRUE(run_until(loop, [&] { return servers.size() == 2; }));
  connect();
  // The client cannot know before its first reconnect is refused.
  ASSERT_TRUE(run_until(loop, [&] { return clients[2]->events.closed.has_value(); }));
  EXPECT_THAT(clients[2]->closed(), HasSubstr("the server refused to resume"));
  servers.pop_back();
  connect();
  EXPECT_TRUE(run_until(loop, [&] { return servers.size() == 2; }));
}

TEST_F(SnetStacks, TheLogHearsOnceThatEncryptionIsForOldPeers) {
  survive("snet+tcp://127.0.0.1:0", "");
  EXPECT_EQ(log.count("for old peers only"), 0u);
  survive("snet+tcp://127.0.0.1:0?encrypt=1", "?encrypt=1");
  survive("snet+tcp://127.0.0.1:0?encrypt=1", "?encrypt=1");
  EXPECT_EQ(log.count("for old peers only"), 1u);
}

// --- how sessions end ---

TEST(SnetClient, GivesUpWhenTheWaitIsOver) {
  SnetNetwork net;
  net.listen("?wait=1h");
  auto client = net.dial("?wait=20s");
  ASSERT_TRUE(client);
  net.network->refuse = true;
  net.network->cut_all();
  net.loop.advance(19s);
  EXPECT_FALSE((*client)->events.closed);
  EXPECT_GE(net.snet->counters().attempts, 8u);  // at once, then 100 ms doubling to 3 s, half of it random
  EXPECT_LE(net.snet->counters().attempts, 20u);
  net.loop.advance(1100ms);
  EXPECT_EQ(
      (*client)->closed(),
      "closed by the system: timed_out: snet session with snet+mem://server?wait=20s: not resumed within wait=20s; "
      "the last attempt: refused: refused by the test");
  const std::size_t dials = net.network->dials;
  net.loop.advance(1min);
  EXPECT_EQ(net.network->dials, dials);
}

TEST(SnetClient, EndsWithItsConnectionWhenItMayNotWait) {
  SnetNetwork net;
  net.listen("?wait=0s");
  auto client = net.dial("?wait=0s");
  ASSERT_TRUE(client);
  net.network->cut_all();
  net.loop.drain();
  EXPECT_THAT((*client)->closed(), HasSubstr("wait=0 resumes nothing: cut by the test"));
  EXPECT_THAT(net.accepted.front()->closed(), HasSubstr("wait=0 resumes nothing"));
  EXPECT_EQ(net.network->dials, 1u);
}

TEST(SnetClient, LearnsFromARefusalThatTheServerClosedTheSession) {
  SnetNetwork net;
  net.listen();
  auto client = net.dial();
  ASSERT_TRUE(client);
  net.accepted.front()->write("goodbye");
  net.accepted.front()->stream->close(CloseReason::local(ErrorCode::local_closed, "done"), {5s});
  net.loop.advance(1s);
  EXPECT_EQ((*client)->events.received, "goodbye");
  EXPECT_THAT((*client)->closed(),
              HasSubstr("peer_closed: snet session with snet+mem://server: the server refused to resume"));
  EXPECT_THAT(net.accepted.front()->closed(), HasSubstr("done"));
}

TEST(SnetClient, ReconnectsAtOnceWhenAskedTo) {
  SnetNetwork net;
  net.listen();
  auto client = net.dial();
  ASSERT_TRUE(client);
  net.network->cut_all(CutPlan::Noticed::by_listener);
  (*client)->write("into the dark");
  net.loop.advance(10s);
  EXPECT_EQ(net.network->dials, 1u);
  EXPECT_TRUE((*client)->stream->reconnect_now());
  net.loop.advance(10ms);
  EXPECT_EQ(net.network->dials, 2u);
  EXPECT_EQ(net.accepted.front()->events.received, "into the dark");
  // Also one that is being waited for.
  net.network->refuse = true;
  net.network->cut_all();
  net.loop.advance(10s);
  net.network->refuse = false;
  EXPECT_TRUE((*client)->stream->reconnect_now());
  net.loop.drain();
  net.accepted.front()->write("back");
  net.loop.drain();
  EXPECT_EQ((*client)->events.received, "back");
  // A server drops the connection, and waits for its client as after any loss.
  EXPECT_TRUE(net.accepted.front()->stream->reconnect_now());
  net.loop.advance(10s);
  net.accepted.front()->write(" again");
  net.loop.drain();
  EXPECT_EQ((*client)->events.received, "back again");
}

TEST(SnetClient, ASilentServerCostsOneAttempt) {
  SnetNetwork net;
  net.listen();
  auto client = net.dial("", {.timeout = 2s});
  ASSERT_TRUE(client);
  int asked = 0;
  net.network->plan = [&] {
    return CutPlan{.up = asked++ == 0 ? 10 : CutPlan::kUncut, .noticed = CutPlan::Noticed::by_listener};
  };
  net.network->cut_all();
  net.loop.advance(1900ms);
  EXPECT_EQ(asked, 1);
  net.loop.advance(1s);
  EXPECT_EQ(asked, 2);
  (*client)->write("there");
  net.loop.drain();
  EXPECT_EQ(net.accepted.front()->events.received, "there");
}

TEST(SnetDial, HasOneDeadlineForEverything) {
  SnetNetwork net;
  auto silent = net.all.listen(net.loop, *Address::parse("mem://server"), {});
  (*silent)->start([&](std::unique_ptr<Incoming> incoming) {
    net.accepted.push_back(std::make_unique<SnetEnd>(incoming->accept()));
  });
  const auto client = net.dial("", {.timeout = 3s});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().to_string(), "timed_out: snet handshake with snet+mem://server: no answer within 3s");
}

TEST(SnetDial, RefusesAServerWithAWeakKey) {
  SnetNetwork net;
  auto server = net.all.listen(net.loop, *Address::parse("mem://server"), {});
  (*server)->start([&](std::unique_ptr<Incoming> incoming) {
    net.accepted.push_back(std::make_unique<SnetEnd>(incoming->accept()));
    net.accepted.back()->write(std::string("\1\0\0\0\0\0\0\0", 8) + std::string(16, 'x'));
  });
  const auto client = net.dial();
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error().to_string(),
              HasSubstr("malformed: snet handshake with snet+mem://server: snet key agreement"));
}

TEST(SnetServer, EndsWhatWaitsWhenItsListenerGoes) {
  SnetNetwork net;
  net.listen();
  HandClient waiting(net), connected(net);
  waiting.connection.reset();
  net.loop.drain();
  net.listener.reset();
  net.loop.drain();
  EXPECT_THAT(net.accepted[0]->closed(), HasSubstr("its listener was closed"));
  connected.write("still here");
  EXPECT_EQ(net.accepted[1]->events.received, "still here");
  connected.connection.reset();
  net.loop.drain();
  EXPECT_THAT(net.accepted[1]->closed(), HasSubstr("nobody listens for it any more"));
}

TEST(SnetServer, ADroppedStreamIsForgotten) {
  SnetNetwork net;
  net.listen();
  HandClient client(net);
  net.accepted.clear();
  net.loop.drain();
  EXPECT_FALSE(client.resume());
  EXPECT_EQ(net.snet->counters().resumes_refused, 1u);
}

// A listener whose peers have user ids, as over a unix socket.
class Identified final : public Transport {
 public:
  explicit Identified(std::shared_ptr<const Transport> lower) : lower_(std::move(lower)) {}
  mutable uid_t uid = 1;

  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override {
    return lower_->dial(all, loop, address, options, std::move(on_done));
  }
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override {
    WAYPORT_TRY_ASSIGN(auto lower, lower_->listen(all, loop, address, options));
    return std::make_unique<Doorman>(*this, std::move(lower));
  }

 private:
  class Known final : public StreamWrapper {
   public:
    Known(std::unique_ptr<Stream> lower, uid_t uid) : StreamWrapper(std::move(lower)) {
      peer_.unix_peer = UnixPeer{.pid = 1, .uid = uid, .gid = 1};
    }
    const PeerInfo& peer() const noexcept override { return peer_; }

   private:
    PeerInfo peer_;
  };
  struct Visitor final : Incoming {
    explicit Visitor(std::unique_ptr<Stream> which) : stream(std::move(which)) {}
    const PeerInfo& peer() const noexcept override { return stream->peer(); }
    std::unique_ptr<Stream> accept() override { return std::move(stream); }
    void reject(const Error&) override { stream.reset(); }
    std::unique_ptr<Stream> stream;
  };
  struct Doorman final : Listener {
    Doorman(const Identified& whose, std::unique_ptr<Listener> below) : owner(whose), lower(std::move(below)) {}
    void start(OnIncoming on_incoming) override {
      lower->start([this, on_incoming](std::unique_ptr<Incoming> incoming) {
        on_incoming(std::make_unique<Visitor>(std::make_unique<Known>(incoming->accept(), owner.uid)));
      });
    }
    void pause(bool paused) override { lower->pause(paused); }
    const Address& address() const noexcept override { return lower->address(); }
    std::vector<int> inheritable_fds() const override { return {}; }
    const Identified& owner;
    std::unique_ptr<Listener> lower;
  };

  const std::shared_ptr<const Transport> lower_;
};

TEST(SnetServer, OnlyTheSameIdentityBelowResumesASession) {
  SnetNetwork net;
  const auto identified = std::make_shared<Identified>(net.network);
  net.all.add("mem", identified);
  net.listen();
  HandClient client(net);
  identified->uid = 2;
  EXPECT_FALSE(client.resume());
  EXPECT_EQ(net.snet->counters().resumes_refused, 1u);
  EXPECT_EQ(net.accepted[0]->closed(), "");
  identified->uid = 1;
  EXPECT_TRUE(client.resume());
  net.listener.reset();
}

// --- bounds ---

TEST(SnetBounds, SessionsOnEachSide) {
  SnetNetwork net;
  net.listen("?sessions=2");
  HandClient first(net), second(net);
  RawConnection third(net);
  third.send(std::string(1, '\0') + std::string(8, 'k'));
  EXPECT_TRUE(third.ended());
  EXPECT_EQ(third.received(), "");
  EXPECT_EQ(net.snet->counters().sessions_refused, 1u);
  net.accepted.pop_back();
  HandClient again(net);
  EXPECT_EQ(net.accepted.size(), 2u);
}

TEST(SnetBounds, SessionsWaitingForTheirClientOnEachSide) {
  SnetNetwork net;
  net.listen("?detached=2");
  std::vector<std::unique_ptr<HandClient>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(std::make_unique<HandClient>(net));
  clients[0]->connection.reset();
  clients[1]->connection.reset();
  net.loop.drain();
  for (const auto& session : net.accepted) EXPECT_EQ(session->closed(), "");
  clients[2]->connection.reset();
  net.loop.drain();
  EXPECT_THAT(net.accepted[0]->closed(), HasSubstr("overloaded"));
  EXPECT_THAT(net.accepted[0]->closed(), HasSubstr("detached=2"));
  EXPECT_EQ(net.accepted[1]->closed(), "");
  EXPECT_EQ(net.accepted[2]->closed(), "");
  EXPECT_EQ(net.snet->counters().evicted, 1u);
}

TEST(SnetBounds, MemoryOfSessionsWaitingForTheirClientOnEachSide) {
  SnetNetwork net;
  net.listen("?detached_bytes=100KiB");
  HandClient old(net), young(net);
  old.connection.reset();
  young.connection.reset();
  net.loop.drain();
  net.accepted[0]->write(std::string(40'000, 'x'));
  net.accepted[1]->write(std::string(60'000, 'x'));
  net.loop.drain();
  EXPECT_EQ(net.snet->counters().evicted, 0u);
  net.accepted[1]->write(std::string(10'000, 'x'));
  net.loop.drain();
  EXPECT_THAT(net.accepted[0]->closed(), HasSubstr("detached_bytes=102400"));
  EXPECT_EQ(net.accepted[1]->closed(), "");
  net.accepted[1]->write(std::string(50'000, 'x'));
  net.loop.drain();
  EXPECT_THAT(net.accepted[1]->closed(), HasSubstr("detached_bytes=102400"));
}

TEST(SnetBounds, AQueueThatOverflowsEndsTheSession) {
  SnetNetwork net;
  net.listen("", {.stream = {.queue_bytes_max = 5000}});
  HandClient client(net);
  client.connection.reset();
  net.loop.drain();
  net.accepted[0]->write(std::string(5000, 'x'));
  EXPECT_EQ(net.accepted[0]->closed(), "");
  net.accepted[0]->write("x");
  net.loop.drain();
  EXPECT_THAT(net.accepted[0]->closed(),
              HasSubstr("overloaded: snet queue (snet://): 5001 bytes are more than queue_bytes_max 5000"));
}

// Half-open handshakes of every length: 100,000 of them, never more than 10,000 at once, and an honest client between.
TEST(SnetBounds, AHundredThousandHalfOpenHandshakes) {
  const auto total = static_cast<std::size_t>(100'000 * test_scale());
  const std::size_t at_once = std::min<std::size_t>(10'000, total / 2);
  SnetNetwork net;
  net.listen("", {.handshakes_max = at_once});
  std::mt19937_64 random(test_seed());
  std::size_t opened = 0;
  while (opened < total) {
    std::vector<std::unique_ptr<SnetEnd>> wave;
    for (std::size_t i = 0; i < at_once + at_once / 10 && opened < total; ++i, ++opened) {
      wave.push_back(net.dial_raw());
      std::string bytes(random() % 41, 'h');
      if (!bytes.empty()) bytes[0] = random() % 2 != 0 ? '\0' : '\xff';
      if (!bytes.empty() && bytes[0] == '\0') bytes.resize(std::min<std::size_t>(bytes.size(), 24));
      wave.back()->write(bytes);
    }
    net.loop.advance(11s);  // handshake_timeout
    for (const auto& each : wave) EXPECT_TRUE(each->events.read_ends != 0 || each->events.closed);
    wave.clear();
    net.loop.drain();
    HandClient honest(net);
    honest.write("hello");
    EXPECT_EQ(net.accepted.back()->events.received, "hello");
    net.accepted.clear();
  }
  EXPECT_EQ(opened, total);
  EXPECT_GT(net.counters.handshakes_refused, 0u);
  EXPECT_EQ(net.counters.handshakes_refused + net.counters.handshakes_failed, total);
}

TEST(SnetBounds, HandshakesOnEachSide) {
  SnetNetwork net;
  net.listen("", {.handshakes_max = 2});
  RawConnection first(net), second(net);
  EXPECT_FALSE(first.ended() || second.ended());
  RawConnection third(net);
  net.loop.drain();
  EXPECT_TRUE(third.ended());
  EXPECT_EQ(net.counters.handshakes_refused, 1u);
  first.send("x");
  EXPECT_TRUE(first.ended());
  HandClient fourth(net);
  EXPECT_EQ(net.accepted.size(), 1u);
}

// --- the seam ---

TEST(SnetStream, ShowsUnconsumedBytesAgainAlsoAfterAReconnect) {
  SnetNetwork net;
  net.listen();
  auto client = net.dial();
  ASSERT_TRUE(client);
  SnetEnd& server = *net.accepted.front();
  server.events.consume = [](MutableBytes bytes) { return bytes.size() < 10 ? std::size_t{0} : bytes.size(); };
  (*client)->write("01234");
  net.loop.drain();
  net.network->cut_all();
  net.loop.advance(1s);
  (*client)->write("56789");
  net.loop.drain();
  EXPECT_EQ(server.events.received, "0123456789");
}

TEST(SnetStream, AConsumerThatLeavesTooMuchIsClosed) {
  SnetNetwork net({.window_bytes = 1 << 20});
  net.listen();
  auto client = net.dial("?buffer=1MiB");
  ASSERT_TRUE(client);
  net.accepted.front()->events.consume = [](MutableBytes) { return std::size_t{0}; };
  (*client)->write(std::string(64 * 1024, 'x'));
  net.loop.drain();
  EXPECT_EQ(net.accepted.front()->closed(), "");
  (*client)->write("x");
  net.loop.drain();
  EXPECT_THAT(net.accepted.front()->closed(), HasSubstr("internal: consumer"));
}

TEST(SnetStream, HandsUnconsumedBytesToTheNextConsumer) {
  SnetNetwork net;
  net.listen();
  auto client = net.dial();
  ASSERT_TRUE(client);
  SnetEnd& server = *net.accepted.front();
  RecordingEvents next;
  server.events.consume = [&](MutableBytes) {
    server.stream->replace_events(next);
    return std::size_t{2};
  };
  (*client)->write("ab the rest");
  net.loop.drain();
  EXPECT_EQ(next.received, " the rest");
  server.stream.reset();
}

TEST(SnetStream, ALargePauseKeepsEverything) {
  SnetNetwork net({.window_bytes = 8 << 20});
  net.listen();
  auto client = net.dial("?buffer=8MiB");
  ASSERT_TRUE(client);
  SnetEnd& server = *net.accepted.front();
  std::string much(3 << 20, '\0');
  for (std::size_t i = 0; i < much.size(); ++i) much[i] = static_cast<char>(i * 31 >> 3);
  int shown = 0;
  server.events.consume = [&](MutableBytes bytes) -> std::size_t {
    if (++shown % 3 == 0) {
      server.stream->read(false);
      return bytes.size() / 2;
    }
    return bytes.size();
  };
  (*client)->write(much);
  for (int i = 0; i < 200; ++i) {
    net.loop.drain();
    server.stream->read(true);
  }
  EXPECT_TRUE(server.events.received == much) << server.events.received.size();
  EXPECT_THAT(server.events.faults, IsEmpty());
}

TEST(SnetStream, ALingeringCloseWaitsForAConnection) {
  SnetNetwork net;
  net.listen();
  auto client = net.dial();
  ASSERT_TRUE(client);
  net.network->refuse = true;
  net.network->cut_all();
  net.loop.advance(100ms);
  (*client)->write("last words");
  (*client)->stream->close(CloseReason::local(ErrorCode::local_closed, "done"), {30s});
  net.loop.advance(5s);
  EXPECT_FALSE((*client)->events.closed);
  net.network->refuse = false;
  net.loop.advance(40s);
  EXPECT_EQ(net.accepted.front()->events.received, "last words");
  EXPECT_THAT((*client)->closed(), HasSubstr("done"));
}

TEST(SnetStream, ALingeringCloseEndsInTimeWithoutOne) {
  SnetNetwork net;
  net.listen();
  auto client = net.dial();
  ASSERT_TRUE(client);
  net.network->refuse = true;
  net.network->cut_all();
  net.loop.advance(100ms);
  (*client)->stream->close(CloseReason::local(ErrorCode::local_closed, "done"), {30s});
  (*client)->stream->close(CloseReason::local(ErrorCode::local_closed, "later"), {3s});
  net.loop.advance(2900ms);
  EXPECT_FALSE((*client)->events.closed);
  net.loop.advance(200ms);
  EXPECT_THAT((*client)->closed(), HasSubstr("done"));
}

TEST(SnetStream, WritesNothingAfterItsShutdown) {
  SnetNetwork net;
  net.listen();
  auto client = net.dial();
  ASSERT_TRUE(client);
  (*client)->write("before");
  (*client)->stream->shutdown_write();
  (*client)->write("after");
  net.loop.advance(1s);
  EXPECT_EQ(net.accepted.front()->events.received, "before");
  EXPECT_EQ(net.accepted.front()->events.read_ends, 0u);
}

// Dropped in the middle of each of its events, on either side, also while it is reconnecting.
TEST(SnetStream, MayBeDroppedInsideItsEvents) {
  for (int moment = 0; moment < 4; ++moment) {
    SnetNetwork net;
    net.listen("?buffer=1KiB&wait=2s", {.stream = {.high_water_bytes = 100, .low_water_bytes = 10}});
    auto client = net.dial("?buffer=1KiB&wait=2s", {.stream = {.high_water_bytes = 100, .low_water_bytes = 10}});
    ASSERT_TRUE(client);
    for (SnetEnd* end : {client->get(), net.accepted.front().get()}) {
      const auto drop = [end] { end->stream.reset(); };
      if (moment == 0) end->events.then_bytes = drop;
      if (moment == 1) end->events.then_writable = drop;
      if (moment == 2) end->events.then_closed = drop;
    }
    (*client)->write(std::string(5000, 'x'));
    if (net.accepted.front()->stream) net.accepted.front()->write(std::string(5000, 'x'));
    net.loop.drain();
    net.network->refuse = true;
    net.network->cut_all();
    net.loop.advance(1s);
    if (moment == 3) (*client)->stream.reset();
    net.loop.advance(5s);
    EXPECT_THAT((*client)->events.faults, IsEmpty());
  }
}

// Every operation below fails once; whatever happens, it ends, and a stream that came about ends with a reason or works.
TEST(SnetStream, SurvivesOrEndsWhicheverOperationFails) {
  std::size_t runs = 0;
  for (std::size_t n = 0;; ++n, ++runs) {
    const auto count = std::make_shared<FailCount>(n);
    SnetNetwork net;
    net.all.add("mem", std::make_shared<FailingTransport>(net.network, count));
    const auto where = *Address::parse("snet+mem://server?wait=20s");
    auto listener = net.all.listen(net.loop, where, {.handshake_timeout = 2s});
    if (listener) {
      net.listener = *std::move(listener);
      net.listener->start([&](std::unique_ptr<Incoming> incoming) {
        net.accepted.push_back(std::make_unique<SnetEnd>(incoming->accept()));
      });
      auto client = net.dial("?wait=20s", {.timeout = 3s});
      if (client) {
        (*client)->write("one");
        net.loop.advance(1s);
        net.network->cut_all();
        net.loop.advance(1s);
        (*client)->write("two");
        net.loop.advance(30s);
        if (!(*client)->events.closed && !net.accepted.empty())
          EXPECT_EQ(net.accepted.back()->events.received, "onetwo") << n;
        EXPECT_THAT((*client)->events.faults, IsEmpty());
      }
    }
    if (!count->reached()) break;
    ASSERT_LT(n, 1000u);
  }
  EXPECT_GT(runs, 10u);
}

}  // namespace
}  // namespace wayport::transport
