// Listeners that hand connections to loops on other threads, under load and at their end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::transport {
namespace {

// Echoes; owns itself, on its loop.
struct Echo final : StreamEvents {
  explicit Echo(std::unique_ptr<Stream> which) : stream(std::move(which)) { stream->start(*this); }
  std::size_t on_bytes(MutableBytes bytes, bool) override {
    stream->write(chain_of(as_text(bytes)));
    return bytes.size();
  }
  void on_writable() override {}
  void on_read_end() override {
    stream->close(CloseReason::local(ErrorCode::local_closed, "echoed"), {std::chrono::seconds(1)});
  }
  void on_closed(const CloseReason&) override { delete this; }
  std::unique_ptr<Stream> stream;
};

class ThreadsTest : public ::testing::Test {
 protected:
  ThreadsTest() {
    for (Loop& loop : loops) {
      options.loops.push_back(&loop);
      threads.emplace_back([&loop] { loop.run(); });
    }
    options.counters = &counters;
    const IssuedCertificate issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
    server_identity = "?cert=" + directory.write("c", issued.cert_pem) + "&key=" + directory.write("k", issued.key_pem);
    trust = "?ca=" + directory.write("ca", authority.cert_pem());
  }
  ~ThreadsTest() override { stop(); }
  void stop() {
    for (Loop& loop : loops) loop.stop();
    for (std::thread& thread : threads) {
      if (thread.joinable()) thread.join();
    }
  }

  void echo_through(const std::string& listen, const std::string& dial_parameters) {
    auto listener = all.listen(home, *Address::parse(listen), options);
    ASSERT_TRUE(listener) << listener.error().to_string();
    (*listener)->start([](std::unique_ptr<Incoming> incoming) { new Echo(incoming->accept()); });
    for (int round = 0; round < 4; ++round) {
      DialOutcome dials[8];
      for (DialOutcome& dial : dials) dial_into(dial, all, home, dial_address(**listener, dial_parameters));
      RecordingEvents events[8];
      for (int i = 0; i < 8; ++i) {
        ASSERT_TRUE(run_until(home, [&] { return dials[i].done(); }));
        ASSERT_TRUE(*dials[i].result) << dials[i].error();
        (**dials[i].result)->start(events[i]);
        (**dials[i].result)->write(chain_of("hello"));
      }
      for (int i = 0; i < 8; ++i) {
        EXPECT_TRUE(run_until(home, [&] { return events[i].received == "hello"; }));
        (**dials[i].result)->shutdown_write();
      }
      for (int i = 0; i < 8; ++i) EXPECT_TRUE(run_until(home, [&] { return events[i].closed.has_value(); }));
    }
  }

  Loop home;
  Loop loops[2];
  std::vector<std::thread> threads;
  ListenOptions options;
  ListenerCounters counters;
  Transports all = default_transports();
  TestDirectory directory;
  TestAuthority authority;
  std::string server_identity, trust;
};

TEST_F(ThreadsTest, TcpConnectionsEchoOnTheirLoops) { echo_through("tcp://127.0.0.1:0", ""); }
TEST_F(ThreadsTest, TlsConnectionsEchoOnTheirLoops) { echo_through("tls://127.0.0.1:0" + server_identity, trust); }

// Goal: a listener that goes while connections and handshakes are on their way to other threads leaves nothing behind,
// and calls nobody afterwards. Method: what the callback uses dies right after the listener.
TEST_F(ThreadsTest, ListenersMayGoAtAnyMoment) {
  for (const std::string& listen : {std::string("tcp://127.0.0.1:0"), "tls://127.0.0.1:0" + server_identity}) {
    for (int turns = 0; turns < 10; ++turns) {
      auto seen = std::make_unique<std::atomic<int>>(0);
      auto listener = all.listen(home, *Address::parse(listen), options);
      ASSERT_TRUE(listener) << listener.error().to_string();
      (*listener)->start([raw = seen.get()](std::unique_ptr<Incoming>) { raw->fetch_add(1); });
      DialOutcome dials[4];
      for (DialOutcome& dial : dials) {
        dial_into(dial, all, home, dial_address(**listener, listen.starts_with("tls") ? trust : ""));
      }
      for (int i = 0; i < turns; ++i) home.run_turn(std::chrono::milliseconds(1));
      listener->reset();
      seen.reset();
    }
  }
  stop();
}

}  // namespace
}  // namespace wayport::transport
