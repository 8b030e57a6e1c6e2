// Limiters in real peers over real sockets.
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/plugins/limiter/limiter.h"
#include "wayport/rpc/plugins/limiter/prometheus_limiter.h"
#include "wayport/rpc/status.h"

namespace wayport::rpc::plugins {
namespace {

class LimiterPeerTest : public ::testing::Test {
 protected:
  LimiterPeerTest() : runtime({.loops = 2, .log = &null_log()}) { EXPECT_TRUE(client.start().has_value()); }
  ~LimiterPeerTest() override {
    released.set_value();
    client.close_blocking();
    server.close_blocking();
  }
  void start() { ASSERT_TRUE(server.start().has_value()); }
  Result<Session> dial() { return client.dial_blocking(server.addresses().at(0)); }

  std::promise<void> released;
  std::shared_future<void> release = released.get_future().share();
  Runtime runtime;
  Peer server{runtime, {.listen = {"tcp://127.0.0.1:0"}}};
  Peer client{runtime};
};

TEST_F(LimiterPeerTest, ConnectionsOfOneSourceAreBoundedAndAPlaceComesFreeAgain) {
  auto limiter = std::make_shared<ConnectionLimiter>(ConnectionLimiterOptions{.per_source = {.at_once = 2}});
  server.plugins().add(limiter);
  server.router().on_pull("/echo", [](std::string text) { return text; });
  start();
  Result<Session> a = dial();
  Result<Session> b = dial();
  ASSERT_TRUE(a.has_value() && b.has_value());
  EXPECT_TRUE(a->pull_blocking<std::string>("/echo", std::string("x")).ok());
  EXPECT_TRUE(b->pull_blocking<std::string>("/echo", std::string("x")).ok());
  // The kernel connects it; the server then ends it without a word.
  const Result<Session> c = dial();
  if (c) EXPECT_FALSE(c->pull_blocking<std::string>("/echo", std::string("x")).ok());
  EXPECT_EQ(limiter->counts().refused_count(), 1u);
  EXPECT_EQ(limiter->counts().at_once, 2u);
  a->close();
  bool again = false;
  for (int attempt = 0; attempt < 10'000 && !again; ++attempt) {  // until the server has seen the end
    const Result<Session> d = dial();
    again = d && d->pull_blocking<std::string>("/echo", std::string("x")).ok();
  }
  EXPECT_TRUE(again);
}

TEST_F(LimiterPeerTest, BlockingCallsOfOneAddressAreBoundedWhileTheyRun) {
  auto limiter = std::make_shared<CallLimiter>(CallLimiterOptions{.per_source = {.at_once = 2}, .turn_budget = {}});
  server.plugins().add(limiter);
  std::atomic<int> running{0};
  server.router().on_pull("/wait",
                          [this, &running] {
                            running.fetch_add(1);
                            release.wait();
                          },
                          {.blocking = true});
  start();
  const Result<Session> session = dial();
  ASSERT_TRUE(session.has_value());
  auto first = session->pull_future("/wait");
  auto second = session->pull_future("/wait");
  EXPECT_EQ(session->pull_blocking("/wait").status().code, code::kServiceUnavailable);
  EXPECT_EQ(limiter->counts().at_once, 2u);
  EXPECT_EQ(limiter->counts().sources, 1u);
  released.set_value();
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(second.get().ok());
  EXPECT_EQ(running.load(), 2);
  released = {};  // for the destructor
}

TEST_F(LimiterPeerTest, AGroupHasALimitOfItsOwn) {
  auto limiter = std::make_shared<CallLimiter>(
      CallLimiterOptions{.total = {.per_second = 0.001, .burst = 1}, .per_source = {}, .turn_budget = {}});
  Router group = server.router().group("/reports");
  group.plugins().add(limiter);
  group.on_pull("/make", [] {});
  server.router().on_pull("/other", [] {});
  start();
  const Result<Session> session = dial();
  ASSERT_TRUE(session.has_value());
  EXPECT_TRUE(session->pull_blocking("/reports/make").ok());
  EXPECT_EQ(session->pull_blocking("/reports/make").status().code, code::kServiceUnavailable);
  EXPECT_TRUE(session->pull_blocking("/other").ok());
  EXPECT_EQ(limiter->counts().admitted, 1u);

  PrometheusLimiters metrics;
  metrics.add("reports", limiter);
  const std::string text = prometheus::TextSerializer().Serialize(metrics.Collect());
  for (const char* const line : {R"(wayport_rpc_limiter_admitted_total{limiter="reports"} 1)",
                                 R"(wayport_rpc_limiter_refused_total{limiter="reports",limit="total_per_second"} 1)",
                                 R"(wayport_rpc_limiter_at_once{limiter="reports"} 0)"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\nin\n" << text;
  }
}

TEST_F(LimiterPeerTest, AConnectionLimiterAtAGroupIsRefused) {
  Router group = server.router().group("/reports");
  EXPECT_THROW(group.plugins().add(std::make_shared<ConnectionLimiter>()), std::logic_error);
}

}  // namespace
}  // namespace wayport::rpc::plugins
