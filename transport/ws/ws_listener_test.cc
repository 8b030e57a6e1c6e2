// What a websocket listener and the layer below it agree on before they show a connection: one place, and one time.
#include "wayport/transport/ws/ws_listener.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/log_testing.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"
#include "wayport/transport/tls/tls_transport.h"
#include "wayport/transport/ws/ws_transport.h"

namespace wayport::transport {
namespace {

using namespace std::chrono_literals;

class WsListenerTest : public ::testing::Test {
 protected:
  WsListenerTest() {
    all.add("ws", std::make_shared<WsTransport>());
    all.add("wss", std::make_shared<WsTransport>());
    all.add("tls", std::make_shared<TlsTransport>(&log));
    all.add("tcp", std::make_shared<TcpTransport>());
    all.add("late", std::make_shared<MemoryTransport>(MemoryOptions{.latency = 500ms}));
    options.log = &log;
    options.counters = &counters;
  }

  std::string identity() {
    const IssuedCertificate issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
    return "cert=" + directory.write("s.pem", issued.cert_pem) + "&key=" + directory.write("s.key", issued.key_pem);
  }
  void listening(const std::string& address) {
    auto made = all.listen(loop, *Address::parse(address), options);
    ASSERT_TRUE(made) << made.error().to_string();
    listener = *std::move(made);
    listener->start([this](std::unique_ptr<Incoming> one) { incoming.push_back(std::move(one)); });
  }
  bool until(const std::function<bool()>& done) { return run_until(loop, done); }

  ManualClock clock;
  MemoryLog log;
  ListenerCounters counters;
  TestDirectory directory;
  TestAuthority authority;
  Transports all;
  Loop loop{{.clock = &clock}};
  ListenOptions options;
  std::vector<std::unique_ptr<Incoming>> incoming;
  std::unique_ptr<Listener> listener;
};

struct CountedPlace final : ConnectionPlace {
  explicit CountedPlace(int& its_count) : count(its_count) { ++count; }
  ~CountedPlace() override { --count; }
  int& count;
};

// One place through all handshakes of a connection, asked for before the first, given back at the end of the last.
TEST_F(WsListenerTest, ConnectionsAreAdmittedOnceBeforeTheirHandshakes) {
  const std::string ca = "?ca=" + directory.write("ca.pem", authority.cert_pem());
  int places = 0, asked = 0;
  options.admit = [&](const SocketAddress&) -> Result<std::unique_ptr<ConnectionPlace>> {
    ++asked;
    if (places == 2) return fail(ErrorCode::overloaded, "two are enough");
    return std::make_unique<CountedPlace>(places);
  };
  for (const auto& [listen, dial] : {std::pair<std::string, std::string>{"ws://127.0.0.1:0", ""},
                                     {"wss://127.0.0.1:0?" + identity(), ca},
                                     {"tls://127.0.0.1:0?" + identity(), ca}}) {
    SCOPED_TRACE(listen);
    listening(listen);
    const std::string plain = "tcp://127.0.0.1:" + std::to_string(listener->address().port());
    DialOutcome silent;
    dial_into(silent, all, loop, plain);
    ASSERT_TRUE(until([&] { return silent.done() && asked == 1; }));
    DialOutcome outcome;
    dial_into(outcome, all, loop, dial_address(*listener, dial));
    ASSERT_TRUE(until([&] { return incoming.size() == 1; }));
    EXPECT_EQ(asked, 2);
    EXPECT_EQ(places, 2);
    DialOutcome third;
    dial_into(third, all, loop, plain);
    ASSERT_TRUE(until([&] { return third.done(); }));
    ASSERT_TRUE(third.result->has_value()) << third.error();
    RecordingEvents events;
    (**third.result)->start(events);
    ASSERT_TRUE(until([&] { return events.read_ends == 1 || events.closed; }));
    EXPECT_EQ(asked, 3);
    EXPECT_EQ(log.count("two are enough"), 1u);
    EXPECT_EQ(counters.handshakes_refused.exchange(0), 1u);
    std::unique_ptr<ConnectionPlace> place = incoming[0]->take_place();
    ASSERT_NE(place, nullptr);
    incoming.clear();
    loop.drain();
    EXPECT_EQ(places, 2);
    place.reset();
    EXPECT_EQ(places, 1);
    listener.reset();
    EXPECT_EQ(places, 0) << "the listener ends its handshakes";
    asked = 0;
    log.clear();
  }
}

// The time for a TLS handshake and for the upgrade over it is one.
TEST_F(WsListenerTest, LayersShareTheTimeForTheHandshake) {
  options.handshake_timeout = 4s;
  listening("ws+tls+late://x?" + identity());
  DialOutcome silent;
  dial_into(silent, all, loop, "tls+late://x?insecure=1");
  loop.advance(3900ms);
  EXPECT_TRUE(silent.done()) << "the tls handshake took above a second of it";
  EXPECT_EQ(counters.handshakes_failed.load(), 0u);
  loop.advance(700ms);
  EXPECT_EQ(counters.handshakes_failed.load(), 1u);
}

}  // namespace
}  // namespace wayport::transport
