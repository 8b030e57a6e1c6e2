// The resolver "etcd" against a real etcd.
#include "wayport/gateway/route/etcd_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "wayport/base/log_testing.h"
#include "wayport/rpc/discovery/testing/etcd_fixture.h"

namespace wayport::route {
namespace {

using ::testing::HasSubstr;

class EtcdResolverTest : public rpc::EtcdTest {
 protected:
  std::shared_ptr<Resolver> make(SettingsTable settings) {
    settings.emplace("endpoints", server->url());
    auto made = make_etcd_resolver(settings, context);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().to_string());
    return made ? *made : nullptr;
  }
  std::string ask(Resolver& resolver, std::string_view identify) {
    std::optional<ResolveOutcome> outcome;
    const auto resolution =
        resolver.resolve(loop, {identify, nullptr}, [&](ResolveOutcome o) { outcome.emplace(std::move(o)); });
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    if (!outcome || !*outcome) return outcome ? outcome->error().reason : "nothing";
    how = (*outcome)->how;
    return (*outcome)->backends.front().to_string();
  }
  static std::uint64_t counter(const Resolver& resolver, std::string_view name) {
    for (const ResolverCounter& counter : resolver.counters()) {
      if (counter.name == name) return counter.value;
    }
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }
  bool becomes(const Resolver& resolver, std::string_view name, std::uint64_t value) {
    return run_until([&] { return counter(resolver, name) == value; });
  }
  void put(const std::string& key, const std::string& value) {
    ASSERT_TRUE(await(client->put(key, value)).has_value());
  }

  MemoryLog log;
  ResolverContext context{.loop = loop, .transports = transports, .log = log};
  std::string how;
};

TEST_F(EtcdResolverTest, FollowsTheTable) {
  put("/wayport/routes/orders", "10.0.0.7:9000 10.0.0.8:9000");
  put("/wayport/other", "10.0.0.9:9000");
  const auto resolver = make({{"order", "first"}});
  EXPECT_EQ(ask(*resolver, "orders"), "the table of etcd has not been read yet");
  EXPECT_EQ(counter(*resolver, "not_ready"), 1u);
  ASSERT_TRUE(becomes(*resolver, "ready", 1));
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.7:9000");
  EXPECT_EQ(how, "the table of etcd, entry \"orders\"");
  EXPECT_EQ(ask(*resolver, "../other"), "the table of etcd has no entry \"../other\"");

  put("/wayport/routes/billing", "tls://b.example:443");
  ASSERT_TRUE(becomes(*resolver, "entries", 2));
  EXPECT_EQ(ask(*resolver, "billing"), "tls://b.example:443");

  put("/wayport/routes/orders", "nonsense");
  ASSERT_TRUE(becomes(*resolver, "bad_values", 1));
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.7:9000") << "stays as it was";
  EXPECT_EQ(log.count("a value in etcd is not usable"), 1u);

  ASSERT_TRUE(await(client->erase("/wayport/routes/billing")).has_value());
  ASSERT_TRUE(becomes(*resolver, "entries", 1));
  EXPECT_THAT(ask(*resolver, "billing"), HasSubstr("has no entry"));
}

TEST_F(EtcdResolverTest, ServesTheLastTableWhileEtcdIsAway) {
  put("/wayport/routes/orders", "10.0.0.7:9000");
  const auto resolver = make({{"probe_interval", "20ms"}, {"request_timeout", "300ms"}});
  ASSERT_TRUE(becomes(*resolver, "ready", 1));
  server->kill();
  ASSERT_TRUE(becomes(*resolver, "away", 1));
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.7:9000");
  EXPECT_THAT(how, HasSubstr("etcd does not answer"));
  EXPECT_EQ(counter(*resolver, "answered_while_away"), 1u);
  EXPECT_EQ(log.count("etcd does not answer; the table that was read last serves"), 1u);
  ASSERT_TRUE(server->restart().has_value());
  ASSERT_TRUE(becomes(*resolver, "away", 0));
  put("/wayport/routes/orders", "10.0.0.8:9000");
  EXPECT_TRUE(run_until([&] { return ask(*resolver, "orders") == "10.0.0.8:9000"; }));
  EXPECT_EQ(counter(*resolver, "answered_while_away"), 1u);
}

TEST_F(EtcdResolverTest, TheTableIsBounded) {
  for (const char* const name : {"a", "b", "c"}) put(std::string("/wayport/routes/") + name, "10.0.0.7:9000");
  const auto resolver = make({{"entries_max", 2}});
  ASSERT_TRUE(becomes(*resolver, "ready", 1));
  EXPECT_EQ(counter(*resolver, "entries"), 2u);
  EXPECT_EQ(counter(*resolver, "entries_refused"), 1u);
  EXPECT_EQ(log.count("an entry in etcd is left out"), 1u);
}

TEST_F(EtcdResolverTest, MayGoAtAnyMoment) {
  for (int turns = 0; turns < 12; ++turns) {
    auto resolver = make({{"probe_interval", "1ms"}});
    for (int i = 0; i < turns; ++i) loop.run_turn(std::chrono::milliseconds(2));
    resolver.reset();
    loop.run_turn();
  }
  // What they left under way has ended without them, and the loop goes on.
  put("/wayport/routes/orders", "10.0.0.7:9000");
  const auto last = make({});
  ASSERT_TRUE(becomes(*last, "ready", 1));
  EXPECT_EQ(ask(*last, "orders"), "10.0.0.7:9000");
}

}  // namespace
}  // namespace wayport::route
