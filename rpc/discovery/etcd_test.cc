// With a real etcd.
#include "wayport/rpc/discovery/etcd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wayport/rpc/discovery/testing/etcd_fixture.h"

namespace wayport::rpc {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(EtcdTest, PutGetPrefixErase) {
  const std::string bytes("\0\xff\"\n", 4);
  const auto put = await(client->put("/a/1", bytes));
  ASSERT_TRUE(put) << put.error().to_string();
  ASSERT_TRUE(await(client->put("/a/2", "two")));
  ASSERT_TRUE(await(client->put("/b", "other")));
  const auto got = await(client->get("/a/1"));
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->value, bytes);
  EXPECT_EQ((*got)->mod_revision, *put);
  const auto none = await(client->get("/a/3"));
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  const auto range = await(client->get_prefix("/a/"));
  ASSERT_TRUE(range);
  ASSERT_EQ(range->entries.size(), 2U);
  EXPECT_EQ(range->entries[1].value, "two");
  EXPECT_EQ(await(client->erase("/a/1")).value(), 1);
  EXPECT_EQ(await(client->erase("/a/1")).value(), 0);
  EXPECT_EQ(await(client->erase_prefix("")).value(), 2);
}

TEST_F(EtcdTest, PagesAreOneListAndKeysMaxBites) {
  client = make({.endpoints = {server->url()}, .keys_max = 7, .page_keys = 3});
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(await(client->put("/p/" + std::to_string(i), "v")));
  const auto all = await(client->get_prefix("/p/"));
  ASSERT_TRUE(all) << all.error().to_string();
  ASSERT_EQ(all->entries.size(), 7U);
  for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(all->entries[i].key, "/p/" + std::to_string(i));
  EXPECT_FALSE(all->more);
  const auto some = await(client->get_prefix("/p/", 4));
  ASSERT_TRUE(some);
  EXPECT_EQ(some->entries.size(), 4U);
  EXPECT_TRUE(some->more);
  ASSERT_TRUE(await(client->put("/p/7", "v")));
  const auto over = await(client->get_prefix("/p/"));
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::too_large);
  EXPECT_EQ(client->counters().too_large, 1U);
}

TEST_F(EtcdTest, AnAnswerOverItsBoundIsTooLarge) {
  client = make({.endpoints = {server->url()}, .response_bytes_max = 2000});
  ASSERT_TRUE(await(client->put("small", std::string(1000, 'x'))));
  ASSERT_TRUE(await(client->put("large", std::string(2000, 'x'))));
  EXPECT_TRUE(await(client->get("small")));
  const auto large = await(client->get("large"));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::too_large) << large.error().to_string();
  EXPECT_TRUE(await(client->get("small")));
}

TEST_F(EtcdTest, ErrorsNameTheEndpointAndEtcdsMessage) {
  const auto put = await(client->put("k", "v", 12345));
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::not_found);
  EXPECT_THAT(put.error().detail, StartsWith(server->url()));
  EXPECT_THAT(put.error().detail, HasSubstr("requested lease not found"));
  const auto gone = await(client->lease_keep_alive(12345));
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::not_found);
}

TEST_F(EtcdTest, AnEndpointThatIsDownIsPassedOver) {
  client = make({.endpoints = {"http://127.0.0.1:1", server->url() + "/"}});
  ASSERT_TRUE(await(client->put("k", "v")));
  ASSERT_TRUE(await(client->put("k", "w")));
  EXPECT_EQ(client->counters().failovers, 1U);
  EXPECT_FALSE(EtcdClient::make(loop, transports, {}));
  EXPECT_FALSE(EtcdClient::make(loop, transports, {.endpoints = {"127.0.0.1:1"}}));
}

TEST_F(EtcdTest, AWatchTellsWhatIsThereThenEachChangeInOrder) {
  ASSERT_TRUE(await(client->put("/w/a", "1")));
  EtcdWatch watch(*client, "/w/", recorder());
  ASSERT_TRUE(run_until_events(2));
  ASSERT_TRUE(await(client->put("/w/b", "2")));
  ASSERT_TRUE(await(client->put("/x", "no")));
  ASSERT_TRUE(await(client->erase("/w/a")));
  ASSERT_TRUE(run_until_events(4));
  EXPECT_THAT(events, ElementsAre("put /w/a=1", "synced", "put /w/b=2", "erase /w/a"));
}

TEST_F(EtcdTest, AWatchSeesALeaseEnd) {
  EtcdWatch watch(*client, "/l/", recorder());
  ASSERT_TRUE(run_until_events(1));
  const auto lease = await(client->lease_grant(1));
  ASSERT_TRUE(lease) << lease.error().to_string();
  ASSERT_TRUE(await(client->put("/l/a", "1", lease->id)));
  ASSERT_TRUE(run_until_events(3));
  EXPECT_THAT(events, ElementsAre("synced", "put /l/a=1", "erase /l/a"));
}

TEST_F(EtcdTest, ALeaseIsGrantedAgainWhenItWasLost) {
  std::vector<std::int64_t> ids;
  std::vector<Error> lost;
  EtcdLease lease(
      *client, 1, [&](std::int64_t id) { ids.push_back(id); }, [&](const Error& why) { lost.push_back(why); });
  ASSERT_TRUE(run_until([&] { return ids.size() == 1; }));
  ASSERT_TRUE(await(client->lease_revoke(ids[0])));
  ASSERT_TRUE(run_until([&] { return ids.size() == 2; }));
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0].code, ErrorCode::not_found);
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_EQ(lease.id(), ids[1]);
  ASSERT_TRUE(await(client->put("k", "v", lease.id())));
  ASSERT_TRUE(await(lease.revoke()));
  EXPECT_FALSE(await(client->get("k")).value());
}

TEST_F(EtcdTest, ALeaseKeepsItselfAlive) {
  std::int64_t id = 0;
  EtcdLease lease(*client, 1, [&](std::int64_t granted) { id = granted; });
  ASSERT_TRUE(run_until([&] { return id != 0; }));
  const std::uint64_t before = client->counters().requests;
  // Ten keep-alives of a third of a second each: more than three times its time.
  ASSERT_TRUE(run_until([&] { return client->counters().requests >= before + 10; }));
  EXPECT_EQ(client->counters().leases_lost, 0U);
  EXPECT_EQ(lease.id(), id);
}

TEST_F(EtcdTest, AWatchGoesOnAfterEtcdWasKilledAndStartedAgain) {
  EtcdWatch watch(*client, "/r/", recorder());
  ASSERT_TRUE(await(client->put("/r/a", "1")));
  ASSERT_TRUE(run_until_events(2));
  server->kill();
  ASSERT_TRUE(run_until([&] { return client->counters().watch_reconnects >= 1; }));
  ASSERT_TRUE(server->restart());
  ASSERT_TRUE(await(client->put("/r/b", "2")));
  ASSERT_TRUE(run_until_events(3));
  EXPECT_EQ(events.back(), "put /r/b=2");
  EXPECT_EQ(events.size(), 3U);
  EXPECT_EQ(client->counters().watch_lists, 1U);
}

TEST_F(EtcdTest, AWatchOfACompactedRevisionListsAgain) {
  ASSERT_TRUE(await(client->put("/c/a", "1")));
  ASSERT_TRUE(await(client->put("/c/a", "2")));
  const auto last = await(client->put("/c/a", "3"));
  ASSERT_TRUE(last);
  ASSERT_TRUE(await(client->call("/v3/kv/compaction", "{\"revision\":\"" + std::to_string(*last) + "\"}")));
  EtcdWatch watch(*client, "/c/", recorder(), 2);
  ASSERT_TRUE(run_until_events(2));
  EXPECT_THAT(events, ElementsAre("put /c/a=3", "synced"));
  EXPECT_EQ(client->counters().watch_lists, 1U);
}

TEST_F(EtcdTest, AWatchFromARevisionTellsEachChangeSince) {
  const auto first = await(client->put("/f/a", "1"));
  ASSERT_TRUE(await(client->put("/f/a", "2")));
  EtcdWatch watch(*client, "/f/", recorder(), *first);
  ASSERT_TRUE(run_until_events(2));
  EXPECT_THAT(events, ElementsAre("put /f/a=1", "put /f/a=2"));
}

TEST_F(EtcdTest, AuthenticationLogsInAndRenewsItsToken) {
  ASSERT_TRUE(await(client->call("/v3/auth/user/add", R"({"name":"root","password":"secret"})")));
  ASSERT_TRUE(await(client->call("/v3/auth/role/add", R"({"name":"root"})")));
  ASSERT_TRUE(await(client->call("/v3/auth/user/grant", R"({"user":"root","role":"root"})")));
  ASSERT_TRUE(await(client->call("/v3/auth/enable", "{}")));
  EXPECT_FALSE(await(client->put("k", "v")));
  auto wrong = make({.endpoints = {server->url()}, .user = "root", .password = "guess"});
  EXPECT_THAT(await(wrong->put("k", "v")).error().detail, HasSubstr("authentication failed"));
  auto right = make({.endpoints = {server->url()}, .user = "root", .password = "secret"});
  const auto put = await(right->put("k", "v"));
  ASSERT_TRUE(put) << put.error().to_string();
  EtcdWatch watch(*right, "k", recorder());
  ASSERT_TRUE(run_until_events(2));
  // Ends the tokens of the user.
  ASSERT_TRUE(await(right->call("/v3/auth/user/changepw", R"({"name":"root","password":"secret"})")));
  const auto again = await(right->put("k", "w"));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(right->counters().logins, 2U);
  ASSERT_TRUE(run_until_events(3));
  EXPECT_EQ(events.back(), "put k=w");
}

TEST_F(EtcdTest, APasswordGoesInTheClearToLoopbackOnly) {
  const auto outcome = [&](const std::string& endpoint, bool plaintext_login = false) {
    const auto made = EtcdClient::make(
        loop, transports,
        {.endpoints = {endpoint}, .user = "root", .password = "secret", .plaintext_login = plaintext_login});
    return made ? std::string() : made.error().detail;
  };
  for (const char* here : {"localhost", "127.0.0.1", "127.9.9.9", "[::1]"}) {
    EXPECT_EQ(outcome("http://" + std::string(here) + ":2379"), "") << here;
  }
  for (const char* away : {"10.0.0.1", "etcd.example", "[fd00::1]", "128.0.0.1", "0.0.0.0", "localhost.example"}) {
    const std::string url = "http://" + std::string(away) + ":2379";
    EXPECT_THAT(outcome(url), AllOf(StartsWith("endpoint 1: http:// to " + std::string(away) + ":2379"),
                                    HasSubstr("EtcdOptions::plaintext_login"), Not(HasSubstr("secret"))));
    EXPECT_EQ(outcome(url, true), "") << away;
    EXPECT_EQ(outcome("https://" + std::string(away) + ":2379"), "") << away;
  }
  EXPECT_TRUE(EtcdClient::make(loop, transports, {.endpoints = {"http://10.0.0.1:2379"}}));  // no user
}

TEST_F(EtcdTest, EverythingMayGoAtAnyMoment) {
  std::optional<Result<std::int64_t>> first;
  std::optional<Result<std::int64_t>> second;
  std::optional<EtcdWatch> watch;
  watch.emplace(*client, "", [&](const EtcdEvent&) { watch.reset(); });
  ASSERT_TRUE(run_until([&] { return !watch; }));
  EtcdLease lease(*client, 5, nullptr);
  EtcdWatch left(*client, "", recorder());
  ASSERT_TRUE(tasks.spawn(store(client->put("k", "v"), first)));
  ASSERT_TRUE(tasks.spawn(store(client->put("k", "w"), second)));
  loop.run_turn();
  client.reset();
  ASSERT_TRUE(run_until([&] { return first && second; }));
  ASSERT_FALSE(*second);
  EXPECT_EQ(second->error().code, ErrorCode::local_closed);
}

}  // namespace
}  // namespace wayport::rpc
