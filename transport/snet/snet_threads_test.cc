// snet on several loops and real sockets: sessions that live on another thread than the one where their client comes
// back, and connections that are really cut.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/transport/snet/snet_testing.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/tls/tls_transport.h"

namespace wayport::transport {
namespace {

using ::testing::IsEmpty;

// Echoes; owns itself, on its loop.
struct Echo final : StreamEvents {
  static inline std::atomic<int> alive = 0;
  explicit Echo(std::unique_ptr<Stream> which) : stream(std::move(which)) {
    ++alive;
    stream->start(*this);
  }
  ~Echo() { --alive; }
  std::size_t on_bytes(MutableBytes bytes, bool) override {
    stream->write(chain_of(as_text(bytes)));
    return bytes.size();
  }
  void on_writable() override {}
  void on_read_end() override {}
  void on_closed(const CloseReason&) override { delete this; }
  std::unique_ptr<Stream> stream;
};

class SnetThreads : public ::testing::Test {
 protected:
  SnetThreads() {
    all.add("tcp", network);
    all.add("tls", std::make_shared<TlsTransport>());
    all.add("snet", snet);
    for (Loop& loop : loops) {
      options.loops.push_back(&loop);
      threads.emplace_back([&loop] { loop.run(); });
    }
    const IssuedCertificate issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
    identity = "cert=" + directory.write("c", issued.cert_pem) + "&key=" + directory.write("k", issued.key_pem);
    trust = "ca=" + directory.write("ca", authority.cert_pem());
  }
  ~SnetThreads() override {
    for (Loop& loop : loops) loop.stop();
    for (std::thread& thread : threads) thread.join();
    for (Loop& loop : loops) loop.close();
  }

  // Goal: what an echo gives back is what was written, whatever is cut. Method: `cuts` connections are cut at random
  // moments while bytes are under way; at most half a ring is unread at any time.
  void echo_through_cuts(const std::string& listen, const std::string& parameters, std::size_t cuts) {
    constexpr std::size_t kUnreadMax = 100'000;
    const std::uint64_t seed = test_seed();
    SCOPED_TRACE("WAYPORT_TEST_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    auto listener = all.listen(home, *Address::parse(listen), options);
    ASSERT_TRUE(listener) << listener.error().to_string();
    (*listener)->start([](std::unique_ptr<Incoming> incoming) { new Echo(incoming->accept()); });
    DialOutcome outcome;
    dial_into(outcome, all, home, dial_address(**listener, parameters));
    ASSERT_TRUE(run_until(home, [&] { return outcome.done(); }));
    ASSERT_TRUE(*outcome.result) << outcome.error();
    auto end = std::make_unique<SnetEnd>(*std::move(*outcome.result));
    std::string written;
    std::size_t checked = 0;
    const auto check = [&] {
      const std::string& got = end->events.received;
      EXPECT_TRUE(std::string_view(got).substr(checked) ==
                  std::string_view(written).substr(checked, got.size() - checked));
      checked = got.size();
    };
    while (network->cuts < cuts && !HasFailure()) {
      for (std::size_t moves = random() % 20; moves > 0; --moves) {
        std::string piece(
            std::min<std::size_t>(random() % 20'000, kUnreadMax - (written.size() - end->events.received.size())),
            '\0');
        for (char& c : piece) c = static_cast<char>(random());
        written += piece;
        end->write(piece);
        home.run_turn(std::chrono::milliseconds(1));
      }
      const std::size_t dials = network->dials;
      const std::size_t cut = network->cuts;
      network->cut_all();
      if (network->cuts == cut) continue;  // it is on its way back
      ASSERT_TRUE(run_until(home, [&] {
        end->stream->reconnect_now();  // in place of its back-off
        return network->dials > dials || end->events.closed;
      }));
      ASSERT_FALSE(end->events.closed) << end->closed();
      check();
    }
    ASSERT_TRUE(run_until(home, [&] { return end->events.received.size() == written.size() || end->events.closed; }))
        << end->closed();
    check();
    EXPECT_EQ(checked, written.size());
    EXPECT_THAT(end->events.faults, IsEmpty());
    EXPECT_EQ(snet->counters().gave_up, 0u);
    EXPECT_EQ(snet->counters().opened, 2u);
    if (cuts > 20) EXPECT_GT(snet->counters().moved, 0u);
    std::printf("%zu cuts, %zu bytes, %llu connections moved between loops\n", network->cuts, written.size(),
                static_cast<unsigned long long>(snet->counters().moved.load()));
    end.reset();
    listener->reset();
    // Without a listener, a session ends with its connection.
    EXPECT_TRUE(run_until(home, [] { return Echo::alive == 0; }));
  }

  Loop home;
  Loop loops[2];
  std::vector<std::thread> threads;
  ListenOptions options;
  std::shared_ptr<CuttingTransport> network = std::make_shared<CuttingTransport>(std::make_shared<TcpTransport>());
  std::shared_ptr<SnetTransport> snet = std::make_shared<SnetTransport>();
  Transports all;
  TestDirectory directory;
  TestAuthority authority;
  std::string identity, trust;
};

std::size_t scaled(std::size_t count) {
  return std::max<std::size_t>(5, static_cast<std::size_t>(static_cast<double>(count) * test_scale()));
}

// The ring holds what is unread in both directions, kernel buffers included.
TEST_F(SnetThreads, TcpLosesNothingInAHundredCuts) {
  echo_through_cuts("snet+tcp://127.0.0.1:0?buffer=256KiB", "?buffer=256KiB", scaled(100));
}
TEST_F(SnetThreads, TcpEncryptedLosesNothingInAHundredCuts) {
  echo_through_cuts("snet+tcp://127.0.0.1:0?buffer=256KiB&encrypt=1", "?buffer=256KiB&encrypt=1", scaled(100));
}
// A TLS connection cannot be moved as a socket: it is bridged to the loop of its session.
TEST_F(SnetThreads, TlsLosesNothing) {
  echo_through_cuts("snet+tls://127.0.0.1:0?buffer=256KiB&" + identity, "?buffer=256KiB&" + trust, scaled(50));
}

TEST_F(SnetThreads, ListenersMayGoAtAnyMoment) {
  for (int turns = 0; turns < 10; ++turns) {
    auto seen = std::make_unique<std::atomic<int>>(0);
    auto listener = all.listen(home, *Address::parse("snet+tcp://127.0.0.1:0"), options);
    ASSERT_TRUE(listener) << listener.error().to_string();
    (*listener)->start([raw = seen.get()](std::unique_ptr<Incoming>) { raw->fetch_add(1); });
    DialOutcome dials[4];
    for (DialOutcome& dial : dials) dial_into(dial, all, home, dial_address(**listener));
    for (int i = 0; i < turns; ++i) home.run_turn(std::chrono::milliseconds(1));
    listener->reset();
    seen.reset();
  }
}

}  // namespace
}  // namespace wayport::transport
