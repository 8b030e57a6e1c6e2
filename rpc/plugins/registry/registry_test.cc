// Peers that register themselves in a real etcd, and that are found there.
#include "wayport/rpc/plugins/registry/registry.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <thread>

#include "wayport/base/log_testing.h"
#include "wayport/rpc/discovery/testing/etcd_process.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/plugins/proxy/proxy.h"
#include "wayport/rpc/pool/session_pool.h"

namespace wayport::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = EtcdProcess::start();
    ASSERT_TRUE(started) << started.error().to_string();
    etcd = *std::move(started);
  }
  static bool until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + seconds(30);
    while (!done() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return done();
  }
  RegistryOptions options(const std::string& service) const {
    RegistryOptions result;
    result.etcd.endpoints = {etcd->url()};
    result.etcd.retry_first = milliseconds(10);
    result.service = service;
    result.ttl_seconds = 5;
    return result;
  }
  struct Member {
    std::unique_ptr<Peer> peer;
    std::shared_ptr<Registry> registry;
  };
  Member serve(const std::string& name, RegistryOptions with) {
    Member member{std::make_unique<Peer>(runtime, PeerOptions{.listen = {"tcp://127.0.0.1:0"}}),
                  std::make_shared<Registry>(std::move(with))};
    member.peer->plugins().add(member.registry);
    member.peer->router().on_pull("/who", [name] { return name; });
    member.peer->router().on_push("/note", [] {});
    const Result<void> started = member.peer->start();
    EXPECT_TRUE(started) << started.error().to_string();
    return member;
  }
  // Keeps the last list that a watch told.
  struct Seen {
    std::mutex mutex;
    ServiceInstances all;
    bool told = false;
  };
  static ServiceDirectory::OnChange into(Seen& seen) {
    return [&seen](const ServiceInstances& all) {
      const std::lock_guard lock(seen.mutex);
      seen.all = all;
      seen.told = true;
    };
  }
  static ServiceInstances of(Seen& seen) {
    const std::lock_guard lock(seen.mutex);
    return seen.all;
  }
  static bool until_count(Seen& seen, std::size_t count) {
    return until([&] {
      const std::lock_guard lock(seen.mutex);
      return seen.told && seen.all.size() == count;
    });
  }

  std::unique_ptr<EtcdProcess> etcd;
  MemoryLog log;
  Runtime runtime{{.loops = 2, .log = &log}};
};

TEST_F(RegistryTest, APeerRegistersWhenItStartsAndLeavesWhenItCloses) {
  Seen seen;  // outlives who tells it
  Peer observer(runtime);
  const auto registry = std::make_shared<Registry>(options(""));
  observer.plugins().add(registry);
  ASSERT_TRUE(registry->watch("home", into(seen)));  // before the start, too
  ASSERT_TRUE(observer.start());
  ASSERT_TRUE(until_count(seen, 0));
  RegistryOptions with = options("home");
  with.instance = "seven";
  with.routes = true;
  with.labels = {{"zone", "b"}};
  Member home = serve("home", with);
  EXPECT_EQ(home.registry->key(), "/wayport/services/home/seven");
  ASSERT_TRUE(until_count(seen, 1));
  const ServiceInstance there = of(seen).at(0);
  EXPECT_EQ(there.id, "seven");
  EXPECT_EQ(there.record, (ServiceRecord{home.peer->addresses(), {"/who"}, {"/note"}, {{"zone", "b"}}}));
  ASSERT_TRUE(until([&] { return home.registry->registered(); }));
  home.peer->close_blocking();
  EXPECT_TRUE(until_count(seen, 0));
  EXPECT_FALSE(home.registry->registered());
  EXPECT_TRUE(home.registry->withdraw_blocking());  // again
}

TEST_F(RegistryTest, WithdrawingWaitsUntilTheKeyIsGone) {
  Seen seen;
  Member home = serve("home", options("home"));
  ASSERT_TRUE(home.registry->watch("home", into(seen)));
  ASSERT_TRUE(until_count(seen, 1));
  ASSERT_TRUE(home.registry->withdraw_blocking());
  EXPECT_TRUE(until_count(seen, 0));
  home.peer.reset();
}

TEST_F(RegistryTest, APeerThatIsDroppedWithoutACloseLeavesToo) {
  Seen seen;
  Member stays = serve("stays", options("home"));
  ASSERT_TRUE(stays.registry->watch("home", into(seen)));
  Member goes = serve("goes", options("home"));
  ASSERT_TRUE(until_count(seen, 2));
  goes.registry.reset();
  goes.peer.reset();
  // Sooner than its lease could have ended.
  EXPECT_TRUE(until_count(seen, 1));
  stays.peer.reset();
}

TEST_F(RegistryTest, WithoutEtcdAPeerStartsAndServesAndRegistersLater) {
  const std::string url = etcd->url();
  etcd->kill();
  RegistryOptions with = options("home");
  with.etcd.retry_max = milliseconds(50);
  Member home = serve("home", with);
  Peer client(runtime);
  ASSERT_TRUE(client.start());
  const auto session = client.dial_blocking(home.peer->addresses().at(0));
  ASSERT_TRUE(session);
  EXPECT_EQ(session->pull_blocking<std::string>("/who").value(), "home");
  EXPECT_FALSE(home.registry->registered());
  ASSERT_TRUE(etcd->restart());
  EXPECT_TRUE(until([&] { return home.registry->registered(); }));
}

TEST_F(RegistryTest, APoolFollowsTheServiceToItsNewAddress) {
  Member watcher = serve("watcher", options(""));
  std::unique_ptr<SessionPool> pool;
  bool over = false;
  std::mutex mutex;
  ASSERT_TRUE(watcher.registry->watch("home", [&](const ServiceInstances& all) {
    const std::lock_guard lock(mutex);
    if (pool) return pool->set_addresses(addresses_of(all));
    if (all.empty() || over) return;
    SessionPoolOptions with{.addresses = addresses_of(all),
                            .backoff = {.min = milliseconds(1), .max = milliseconds(5)}};
    with.wait_max = seconds(30);
    pool = std::make_unique<SessionPool>(*watcher.peer, with);
  }));
  Member first = serve("first", options("home"));
  ASSERT_TRUE(until([&] {
    const std::lock_guard lock(mutex);
    return pool != nullptr;
  }));
  EXPECT_EQ(pool->pull_blocking<std::string>("/who").value(), "first");
  Member second = serve("second", options("home"));
  ASSERT_TRUE(until([&] { return second.registry->registered(); }));
  ASSERT_TRUE(first.registry->withdraw_blocking());
  // The first still listens, but is no longer served.
  EXPECT_TRUE(until([&] { return pool->pull_blocking<std::string>("/who").value() == "second"; }));
  EXPECT_TRUE(until([&] { return first.peer->session_count() == 0; }));
  std::unique_ptr<SessionPool> last;
  {
    const std::lock_guard lock(mutex);
    over = true;
    last = std::move(pool);
  }
  last.reset();  // before its peer
  watcher.registry.reset();
  watcher.peer.reset();  // whose plugin tells of the service until here
}

TEST_F(RegistryTest, AProxysBackendsAreWhoIsThere) {
  Peer back(runtime);
  ASSERT_TRUE(back.start());
  auto made = ReverseProxy::make(back, {.wait_max = seconds(30)});
  ASSERT_TRUE(made);
  const std::unique_ptr<ReverseProxy> proxy = *std::move(made);
  Member front = [&] {
    Member member{std::make_unique<Peer>(runtime, PeerOptions{.listen = {"tcp://127.0.0.1:0"}}),
                  std::make_shared<Registry>(options(""))};
    member.peer->plugins().add(member.registry);
    proxy->attach(member.peer->router());
    EXPECT_TRUE(member.peer->start());
    return member;
  }();
  proxy->start();
  ASSERT_TRUE(front.registry->watch("home", [&](const ServiceInstances& all) {
    std::vector<Backend> backends;
    for (const std::string& address : addresses_of(all)) backends.push_back({address});
    EXPECT_TRUE(proxy->set_backends(std::move(backends)));
  }));
  Member home = serve("home", options("home"));
  ASSERT_TRUE(until([&] { return proxy->backends().size() == 1; }));
  Peer client(runtime);
  ASSERT_TRUE(client.start());
  const auto session = client.dial_blocking(front.peer->addresses().at(0));
  ASSERT_TRUE(session);
  EXPECT_EQ(session->pull_blocking<std::string>("/who").value(), "home");
  home.peer->close_blocking();
  ASSERT_TRUE(until([&] { return proxy->backends().empty(); }));
  EXPECT_EQ(session->pull_blocking<std::string>("/who").status().code, 503);
  front.registry.reset();
  front.peer.reset();  // before what its watch tells
}

// Fails the start behind the registry, once that has registered.
class Spoiler final : public Plugin, public PostListen {
 public:
  explicit Spoiler(std::function<bool()> ready) : ready_(std::move(ready)) {}
  std::string_view name() const noexcept override { return "spoiler"; }
  Result<void> post_listen(Peer&) override {
    return fail(ErrorCode::invalid_argument, ready_() ? "spoiled" : "not ready");
  }

 private:
  const std::function<bool()> ready_;
};

TEST_F(RegistryTest, AStartThatFailsBehindItWithdrawsTheInstance) {
  Seen seen;
  Member observer = serve("observer", options(""));
  ASSERT_TRUE(observer.registry->watch("home", into(seen)));
  RegistryOptions with = options("home");
  with.ttl_seconds = 600;  // so that it is not the lease that ends
  const auto registry = std::make_shared<Registry>(with);
  Peer peer(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  peer.plugins().add(registry);
  peer.plugins().add(std::make_shared<Spoiler>([&] { return until_count(seen, 1); }));
  const Result<void> started = peer.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().detail, "spoiled");
  EXPECT_TRUE(until_count(seen, 0));  // peer and plugin are still there
  EXPECT_FALSE(registry->registered());
  observer.peer.reset();
}

TEST_F(RegistryTest, WhatCannotBeIsRefusedAtTheStart) {
  const auto error = [&](const std::string& listen, const RegistryOptions& with) {
    Peer peer(runtime, {.listen = {listen}});
    peer.plugins().add(std::make_shared<Registry>(with));
    const Result<void> started = peer.start();
    return started ? std::string() : started.error().detail;
  };
  EXPECT_NE(error("tcp://0.0.0.0:0", options("home")).find("RegistryOptions::advertise"), std::string::npos);
  RegistryOptions told = options("home");
  told.advertise = {"tcp://home.example:9090"};
  EXPECT_EQ(error("tcp://0.0.0.0:0", told), "");
  EXPECT_NE(error("tcp://127.0.0.1:0", options("a/b")), "");
  RegistryOptions never = options("home");
  never.ttl_seconds = 0;
  EXPECT_NE(error("tcp://127.0.0.1:0", never), "");
  RegistryOptions nowhere = options("home");
  nowhere.etcd.endpoints.clear();
  EXPECT_NE(error("tcp://127.0.0.1:0", nowhere), "");
  Registry registry(options(""));
  EXPECT_FALSE(registry.watch("", [](const ServiceInstances&) {}));
}

}  // namespace
}  // namespace wayport::rpc
