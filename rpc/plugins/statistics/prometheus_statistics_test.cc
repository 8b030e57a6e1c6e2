// The metrics of two peers over a real socket, in the text that Prometheus reads.
#include "wayport/rpc/plugins/statistics/prometheus_statistics.h"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/rpc/status.h"

namespace wayport::rpc::plugins {
namespace {

class PrometheusStatisticsTest : public ::testing::Test {
 protected:
  PrometheusStatisticsTest() : runtime({.loops = 2, .log = &null_log()}) {
    server.router().on_pull("/echo", [](std::string text) { return text; });
    server.router().on_pull("/later", [](std::string text) -> boost::asio::awaitable<std::string> { co_return text; });
    server.router().on_push("/note", [](const std::string&) {});
    server.plugins().add(handled);
    client.plugins().add(made);
    EXPECT_TRUE(server.start().has_value());
    EXPECT_TRUE(client.start().has_value());
  }
  ~PrometheusStatisticsTest() override {
    client.close_blocking();
    server.close_blocking();
  }

  Session dial() {
    Result<Session> session = client.dial_blocking(server.addresses().at(0));
    EXPECT_TRUE(session.has_value());
    return *session;
  }
  static std::string text_of(const prometheus::Collectable& metrics) {
    return prometheus::TextSerializer().Serialize(metrics.Collect());
  }

  Runtime runtime;
  std::shared_ptr<Statistics> handled = std::make_shared<Statistics>();
  std::shared_ptr<Statistics> made = std::make_shared<Statistics>();
  Peer server{runtime, {.listen = {"tcp://127.0.0.1:0"}}};
  Peer client{runtime};
  PrometheusStatistics metrics{handled, server};
};

void expect_line(const std::string& text, const std::string& line) {
  EXPECT_NE(text.find("\n" + line + "\n"), std::string::npos) << line << "\nin\n" << text;
}

TEST_F(PrometheusStatisticsTest, TellCallsOfBothSidesSessionsAndCounters) {
  const Session a = dial();
  const Session b = dial();
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(a.pull_blocking<std::string>("/echo?i=" + std::to_string(i), std::string("x")).ok());
  EXPECT_TRUE(b.pull_blocking<std::string>("/echo", std::string("x")).ok());
  EXPECT_TRUE(b.pull_blocking<std::string>("/later", std::string("x")).ok());
  EXPECT_EQ(b.pull_blocking("/nowhere").status().code, code::kNotFound);
  EXPECT_TRUE(b.push("/note", std::string("x")).has_value());
  EXPECT_EQ(b.pull_blocking("/nowhere2").status().code, code::kNotFound);  // after the push
  const std::string text = text_of(metrics);
  expect_line(text, R"x(wayport_rpc_handled_calls_total{kind="pull",route="/echo",code="200"} 4)x");
  expect_line(text, R"x(wayport_rpc_handled_calls_total{kind="pull",route="/later",code="200"} 1)x");
  expect_line(text, R"x(wayport_rpc_handled_calls_total{kind="pull",route="(unknown)",code="4xx"} 2)x");
  expect_line(text, R"x(wayport_rpc_handled_calls_total{kind="push",route="/note",code="200"} 1)x");
  expect_line(text, R"x(wayport_rpc_handled_calls_in_flight{kind="pull",route="/echo"} 0)x");
  expect_line(text, R"x(wayport_rpc_handled_call_duration_seconds_count{kind="pull",route="/echo"} 4)x");
  expect_line(text, R"x(wayport_rpc_handled_call_duration_seconds_bucket{kind="pull",route="/echo",le="+Inf"} 4)x");
  expect_line(text, "wayport_rpc_sessions 2");
  expect_line(text, "wayport_rpc_sessions_opened_total 2");
  expect_line(text, "wayport_rpc_pulls_received_total 7");
  expect_line(text, "wayport_rpc_routes_unknown_total 2");
  expect_line(text, "wayport_rpc_worker_refused_total 0");

  const PrometheusStatistics other(made, client, "client");
  const std::string calls = text_of(other);
  expect_line(calls, R"x(client_made_pulls_total{path="/echo",code="200"} 4)x");
  expect_line(calls, R"x(client_made_pulls_total{path="/nowhere",code="4xx"} 1)x");
  expect_line(calls, R"x(client_made_pulls_in_flight{path="/echo"} 0)x");
  expect_line(calls, R"x(client_made_pull_duration_seconds_count{path="/echo"} 4)x");
  expect_line(calls, R"x(client_made_pushes_total{path="/note"} 1)x");
}

TEST_F(PrometheusStatisticsTest, EveryFamilyHasHelpAndItsOwnName) {
  EXPECT_TRUE(dial().pull_blocking<std::string>("/echo", std::string("x")).ok());
  std::vector<std::string> names;
  for (const prometheus::MetricFamily& family : metrics.Collect()) {
    EXPECT_FALSE(family.help.empty()) << family.name;
    EXPECT_EQ(std::count(names.begin(), names.end(), family.name), 0) << family.name;
    names.push_back(family.name);
  }
  EXPECT_GT(names.size(), 30u);
}

TEST_F(PrometheusStatisticsTest, WithoutStatisticsThePeersCountersAreTold) {
  const PrometheusStatistics only(nullptr, server);
  const std::string text = text_of(only);
  expect_line(text, "wayport_rpc_sessions_opened_total 0");
  EXPECT_EQ(text.find("handled"), std::string::npos);
}

TEST_F(PrometheusStatisticsTest, ASecondPeerIsRefused) {
  Peer second(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  second.router().on_pull("/echo", [](std::string text) { return text; });
  second.plugins().add(handled);
  const Result<void> started = second.start();
  ASSERT_FALSE(started.has_value());
  EXPECT_NE(started.error().detail.find("statistics"), std::string::npos) << started.error().detail;
}

class Watcher final : public Plugin, public PullGuard {
 public:
  explicit Watcher(std::string name) : name_(std::move(name)) {}
  std::string_view name() const noexcept override { return name_; }
  std::uint32_t begin_pull(const OutgoingView&) noexcept override { return 7; }
  void end_pull(SessionCore&, std::uint32_t tag, TimePoint, std::int32_t) noexcept override { last_tag = tag; }
  std::atomic<std::uint32_t> last_tag{0};

 private:
  const std::string name_;
};

TEST_F(PrometheusStatisticsTest, TwoPullGuardsKeepTheirOwnTagsAndAThirdIsRefused) {
  auto watcher = std::make_shared<Watcher>("a");
  Peer two(runtime);
  two.plugins().add(std::make_shared<Statistics>());
  two.plugins().add(watcher);
  ASSERT_TRUE(two.start().has_value());
  const Result<Session> session = two.dial_blocking(server.addresses().at(0));
  ASSERT_TRUE(session.has_value());
  EXPECT_TRUE(session->pull_blocking<std::string>("/echo", std::string("x")).ok());
  EXPECT_EQ(watcher->last_tag.load(), 7u);
  two.close_blocking();

  Peer three(runtime);
  for (const char* const name : {"a", "b", "c"}) three.plugins().add(std::make_shared<Watcher>(name));
  EXPECT_FALSE(three.start().has_value());
}

// Scraping while loops count: no torn sums, and nothing for the thread sanitizer.
TEST_F(PrometheusStatisticsTest, MayBeScrapedAtAnyTime) {
  const Session session = dial();
  std::vector<std::future<Reply<std::string>>> replies;
  for (int i = 0; i < 200; ++i) {
    replies.push_back(session.pull_future<std::string>("/p" + std::to_string(i % 5), std::string("x")));
    if (i % 20 == 0) EXPECT_FALSE(text_of(metrics).empty());
  }
  for (auto& reply : replies) EXPECT_EQ(reply.get().status().code, code::kNotFound);
  expect_line(text_of(metrics), R"x(wayport_rpc_handled_calls_total{kind="pull",route="(unknown)",code="4xx"} 200)x");
}

}  // namespace
}  // namespace wayport::rpc::plugins
