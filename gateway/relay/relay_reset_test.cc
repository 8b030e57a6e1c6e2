// What is cut short never looks like an end in order to the peer: resets, over real sockets of the loopback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

#include "wayport/gateway/relay/pipe_pool.h"
#include "wayport/gateway/relay/relay.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::relay {
namespace {

using namespace std::chrono_literals;
using transport::chain_of;
using transport::Connection;
using transport::RecordingEvents;
using transport::run_until;
using transport::Stream;

const std::string kSmall = "&rcvbuf=4096&sndbuf=4096";

struct Certificates {
  transport::TestAuthority authority;
  transport::TestDirectory directory;
  transport::IssuedCertificate issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
  std::string listen =
      "&cert=" + directory.write("cert.pem", issued.cert_pem) + "&key=" + directory.write("key.pem", issued.key_pem);
  std::string dial = "&ca=" + directory.write("ca.pem", authority.cert_pem());
};
const Certificates& certificates() {
  static const Certificates made;
  return made;
}

struct Outside {
  std::unique_ptr<Stream> stream;
  RecordingEvents events;

  void write(std::string_view text) { stream->write(chain_of(text), true); }
  void reset() { stream->close(CloseReason::local(ErrorCode::internal, "broken"), {-1ns}); }
  bool over() const { return events.read_ends != 0 || events.closed; }
  // "": it has not ended.
  std::string end() const {
    if (events.read_ends != 0) return "in order";
    if (!events.closed) return "";
    return events.closed->error.cause.value() == ECONNRESET ? "reset" : to_string(*events.closed);
  }
};

// client -- relay -- backend, all on one loop, in virtual time.
struct World {
  explicit World(const std::string& kind = "tcp", const std::string& parameters = "") {
    const bool tls = kind == "tls" || kind == "wss";
    const bool ws = kind == "ws" || kind == "wss";
    Connection front =
        connected(kind + "://127.0.0.1:0?congestion=reno" + (tls ? certificates().listen : "") + parameters,
                  "?congestion=reno" + (tls ? certificates().dial : "") + parameters);
    Connection back = connected("tcp://127.0.0.1:0?congestion=reno" + parameters, "?congestion=reno" + parameters);
    client.stream = std::move(front.client);
    backend.stream = std::move(back.server);
    client.stream->start(client.events);
    backend.stream->start(backend.events);
    to_client = {.stream = std::move(front.server), .messages = ws};
    to_backend.stream = std::move(back.client);
  }

  Connection connected(const std::string& listen, const std::string& dial) {
    auto connection = transport::connect_through(transport::default_transports(), loop, listen, dial);
    WAYPORT_ASSERT(connection.has_value(), connection ? "" : connection.error().detail.c_str());
    return *std::move(connection);
  }
  void join() {
    relay = std::make_unique<Relay>(std::move(to_client), std::move(to_backend), options,
                                    [this](const RelayReport& r) { report = r; });
    relay->start();
  }
  // False: it should splice, and does not.
  bool join(ZeroCopy policy) {
    options.pipes = &pool;
    options.zero_copy = policy;
    join();
    return policy != ZeroCopy::always || until([&] { return relay->mode() == RelayMode::splice; });
  }
  bool until(const std::function<bool()>& done) { return run_until(loop, done); }
  // One sends, the other does not read, and the relay is full.
  void fill_up(Outside& sender, Outside& sleeper, RelaySide side) {
    sleeper.stream->read(false);
    sender.write(std::string(8'700'000, 'x'));
    std::uint64_t before = 0;
    ASSERT_TRUE(until([&] { return relay->bytes_from(side) > 0; }));
    do {
      before = relay->bytes_from(side);
      for (int i = 0; i < 20; ++i) loop.run_turn(1ms);
    } while (relay->bytes_from(side) != before);
  }
  void fill_up() { fill_up(backend, client, RelaySide::backend); }

  ManualClock clock;
  Loop loop{LoopOptions{.clock = &clock}};
  Outside client, backend;
  RelayEndpoint to_client, to_backend;
  RelayOptions options;
  PipePool pool;
  std::unique_ptr<Relay> relay;
  std::optional<RelayReport> report;
};

// A client that says it is done, as `wget` and `nc -N` do, and is owed an answer.
TEST(RelayReset, AHalfClosedClientHearsOfTheBackendsReset) {
  for (const std::string kind : {"tcp", "tls", "ws", "wss"}) {
    SCOPED_TRACE(kind);
    World w(kind);
    w.join();
    w.client.write("ask");
    w.client.stream->shutdown_write();
    ASSERT_TRUE(w.until([&] { return w.backend.events.read_ends == 1; }));
    w.backend.write(std::string(100'000, 'x'));
    ASSERT_TRUE(w.until([&] { return w.relay->bytes_from(RelaySide::backend) == 100'000; }));
    w.backend.reset();
    ASSERT_TRUE(w.until([&] { return w.report && w.client.over(); }));
    EXPECT_EQ(w.client.end(), "reset");
    EXPECT_EQ(w.report->end, RelayEnd::backend_failed);
  }
}

// The relay does not read the backend while the client is slow, so it learns of the reset as soon as the client reads on.
TEST(RelayReset, ASlowClientHearsOfTheBackendsResetThoughBytesAreQueuedForIt) {
  for (const std::string kind : {"tcp", "tls", "ws"}) {
    SCOPED_TRACE(kind);
    World w(kind, kSmall);
    w.join();
    w.fill_up();
    ASSERT_GT(w.relay->stream(RelaySide::client).queued(), 0u);
    w.backend.reset();
    w.client.stream->read(true);
    ASSERT_TRUE(w.until([&] { return w.report && w.client.over(); }));
    EXPECT_EQ(w.report->end, RelayEnd::backend_failed);
    EXPECT_LT(w.client.events.received.size(), 8'700'000u);
    if (kind == "ws") {
      ASSERT_TRUE(w.client.events.closed) << w.client.end();
      EXPECT_EQ(w.client.events.closed->error.code, ErrorCode::internal) << "1011";
    } else {
      EXPECT_EQ(w.client.end(), "reset");
    }
  }
}

// It cannot be read, because the backend takes nothing: its end is heard all the same, and the backend is released.
TEST(RelayReset, ASideThatIsNotReadAndIsResetEndsTheRelay) {
  for (const ZeroCopy policy : {ZeroCopy::never, ZeroCopy::always}) {
    for (const bool client_breaks : {true, false}) {
      SCOPED_TRACE(std::to_string(static_cast<int>(policy)) + std::to_string(client_breaks));
      World w("tcp", kSmall);
      ASSERT_TRUE(w.join(policy));
      Outside& breaks = client_breaks ? w.client : w.backend;
      Outside& sleeps = client_breaks ? w.backend : w.client;
      const RelaySide side = client_breaks ? RelaySide::client : RelaySide::backend;
      w.fill_up(breaks, sleeps, side);
      breaks.reset();
      ASSERT_TRUE(w.until([&] { return w.report.has_value(); }));
      EXPECT_EQ(w.report->end, client_breaks ? RelayEnd::client_failed : RelayEnd::backend_failed);
      sleeps.stream->read(true);
      ASSERT_TRUE(w.until([&] { return sleeps.over(); }));
      EXPECT_EQ(sleeps.end(), "reset");
    }
  }
}

TEST(RelayReset, BothAreResetWhenTheOtherDirectionLingers) {
  struct Case {
    bool client_first;
    bool owed;
  };
  for (const Case c : {Case{true, false}, Case{true, true}, Case{false, false}}) {
    SCOPED_TRACE(std::to_string(c.client_first) + std::to_string(c.owed));
    World w("tcp", kSmall);
    w.options.linger = 10s;
    w.join();
    if (c.owed) w.fill_up();
    Outside& first = c.client_first ? w.client : w.backend;
    Outside& second = c.client_first ? w.backend : w.client;
    first.stream->shutdown_write();
    ASSERT_TRUE(w.until([&] { return second.events.read_ends == 1; }));
    w.loop.advance(9900ms);
    ASSERT_FALSE(w.report);
    w.loop.advance(200ms);
    ASSERT_TRUE(w.until([&] { return w.report.has_value(); }));
    EXPECT_EQ(w.report->end, RelayEnd::lingered);
    w.client.stream->read(true);
    ASSERT_TRUE(w.until([&] { return first.over(); }));
    EXPECT_EQ(first.end(), "reset");
    // The second has read an end, and nothing more is to be read: a reset shows at the first write.
    second.write("late");
    ASSERT_TRUE(w.until([&] { return second.events.closed.has_value(); }));
    EXPECT_EQ(second.events.closed->error.cause.value(), EPIPE);
  }
}

TEST(RelayReset, AnIdleRelayEndsInOrderUnlessSomethingWasOnItsWay) {
  for (const ZeroCopy policy : {ZeroCopy::never, ZeroCopy::always}) {
    for (const bool owed : {false, true}) {
      SCOPED_TRACE(std::to_string(static_cast<int>(policy)) + std::to_string(owed));
      World w("tcp", kSmall);
      w.options.idle = 10s;
      ASSERT_TRUE(w.join(policy));
      if (owed) w.fill_up();
      // The queue has shrunk since idleness was last judged, which counts once.
      w.loop.advance(30s);
      ASSERT_TRUE(w.until([&] { return w.report.has_value(); }));
      EXPECT_EQ(w.report->end, RelayEnd::idle);
      w.client.stream->read(true);
      ASSERT_TRUE(w.until([&] { return w.client.over(); }));
      EXPECT_EQ(w.client.end(), owed ? "reset" : "in order");
    }
  }
}

TEST(RelayReset, CloseWithoutALingerResetsWhatItCutsShort) {
  for (const ZeroCopy policy : {ZeroCopy::never, ZeroCopy::always}) {
    for (const bool owed : {false, true}) {
      SCOPED_TRACE(std::to_string(static_cast<int>(policy)) + std::to_string(owed));
      World w("tcp", kSmall);
      ASSERT_TRUE(w.join(policy));
      if (owed) w.fill_up();
      w.relay->close(CloseReason::local(ErrorCode::local_closed, "the gateway stops"));
      ASSERT_TRUE(w.until([&] { return w.report.has_value(); }));
      EXPECT_EQ(w.report->end, RelayEnd::local);
      w.client.stream->read(true);
      ASSERT_TRUE(w.until([&] { return w.client.over(); }));
      EXPECT_EQ(w.client.end(), owed ? "reset" : "in order");
    }
  }
}

}  // namespace
}  // namespace wayport::relay
