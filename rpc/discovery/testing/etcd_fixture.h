// A test with a real etcd, a loop that the test runs, and a client.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/base/task_group.h"
#include "wayport/rpc/discovery/etcd.h"
#include "wayport/rpc/discovery/testing/etcd_process.h"
#include "wayport/transport/default_transports.h"

namespace wayport::rpc {

class EtcdTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = EtcdProcess::start();
    ASSERT_TRUE(started) << started.error().to_string();
    server = *std::move(started);
    client = make({.endpoints = {server->url()}});
  }
  std::unique_ptr<EtcdClient> make(EtcdOptions options) {
    auto made = EtcdClient::make(loop, transports, std::move(options));
    EXPECT_TRUE(made) << made.error().to_string();
    return made ? *std::move(made) : nullptr;
  }
  bool run_until(const std::function<bool()>& done) {
    const TimePoint until = loop.now() + std::chrono::seconds(20);
    while (!done() && loop.now() < until) loop.run_turn(std::chrono::milliseconds(10));
    return done();
  }
  template <class T>
  static boost::asio::awaitable<void> store(EtcdClient::Task<T> task, std::optional<Result<T>>& result) {
    result.emplace(co_await std::move(task));
  }
  template <class T>
  Result<T> await(EtcdClient::Task<T> task) {
    std::optional<Result<T>> result;
    EXPECT_TRUE(tasks.spawn(store(std::move(task), result)));
    if (!run_until([&] { return result.has_value(); })) return fail(ErrorCode::timed_out, "the test waits no longer");
    return *std::move(result);
  }
  EtcdWatch::OnEvent recorder() {
    return [this](const EtcdEvent& event) {
      switch (event.kind) {
        case EtcdEvent::Kind::put:
          events.push_back("put " + event.entry.key + "=" + event.entry.value);
          break;
        case EtcdEvent::Kind::erase:
          events.push_back("erase " + event.entry.key);
          break;
        case EtcdEvent::Kind::synced:
          events.emplace_back("synced");
          break;
      }
    };
  }
  bool run_until_events(std::size_t count) {
    return run_until([&] { return events.size() >= count; });
  }

  Loop loop;
  transport::Transports transports = transport::default_transports();
  std::unique_ptr<EtcdProcess> server;
  std::unique_ptr<EtcdClient> client;
  std::vector<std::string> events;
  TaskGroup tasks{loop};
};

}  // namespace wayport::rpc
