// Pools against real peers on loopback. What has to happen first is waited for; nothing waits for time to pass.
#include "wayport/rpc/pool/session_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <thread>

namespace wayport::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class SessionPoolTest : public ::testing::Test {
 protected:
  SessionPoolTest() : runtime_({.loops = 2, .log = &null_log()}), client_(runtime_) { EXPECT_TRUE(client_.start()); }

  std::unique_ptr<Peer> serve(const std::string& address = "tcp://127.0.0.1:0") {
    PeerOptions options;
    options.listen = {address};
    auto peer = std::make_unique<Peer>(runtime_, options);
    peer->router().on_pull("/twice", [this](int v) {
      executed_.fetch_add(1);
      return 2 * v;
    });
    // The first call of all loses its connection, the next ones are answered.
    peer->router().on_pull("/drop_once", [this](Context& context) {
      if (executed_.fetch_add(1) == 0) context.session().abort("dropped");
      return 7;
    });
    peer->router().on_pull("/refuse", [this]() {
      executed_.fetch_add(1);
      return Status::make(code::kServiceUnavailable, "the handler says so");
    });
    const Result<void> started = peer->start();
    EXPECT_TRUE(started) << started.error().to_string();
    return peer;
  }
  static std::string address_of(const Peer& peer) { return peer.addresses().at(0); }

  std::atomic<int> executed_{0};
  Runtime runtime_;
  Peer client_;
};

TEST_F(SessionPoolTest, PullsFromThreadsAndCoroutinesGoOverAllSessions) {
  const std::unique_ptr<Peer> server = serve();
  SessionPool pool(client_, {.addresses = {address_of(*server)}, .sessions = 3});
  EXPECT_EQ(pool.pull_blocking<int>("/twice", 21).value(), 42);
  auto future = asio::co_spawn(
      pool.loop().asio(),
      [&]() -> asio::awaitable<int> {
        int sum = 0;
        // Each pull is a round trip, in which the other dials get on.
        while (pool.open_sessions() < 3) static_cast<void>(co_await pool.pull<int>("/twice", 0));
        executed_.store(0);
        for (int i = 0; i < 9; ++i) sum += (co_await pool.pull<int>("/twice", i)).value();
        co_return sum;
      },
      asio::use_future);
  EXPECT_EQ(future.get(), 72);
  EXPECT_EQ(server->session_count(), 3u);
  EXPECT_EQ(executed_.load(), 9);
}

// The heart of it: a server that goes while pulls are under way costs none of them, and none runs twice.
TEST_F(SessionPoolTest, AServerThatClosesGracefullyLosesNoPullAndRunsNoneTwice) {
  constexpr int kPulls = 3000;
  constexpr int kOutstanding = 64;
  std::unique_ptr<Peer> going = serve();
  const std::unique_ptr<Peer> staying = serve();
  SessionPool pool(client_, {.addresses = {address_of(*going), address_of(*staying)}});
  std::atomic<int> made{0};
  std::atomic<int> done{0};
  std::atomic<int> failed{0};
  std::promise<void> all;
  std::promise<void> third;
  std::function<void()> next = [&] {
    const int number = made.fetch_add(1);
    if (number >= kPulls) return;
    pool.pull_async<int>("/twice", number, {}, [&, number](Reply<int> reply) {
      if (!reply.ok() || *reply != 2 * number) failed.fetch_add(1);
      const int now_done = done.fetch_add(1) + 1;
      if (now_done == kPulls / 3) third.set_value();
      if (now_done == kPulls) return all.set_value();
      next();
    });
  };
  for (int i = 0; i < kOutstanding; ++i) next();
  third.get_future().wait();
  going->close_blocking();
  ASSERT_EQ(all.get_future().wait_for(seconds(60)), std::future_status::ready);
  EXPECT_EQ(failed.load(), 0);
  EXPECT_EQ(executed_.load(), kPulls);
  EXPECT_GE(pool.counters().dials.read(), 2u);
}

TEST_F(SessionPoolTest, ALostPullIsMadeOnceMoreOnlyIfItIsIdempotent) {
  const std::unique_ptr<Peer> server = serve();
  {
    SessionPool pool(client_, {.addresses = {address_of(*server)}});
    const Reply<int> lost = pool.pull_blocking<int>("/drop_once");
    EXPECT_EQ(lost.status().code, code::kConnectionClosed);
    EXPECT_EQ(executed_.load(), 1);
    EXPECT_EQ(pool.counters().pulls_repeated.read(), 0u);
  }
  executed_.store(0);
  SessionPool pool(client_, {.addresses = {address_of(*server)}});
  EXPECT_EQ(pool.pull_blocking<int>("/drop_once", framing::NoBody(), {.idempotent = true}).value(), 7);
  EXPECT_EQ(executed_.load(), 2);
  EXPECT_EQ(pool.counters().pulls_repeated.read(), 1u);
}

TEST_F(SessionPoolTest, WhatAHandlerAnsweredIsNeverMadeAgain) {
  const std::unique_ptr<Peer> server = serve();
  SessionPool pool(client_, {.addresses = {address_of(*server)}});
  const Reply<void> refused = pool.pull_blocking("/refuse", framing::NoBody(), {.idempotent = true});
  EXPECT_EQ(refused.status().code, code::kServiceUnavailable);
  EXPECT_EQ(executed_.load(), 1);
}

TEST_F(SessionPoolTest, APullWaitsForAServerThatComesLater) {
  std::unique_ptr<Peer> first = serve();
  const std::string address = address_of(*first);
  SessionPoolOptions options{.addresses = {address}, .backoff = {.min = milliseconds(1), .max = milliseconds(5)}};
  options.wait_max = seconds(30);
  SessionPool pool(client_, options);
  EXPECT_EQ(pool.pull_blocking<int>("/twice", 1).value(), 2);
  first->close_blocking();
  first.reset();
  std::promise<Reply<int>> promise;
  pool.pull_async<int>("/twice", 4, {}, [&](Reply<int> reply) { promise.set_value(std::move(reply)); });
  const std::unique_ptr<Peer> second = serve(address);
  EXPECT_EQ(promise.get_future().get().value(), 8);
}

TEST_F(SessionPoolTest, AddressesMayChange) {
  const std::unique_ptr<Peer> first = serve();
  const std::unique_ptr<Peer> second = serve();
  std::atomic<int> opened{0};
  SessionPoolOptions options{.addresses = {address_of(*first)}};
  options.wait_max = seconds(30);
  options.on_open = [&](const Session& session) { opened.fetch_add(session.healthy() ? 1 : 0); };
  SessionPool pool(client_, options);
  EXPECT_EQ(pool.pull_blocking<int>("/twice", 1).value(), 2);
  EXPECT_EQ(second->session_count(), 0u);
  pool.set_addresses({address_of(*second)});
  EXPECT_EQ(pool.pull_blocking<int>("/twice", 2).value(), 4);
  EXPECT_EQ(second->session_count(), 1u);
  pool.set_addresses({});
  while (pool.open_sessions() != 0) std::this_thread::yield();
  const std::uint64_t waited = pool.counters().pulls_waited.read();
  auto waits = std::async(std::launch::async, [&] { return pool.pull_blocking<int>("/twice", 3); });
  while (pool.counters().pulls_waited.read() == waited) std::this_thread::yield();
  pool.set_addresses({address_of(*first)});
  EXPECT_EQ(waits.get().value(), 6);
  EXPECT_EQ(opened.load(), 3);
}

TEST_F(SessionPoolTest, WaitingIsBoundedInNumberAndInTime) {
  std::unique_ptr<Peer> gone = serve();
  const std::string address = address_of(*gone);
  gone->close_blocking();
  gone.reset();
  SessionPoolOptions options{.addresses = {address}, .backoff = {.min = milliseconds(20)}};
  options.wait_max = milliseconds(200);
  options.waiting_max = 2;
  SessionPool pool(client_, options);
  std::array<std::promise<Reply<int>>, 3> promises;
  for (std::promise<Reply<int>>& promise : promises) {
    pool.pull_async<int>("/twice", 4, {}, [&](Reply<int> reply) { promise.set_value(std::move(reply)); });
  }
  const Status third = promises[2].get_future().get().status();
  EXPECT_EQ(third.code, code::kServiceUnavailable);
  EXPECT_TRUE(third.text.starts_with("waiting_max reached: 2 pulls")) << third.text;
  EXPECT_TRUE(third.never_executed);
  for (int i = 0; i < 2; ++i) {
    const Status status = promises[static_cast<std::size_t>(i)].get_future().get().status();
    EXPECT_TRUE(status.text.starts_with("no session within wait_max 200ms; last dial: " + address)) << status.text;
    EXPECT_TRUE(status.never_executed);
  }
  EXPECT_EQ(pool.counters().pulls_waited.read(), 2u);
  EXPECT_EQ(pool.counters().pulls_refused.read(), 3u);
}

TEST_F(SessionPoolTest, TheEndOfAPoolEndsWhatWaits) {
  std::promise<Reply<int>> promise;
  {
    SessionPoolOptions options{.addresses = {"tcp://127.0.0.1:1"}};
    SessionPool pool(client_, options);
    pool.pull_async<int>("/twice", 4, {}, [&](Reply<int> reply) { promise.set_value(std::move(reply)); });
  }
  EXPECT_EQ(promise.get_future().get().status().code, code::kCanceled);
}

TEST_F(SessionPoolTest, OptionsThatCannotBeFailEveryPullWithTheReason) {
  SessionPool none(client_, {});
  EXPECT_EQ(none.pull_blocking("/a").status().text, "SessionPoolOptions::addresses is empty");
  SessionPool many(client_, {.addresses = {"tcp://127.0.0.1:1"}, .sessions = SessionPool::kSessionsMax + 1});
  EXPECT_EQ(many.pull_blocking("/a").status().text, "SessionPoolOptions::sessions must be 1 to 1024, not 1025");
}

class SomePull final : public detail::PooledPull {
 public:
  explicit SomePull(unsigned repeats) { repeats_left = repeats; }
  void start(const Session&) override {}
  void fail(Status) override {}
};

bool may_repeat(const Status& status, bool idempotent, bool session_healthy) {
  SomePull pull(1);
  return detail::may_repeat(pull, status, idempotent, session_healthy);
}

TEST(MayRepeat, Table) {
  const Status proven = Status::not_executed(code::kServiceUnavailable, "x");
  EXPECT_TRUE(may_repeat(proven, false, false));
  EXPECT_FALSE(may_repeat(proven, true, true)) << "the same session would refuse again";
  const Status lost = Status::make(code::kConnectionClosed);
  EXPECT_FALSE(may_repeat(lost, false, false));
  EXPECT_TRUE(may_repeat(lost, true, false));
  EXPECT_FALSE(may_repeat(Status::make(code::kTimeout), true, false));
  Status answered = lost;
  answered.origin = Status::Origin::remote;
  EXPECT_FALSE(may_repeat(answered, true, false));
}

TEST(MayRepeat, AsOftenAsSessionsDrainButOnceInDoubt) {
  const Status proven = Status::not_executed(code::kServiceUnavailable, "x");
  const Status lost = Status::make(code::kConnectionClosed);
  SomePull pull(2);
  EXPECT_TRUE(detail::may_repeat(pull, proven, true, false));
  EXPECT_TRUE(detail::may_repeat(pull, lost, true, false));
  EXPECT_FALSE(detail::may_repeat(pull, lost, true, false));
  EXPECT_TRUE(detail::may_repeat(pull, proven, true, false));
  EXPECT_FALSE(detail::may_repeat(pull, proven, true, false));
}

}  // namespace
}  // namespace wayport::rpc
