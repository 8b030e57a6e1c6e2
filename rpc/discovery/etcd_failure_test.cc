// A real etcd that is slow, gone, behind TLS, or at a bound of the client.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wayport/rpc/discovery/etcd.h"
#include "wayport/rpc/discovery/testing/etcd_fixture.h"
#include "wayport/rpc/discovery/testing/tcp_relay.h"
#include "wayport/transport/testing/certificates.h"

namespace wayport::rpc {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Mode = TcpRelay::Mode;

class EtcdFailureTest : public EtcdTest {
 protected:
  void SetUp() override {
    EtcdTest::SetUp();
    relay.emplace(loop, transports, "127.0.0.1:" + std::to_string(server->port()));
  }
  std::string relay_url() const { return "http://" + relay->address(); }
  std::optional<TcpRelay> relay;
};

TEST_F(EtcdFailureTest, ARequestWithoutAnAnswerTimesOut) {
  relay->set_mode(Mode::silent);
  auto slow = make({.endpoints = {relay_url()}, .request_timeout = 1s});
  const auto put = await(slow->put("k", "v"));
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::timed_out);
  EXPECT_THAT(put.error().detail, StartsWith(relay_url() + ": no answer in time"));
  EXPECT_EQ(slow->counters().timed_out, 1U);
  relay->set_mode(Mode::forward);
  auto same = make({.endpoints = {relay_url()}, .request_timeout = 10s});
  EXPECT_TRUE(await(same->put("k", "v")));
  EXPECT_EQ(same->counters().timed_out, 0U);
}

TEST_F(EtcdFailureTest, ATimeOutGoesOnToTheNextEndpointWithinTheRequest) {
  relay->set_mode(Mode::silent);
  auto both = make({.endpoints = {relay_url(), server->url()}, .request_timeout = 2s});
  ASSERT_TRUE(await(both->put("k", "v")));
  EXPECT_EQ(both->counters().failovers, 1U);
  ASSERT_TRUE(await(both->put("k", "w")));  // the one that answered is kept
  EXPECT_EQ(relay->accepted(), 1U);
  EXPECT_EQ(await(client->get("k")).value()->version, 2);
}

TEST_F(EtcdFailureTest, WhatMayNotBeRepeatedIsNotMadeAgainOnceItWasSent) {
  relay->set_mode(Mode::silent);
  auto both = make({.endpoints = {relay_url(), server->url()}, .request_timeout = 2s});
  const std::string put = R"({"key":"a2V5","value":"dg=="})";
  const auto once = await(both->call("/v3/kv/put", put));
  ASSERT_FALSE(once);
  EXPECT_EQ(once.error().code, ErrorCode::timed_out);
  EXPECT_FALSE(await(client->get("key")).value());
  // The endpoint that does not answer is left for the next one.
  ASSERT_TRUE(await(both->call("/v3/kv/put", put)));
  EXPECT_EQ(await(client->get("key")).value()->version, 1);
  // A connection that was never made carries nothing, so this may go on.
  auto down = make({.endpoints = {"http://127.0.0.1:1", server->url()}});
  ASSERT_TRUE(await(down->call("/v3/kv/put", put)));
  auto told = make({.endpoints = {relay_url(), server->url()}, .request_timeout = 2s});
  ASSERT_TRUE(await(told->call("/v3/kv/put", put, true)));
  EXPECT_EQ(await(client->get("key")).value()->version, 3);
}

TEST_F(EtcdFailureTest, RequestsWaitUpToRequestsWaitingMax) {
  client = make({.endpoints = {server->url()}, .requests_waiting_max = 2});
  std::array<std::optional<Result<std::int64_t>>, 4> results;
  for (std::size_t i = 0; i < 4; ++i) ASSERT_TRUE(tasks.spawn(store(client->put("k", "v"), results[i])));
  ASSERT_TRUE(run_until([&] { return results[0] && results[1] && results[2] && results[3]; }));
  // One under way, two behind it.
  EXPECT_TRUE(*results[0]);
  EXPECT_TRUE(*results[1]);
  EXPECT_TRUE(*results[2]);
  ASSERT_FALSE(*results[3]);
  EXPECT_EQ(results[3]->error().code, ErrorCode::overloaded);
  EXPECT_THAT(results[3]->error().detail, HasSubstr("requests_waiting_max"));
  EXPECT_EQ(client->counters().overloaded, 1U);
}

TEST_F(EtcdFailureTest, AListAfterACompactionTellsOnlyTheDifferences) {
  for (const char* key : {"/d/a", "/d/b", "/d/same"}) ASSERT_TRUE(await(client->put(key, "1")));
  auto through = make({.endpoints = {relay_url()}, .retry_first = 10ms});
  EtcdWatch watch(*through, "/d/", recorder());
  ASSERT_TRUE(run_until_events(4));
  events.clear();
  relay->set_mode(Mode::refuse);
  relay->cut();
  ASSERT_TRUE(await(client->put("/d/a", "2")));
  ASSERT_TRUE(await(client->erase("/d/b")));
  ASSERT_TRUE(await(client->put("/d/gone", "1")));
  ASSERT_TRUE(await(client->erase("/d/gone")));
  const auto last = await(client->put("/d/new", "1"));
  ASSERT_TRUE(last);
  ASSERT_TRUE(await(client->call("/v3/kv/compaction", "{\"revision\":\"" + std::to_string(*last) + "\"}")));
  ASSERT_TRUE(run_until([&] { return through->counters().watch_reconnects >= 1; }));
  relay->set_mode(Mode::forward);
  ASSERT_TRUE(run_until_events(4));
  EXPECT_THAT(events, ElementsAre("erase /d/b", "put /d/a=2", "put /d/new=1", "synced"));
  EXPECT_EQ(through->counters().watch_lists, 2U);
}

TEST_F(EtcdFailureTest, AWatchGoesOnBehindWhatItToldWhenItsConnectionBreaks) {
  auto through = make({.endpoints = {relay_url()}, .retry_first = 10ms});
  EtcdWatch watch(*through, "/e/", recorder());
  ASSERT_TRUE(run_until_events(1));
  ASSERT_TRUE(await(client->put("/e/a", "1")));
  ASSERT_TRUE(run_until_events(2));
  relay->set_mode(Mode::refuse);
  relay->cut();
  ASSERT_TRUE(await(client->put("/e/a", "2")));
  ASSERT_TRUE(await(client->erase("/e/a")));
  relay->set_mode(Mode::forward);
  ASSERT_TRUE(run_until_events(4));
  EXPECT_THAT(events, ElementsAre("synced", "put /e/a=1", "put /e/a=2", "erase /e/a"));
  EXPECT_EQ(through->counters().watch_lists, 1U);
}

TEST_F(EtcdFailureTest, AWatchThatEtcdDoesNotConfirmIsTriedAgain) {
  const auto first = await(client->put("/u/a", "1"));
  ASSERT_TRUE(first);
  relay->set_mode(Mode::silent, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  auto through = make({.endpoints = {relay_url()}, .request_timeout = 1s, .retry_first = 10ms});
  EtcdWatch watch(*through, "/u/", recorder(), *first);
  ASSERT_TRUE(run_until([&] { return through->counters().watch_reconnects == 1; }));
  EXPECT_EQ(through->counters().timed_out, 1U);
  relay->set_mode(Mode::forward);
  ASSERT_TRUE(run_until_events(1));
  EXPECT_THAT(events, ElementsAre("put /u/a=1"));
}

TEST_F(EtcdFailureTest, AConfirmedWatchMayBeQuietForLonger) {
  auto patient = make({.endpoints = {server->url()}, .request_timeout = 2s});
  EtcdWatch watch(*patient, "/q/", recorder());
  ASSERT_TRUE(run_until_events(1));
  // Keep-alives of a lease pass the time: more than request_timeout.
  EtcdLease lease(*client, 3, nullptr);
  const std::uint64_t before = client->counters().requests;
  ASSERT_TRUE(run_until([&] { return client->counters().requests >= before + 4; }));
  EXPECT_EQ(patient->counters().watch_reconnects, 0U);
  ASSERT_TRUE(await(client->put("/q/a", "1")));
  EXPECT_TRUE(run_until_events(2));
}

TEST_F(EtcdFailureTest, EachBoundThatBitesIsCountedOnce) {
  ASSERT_TRUE(await(client->put("/b/1", "v")));
  ASSERT_TRUE(await(client->put("/b/2", "v")));
  auto few = make({.endpoints = {server->url()}, .keys_max = 1, .retry_first = 5s, .random = [] { return 0; }});
  EtcdWatch listed(*few, "/b/", recorder());
  ASSERT_TRUE(run_until([&] { return few->counters().watch_reconnects == 1; }));
  EXPECT_EQ(few->counters().watch_lists, 1U);
  EXPECT_EQ(few->counters().too_large, 1U);

  auto one = make({.endpoints = {server->url()}, .keys_max = 1, .retry_first = 5s, .random = [] { return 0; }});
  EtcdWatch grows(*one, "/g/", recorder());
  ASSERT_TRUE(run_until_events(1));
  ASSERT_TRUE(await(client->put("/g/1", "v")));
  ASSERT_TRUE(run_until_events(2));
  EXPECT_EQ(one->counters().too_large, 0U);
  ASSERT_TRUE(await(client->put("/g/2", "v")));
  ASSERT_TRUE(run_until([&] { return one->counters().watch_reconnects == 1; }));
  EXPECT_EQ(one->counters().too_large, 1U);

  auto lines = make({.endpoints = {server->url()}, .watch_line_bytes_max = 2000, .retry_first = 10ms});
  EtcdWatch line(*lines, "/m/", recorder());
  events.clear();
  ASSERT_TRUE(run_until_events(1));
  ASSERT_TRUE(await(client->put("/m/small", std::string(900, 'x'))));
  ASSERT_TRUE(run_until_events(2));
  EXPECT_EQ(lines->counters().too_large, 0U);
  ASSERT_TRUE(await(client->put("/m/large", std::string(2000, 'x'))));
  ASSERT_TRUE(run_until_events(4));  // from the list
  EXPECT_EQ(lines->counters().too_large, 1U);
  EXPECT_EQ(lines->counters().watch_lists, 2U);
}

TEST_F(EtcdFailureTest, ALeaseMayGoBeforeItsRevokeIsAwaited) {
  std::int64_t id = 0;
  auto lease = std::make_unique<EtcdLease>(*client, 60, [&](std::int64_t granted) { id = granted; });
  ASSERT_TRUE(run_until([&] { return id != 0; }));
  ASSERT_TRUE(await(client->put("k", "v", id)));
  auto revoke = lease->revoke();
  lease.reset();
  ASSERT_TRUE(await(std::move(revoke)));
  EXPECT_FALSE(await(client->get("k")).value());
}

class EtcdTlsTest : public EtcdTest {
 protected:
  void SetUp() override {
    const transport::IssuedCertificate at_server =
        authority.issue({.common_name = "etcd", .ip_addresses = {"127.0.0.1"}});
    ca = files.write("ca.pem", authority.cert_pem());
    auto started = EtcdProcess::start({.cert = files.write("server.pem", at_server.cert_pem),
                                       .key = files.write("server.key", at_server.key_pem),
                                       .client_ca = ca});
    ASSERT_TRUE(started) << started.error().to_string();
    server = *std::move(started);
  }
  // How a client with this certificate fares; "": well.
  std::string outcome(const std::string& parameters) {
    client = make({.endpoints = {server->url() + parameters}, .request_timeout = 5s});
    const auto put = await(client->put("k", "v"));
    return put ? std::string() : put.error().to_string();
  }
  std::string certificate_of(const transport::TestAuthority& by, const std::string& name) {
    const transport::IssuedCertificate issued = by.issue({.common_name = name});
    return "cert=" + files.write(name + ".pem", issued.cert_pem) + "&key=" + files.write(name + ".key", issued.key_pem);
  }

  transport::TestAuthority authority;
  transport::TestDirectory files;
  std::string ca;
};

TEST_F(EtcdTlsTest, AuthorityAndClientCertificateAreUsedForRequestsAndWatches) {
  ASSERT_THAT(server->url(), StartsWith("https://"));
  ASSERT_EQ(outcome("?ca=" + ca + "&" + certificate_of(authority, "client")), "");
  EtcdWatch watch(*client, "k", recorder());
  ASSERT_TRUE(run_until_events(2));
  ASSERT_TRUE(await(client->put("k", "w")));
  ASSERT_TRUE(run_until_events(3));
  EXPECT_EQ(events.back(), "put k=w");
}

TEST_F(EtcdTlsTest, WithoutTrustOrCertificateItIsRefusedAndSaysWhy) {
  const transport::TestAuthority other("somebody else");
  const std::string good = certificate_of(authority, "good");
  EXPECT_THAT(outcome("?ca=" + files.write("other.pem", other.cert_pem()) + "&" + good), HasSubstr("certificate"));
  EXPECT_THAT(outcome("?ca=" + ca), HasSubstr("certificate"));
  EXPECT_THAT(outcome("?ca=" + ca + "&" + certificate_of(other, "bad")), HasSubstr("certificate"));
  EXPECT_THAT(outcome("?ca=/does/not/exist&" + good), HasSubstr("/does/not/exist"));
  EXPECT_NE(outcome("?no_such_parameter=1"), "");
  // Plain text to a TLS port.
  client = make({.endpoints = {"http://127.0.0.1:" + std::to_string(server->port())}, .request_timeout = 5s});
  EXPECT_FALSE(await(client->put("k", "v")));
}

}  // namespace
}  // namespace wayport::rpc
