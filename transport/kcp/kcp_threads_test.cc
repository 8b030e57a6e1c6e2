// Listeners whose sessions live on loops of other threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/transport/kcp/kcp_testing.h"
#include "wayport/transport/kcp/kcp_transport.h"
#include "wayport/transport/kcp/testing/lossy_link.h"

namespace wayport::transport::kcp {
namespace {

using namespace std::chrono_literals;
using testing::End;
using testing::LossyLink;

constexpr const char* kFast = "?mode=fast3&sndwnd=128&rcvwnd=128&extension=1&keepalive=1s";

// Echoes; owns itself, on its loop.
struct Echo final : StreamEvents {
  explicit Echo(std::unique_ptr<Stream> which) : stream(std::move(which)) { stream->start(*this); }
  std::size_t on_bytes(MutableBytes bytes, bool) override {
    stream->write(chain_of(as_text(bytes)));
    return bytes.size();
  }
  void on_writable() override {}
  void on_read_end() override {
    stream->close(CloseReason::local(ErrorCode::local_closed, "echoed"), {std::chrono::seconds(5)});
  }
  void on_closed(const CloseReason&) override { delete this; }
  std::unique_ptr<Stream> stream;
};

class KcpThreads : public ::testing::Test {
 protected:
  KcpThreads() {
    all.add("kcp", transport);
    for (Loop& loop : loops) {
      options.loops.push_back(&loop);
      threads.emplace_back([&loop] { loop.run(); });
    }
    options.counters = &counters;
  }
  ~KcpThreads() override { stop(); }
  void stop() {
    for (Loop& loop : loops) loop.stop();
    for (std::thread& thread : threads) {
      if (thread.joinable()) thread.join();
    }
    // All, before the first is destroyed.
    for (Loop& loop : loops) loop.close();
    home.close();
  }
  std::unique_ptr<Listener> listen(const std::string& parameters) {
    auto made = all.listen(home, *Address::parse("kcp://127.0.0.1:0" + parameters), options);
    EXPECT_TRUE(made) << made.error().to_string();
    (*made)->start([this](std::unique_ptr<Incoming> incoming) {
      {
        const std::lock_guard lock(mutex);
        ++accepted[Loop::current()];
      }
      new Echo(incoming->accept());
    });
    return *std::move(made);
  }
  std::uint64_t counter(std::string_view name) const {
    for (const auto& [its_name, value] : transport->statistics()) {
      if (its_name == name) return value;
    }
    return 0;
  }
  // Every session sends, gets it back, and ends in order.
  void echo_many(const std::string& parameters, std::uint16_t port, std::size_t count) {
    std::deque<DialOutcome> dials(count);
    std::deque<End> ends(count);
    for (DialOutcome& dial : dials) dial_into(dial, all, home, "kcp://127.0.0.1:" + std::to_string(port) + parameters);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(run_until(home, [&] { return dials[i].done(); }));
      ASSERT_TRUE(*dials[i].result) << dials[i].error();
      ends[i].begin(std::move(**dials[i].result));
    }
    const std::string sent(20'000, 'x');
    for (End& end : ends) end.write(sent);
    for (End& end : ends) {
      ASSERT_TRUE(run_until(home, [&] { return end.events.received.size() == sent.size(); }, 60s));
      end.stream->shutdown_write();
    }
    for (End& end : ends) {
      EXPECT_TRUE(run_until(home, [&] { return end.events.closed.has_value(); }, 60s));
      EXPECT_EQ(end.events.read_ends, 1u);
    }
    EXPECT_TRUE(run_until(home, [&] { return counter("CurrEstab") == 0; }, 60s));
  }

  Loop home;
  Loop loops[2];
  std::vector<std::thread> threads;
  Transports all;
  std::shared_ptr<KcpTransport> transport = std::make_shared<KcpTransport>();
  ListenOptions options;
  ListenerCounters counters;
  std::mutex mutex;
  std::map<Loop*, std::size_t> accepted;
};

TEST_F(KcpThreads, TwoHundredSessionsOnTwoLoops) {
  const auto listener = listen(kFast);
  echo_many(kFast, listener->address().port(), 200);
  EXPECT_EQ(counters.accepted.load(), 200u);
  const std::lock_guard lock(mutex);
  ASSERT_EQ(accepted.size(), 2u);
  for (const auto& [loop, count] : accepted) EXPECT_GT(count, 50u);
}

TEST_F(KcpThreads, ASocketForEachLoop) {
  const auto listener = listen(std::string(kFast) + "&reuseport=1");
  echo_many(kFast, listener->address().port(), 100);
  const std::lock_guard lock(mutex);
  ASSERT_EQ(accepted.size(), 2u);
}

TEST_F(KcpThreads, TheListenersLoopMayBeOneOfThem) {
  options.loops.push_back(&home);
  const auto listener = listen(kFast);
  echo_many(kFast, listener->address().port(), 60);
  const std::lock_guard lock(mutex);
  EXPECT_EQ(accepted.size(), 3u);
}

TEST_F(KcpThreads, ASessionIsFoundWhenItMovesToAnAddressOfAnotherLoops) {
  const std::string parameters = std::string(kFast) + "&crypt=aes-128-gcm&key=000102030405060708090a0b0c0d0e0f";
  const auto listener = listen(parameters);
  LossyLink link(home, *SocketAddress::from_ip("127.0.0.1", listener->address().port()));
  DialOutcome dial;
  dial_into(dial, all, home, "kcp://127.0.0.1:" + std::to_string(link.port()) + parameters);
  ASSERT_TRUE(run_until(home, [&] { return dial.done(); }));
  End end;
  end.begin(std::move(**dial.result));
  std::size_t sent = 0;
  for (int move = 0; move < 12; ++move) {
    end.write(std::string(30'000, 'm'));
    sent += 30'000;
    ASSERT_TRUE(run_until(home, [&] { return end.events.received.size() == sent; })) << move;
    link.rebind();
  }
  EXPECT_EQ(counters.accepted.load(), 1u);
  EXPECT_EQ(counter("PathChanges"), 11u);
  end.stream->close(CloseReason::local(ErrorCode::local_closed, ""));
  EXPECT_TRUE(run_until(home, [&] { return counter("CurrEstab") == 0; }));
}

// Counts what comes; owns itself, on its loop.
struct Sink final : StreamEvents {
  Sink(std::unique_ptr<Stream> which, std::atomic<std::size_t>& bytes) : stream(std::move(which)), count(bytes) {
    stream->start(*this);
  }
  std::size_t on_bytes(MutableBytes bytes, bool) override {
    count += bytes.size();
    return bytes.size();
  }
  void on_writable() override {}
  void on_read_end() override {}
  void on_closed(const CloseReason&) override { delete this; }
  std::unique_ptr<Stream> stream;
  std::atomic<std::size_t>& count;
};

TEST_F(KcpThreads, AnUploadThatMovedLosesNothingBetweenTheLoops) {
  const std::string parameters =
      "?mode=normal&sndwnd=1024&rcvwnd=1024&idle_timeout=3s"
      "&crypt=aes-128-gcm&key=000102030405060708090a0b0c0d0e0f";
  std::atomic<std::size_t> received{0};
  auto made = all.listen(home, *Address::parse("kcp://127.0.0.1:0" + parameters), options);
  ASSERT_TRUE(made) << made.error().to_string();
  const std::unique_ptr<Listener> listener = *std::move(made);
  listener->start([&received](std::unique_ptr<Incoming> incoming) { new Sink(incoming->accept(), received); });
  LossyLink link(home, *SocketAddress::from_ip("127.0.0.1", listener->address().port()));
  DialOutcome dial;
  dial_into(dial, all, home, "kcp://127.0.0.1:" + std::to_string(link.port()) + parameters);
  ASSERT_TRUE(run_until(home, [&] { return dial.done(); }));
  End end;
  end.begin(std::move(**dial.result));
  // Each time to an address of the same loop or of the other.
  std::size_t sent = 0;
  for (int move = 0; move < 8; ++move) {
    end.write(std::string(1 << 20, 'm'));
    sent += 1 << 20;
    ASSERT_TRUE(run_until(home, [&] { return received == sent; }, 60s)) << move;
    link.rebind();
  }
  EXPECT_GE(counter("PathChanges"), 7u);
  EXPECT_EQ(counter("LoopDrops"), 0u);
  end.stream->close(CloseReason::local(ErrorCode::local_closed, ""));
  EXPECT_TRUE(run_until(home, [&] { return counter("CurrEstab") == 0; }));
}

TEST_F(KcpThreads, FinishWaitsForEveryLoop) {
  auto listener = listen(kFast);
  echo_many(kFast, listener->address().port(), 10);
  bool done = false;
  listener->finish([&] {
    done = true;
    listener.reset();
  });
  EXPECT_TRUE(run_until(home, [&] { return done; }));
  EXPECT_EQ(listener, nullptr);
}

TEST_F(KcpThreads, AListenerMayGoUnderTraffic) {
  for (int round = 0; round < 5; ++round) {
    auto listener = listen("?mode=fast3&idle_timeout=1s");
    std::deque<DialOutcome> dials(20);
    std::deque<End> ends(20);
    for (DialOutcome& dial : dials) dial_into(dial, all, home, dial_address(*listener, "?mode=fast3"));
    home.drain();
    for (std::size_t i = 0; i < dials.size(); ++i) {
      ends[i].begin(std::move(**dials[i].result));
      ends[i].write("hello");
    }
    home.run_turn();
    listener.reset();
    for (End& end : ends) end.stream.reset();
    home.drain();
  }
  // What was on its way to the loops has arrived.
  std::atomic<int> passed{0};
  for (Loop& loop : loops) loop.post([&passed] { ++passed; });
  ASSERT_TRUE(run_until(home, [&] { return passed == 2; }));
  // What lives on has no listener any more, and ends by its silence.
  EXPECT_TRUE(run_until(home, [&] { return counter("CurrEstab") == 0; }));
}

}  // namespace
}  // namespace wayport::transport::kcp
