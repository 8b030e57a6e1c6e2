#include "wayport/tools/wayport/interop/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <string>

namespace wayport::tools::interop {
namespace {

using ::testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

// What each role needs, with `changes` on top; an empty text takes the variable away.
Result<Settings> read(Variables variables, const Variables& changes = {}) {
  for (const auto& [name, value] : changes) variables["INTEROP_" + name] = value;
  return read_settings([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() || found->second.empty() ? nullptr : found->second.c_str();
  });
}
const Variables kClient = {
    {"INTEROP_ROLE", "client"}, {"INTEROP_CASE", "echo"},       {"INTEROP_ADDRESS", "tcp://server:9000"},
    {"INTEROP_SEED", "7"},      {"INTEROP_TIMEOUT", "10"},      {"INTEROP_VERSION", "2.4"},
    {"INTEROP_CODEC", "plain"}, {"INTEROP_HEADER", "protobuf"}, {"INTEROP_GZIP", "5"},
    {"INTEROP_COUNT", "3"},     {"INTEROP_BYTES", "100"}};
const Variables kLinkServer = {{"INTEROP_ROLE", "link-server"},   {"INTEROP_CASE", "link-echo"},
                               {"INTEROP_ADDRESS", "tcp://gw:1"}, {"INTEROP_SEED", "7"},
                               {"INTEROP_TIMEOUT", "10"},         {"INTEROP_ID", "42"},
                               {"INTEROP_KEY", "secret"}};
const Variables kLinkClient = {
    {"INTEROP_ROLE", "link-client"}, {"INTEROP_CASE", "link-echo"}, {"INTEROP_ADDRESS", "tcp://gw:1"},
    {"INTEROP_SEED", "7"},           {"INTEROP_TIMEOUT", "10"},     {"INTEROP_ID", "42"},
    {"INTEROP_COUNT", "3"},          {"INTEROP_BYTES", "100"}};
const Variables kStreamClient = {{"INTEROP_ROLE", "stream-client"},
                                 {"INTEROP_CASE", "stream"},
                                 {"INTEROP_ADDRESS", "tcp://server:9000"},
                                 {"INTEROP_SEED", "7"},
                                 {"INTEROP_TIMEOUT", "10"},
                                 {"INTEROP_BYTES", "100"}};

void expect_unsupported(const Result<Settings>& result, const std::string& part) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::unsupported);
  EXPECT_THAT(result.error().detail, HasSubstr(part));
}
void expect_mistake(const Result<Settings>& result, const std::string& part) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::invalid_argument) << result.error().to_string();
  EXPECT_THAT(result.error().detail, HasSubstr(part));
}
// A number that may be `least` to `most`, and nothing else.
void expect_range(const Variables& base, const std::string& name, std::int64_t least, std::int64_t most) {
  SCOPED_TRACE(name);
  EXPECT_TRUE(read(base, {{name, std::to_string(least)}}));
  EXPECT_TRUE(read(base, {{name, std::to_string(most)}}));
  for (const std::string& wrong : {std::to_string(least - 1), std::to_string(most + 1), std::string("x"),
                                   std::string("7x"), std::string(" 7"), std::string("99999999999999999999")}) {
    expect_mistake(read(base, {{name, wrong}}), "INTEROP_" + name + "=" + wrong);
  }
}

TEST(Environment, ReadsAClientOfTeleport) {
  const Result<Settings> settings = read(kClient);
  ASSERT_TRUE(settings) << settings.error().to_string();
  EXPECT_EQ(settings->role, Role::client);
  EXPECT_EQ(settings->what, Case::echo);
  EXPECT_EQ(settings->address.to_string(), "tcp://server:9000");
  EXPECT_EQ(settings->seed, 7u);
  EXPECT_EQ(settings->timeout, std::chrono::seconds(10));
  EXPECT_EQ(settings->version, framing::PeerVersion::v2_1);
  EXPECT_EQ(settings->codec, framing::kCodecString);
  EXPECT_EQ(settings->header_codec, framing::kCodecProtobuf);
  EXPECT_EQ(settings->gzip, 5);
  EXPECT_EQ(settings->count, 3u);
  EXPECT_EQ(settings->bytes, 100u);
}

TEST(Environment, ReadsAServerOfALink) {
  const Result<Settings> settings = read(kLinkServer);
  ASSERT_TRUE(settings) << settings.error().to_string();
  EXPECT_EQ(settings->role, Role::link_server);
  EXPECT_EQ(settings->id, 42u);
  EXPECT_EQ(settings->key, "secret");
  EXPECT_EQ(settings->max_packet, 524288u);
  EXPECT_EQ(read(kLinkServer, {{"MAX_PACKET", "1000"}})->max_packet, 1000u);
}

TEST(Environment, NamesWhatIsMissing) {
  for (const Variables& base : {kClient, kLinkServer, kLinkClient, kStreamClient}) {
    for (const auto& [name, value] : base) {
      Variables without = base;
      without.erase(name);
      expect_mistake(read(without), name + " is not set");
    }
  }
}

TEST(Environment, NeedsNoCountOfAServer) {
  EXPECT_TRUE(read(kClient, {{"ROLE", "server"}, {"COUNT", ""}, {"BYTES", ""}}));
  EXPECT_TRUE(read(kClient, {{"CASE", "status"}, {"COUNT", ""}, {"BYTES", ""}}));
}

TEST(Environment, DoesNotKnowEverything) {
  expect_unsupported(read(kClient, {{"ROLE", "gateway"}}), "INTEROP_ROLE=gateway");
  expect_unsupported(read(kClient, {{"CASE", "juggle"}}), "INTEROP_CASE=juggle");
  expect_unsupported(read(kClient, {{"CASE", "link-echo"}}), "INTEROP_CASE=link-echo");
  expect_unsupported(read(kClient, {{"VERSION", "2.7"}}), "INTEROP_VERSION=2.7");
  expect_unsupported(read(kClient, {{"CODEC", "xml"}}), "INTEROP_CODEC=xml");
  expect_unsupported(read(kClient, {{"HEADER", "plain"}}), "INTEROP_HEADER=plain");
  expect_unsupported(read(kClient, {{"GZIP", "10"}}), "INTEROP_GZIP=10");
  expect_unsupported(read(kClient, {{"GZIP", "-3"}}), "INTEROP_GZIP=-3");
  expect_unsupported(read(kClient, {{"ADDRESS", "quic://server:9000"}}), "over quic");
  expect_unsupported(read(kClient, {{"ADDRESS", "snet+quic://server:9000"}}), "over snet+quic");
  expect_unsupported(read(kLinkClient, {{"CASE", "link-key"}}), "INTEROP_ROLE=link-client");
  expect_mistake(read(kClient, {{"ADDRESS", "tcp://server:port"}}), "INTEROP_ADDRESS: ");
}

TEST(Environment, KnowsWhichTransportsACaseIsFor) {
  const auto stream = [](const std::string& what, const std::string& address,
                         const std::string& role = "stream-client") {
    return read(kStreamClient, {{"CASE", what}, {"ADDRESS", address}, {"ROLE", role}});
  };
  for (const char* address : {"tcp://s:1", "tls://s:1", "unix://@s", "route+tcp://gw:1/s:1", "route+tls://gw:1/s:1"}) {
    EXPECT_TRUE(stream("stream-half", address)) << address;
  }
  for (const char* address : {"ws://s:1", "kcp://s:1", "snet+tcp://s:1", "route+ws://gw:1/s:1"}) {
    expect_unsupported(stream("stream-half", address), "stream-half over ");
    EXPECT_TRUE(stream("stream", address)) << address;
  }
  EXPECT_TRUE(read(kClient, {{"CASE", "limit"}, {"ADDRESS", "ws://s:1"}}));
  EXPECT_TRUE(read(kClient, {{"CASE", "large"}, {"ADDRESS", "kcp://s:1"}}));
  expect_unsupported(read(kClient, {{"CASE", "limit"}, {"ADDRESS", "kcp://s:1"}}), "limit over kcp");
  EXPECT_TRUE(stream("stream-cut", "snet+tcp://s:1"));
  expect_unsupported(stream("stream-cut", "tcp://s:1"), "stream-cut over tcp");
  EXPECT_TRUE(stream("route-refused", "route+tcp://gw:1/s:1"));
  expect_unsupported(stream("route-refused", "tcp://s:1"), "route-refused over tcp");
  EXPECT_TRUE(stream("route-refused", "tcp://s:1", "stream-server"));
  expect_unsupported(stream("stream", "route+tcp://gw:1/s:1", "stream-server"),
                     "stream-server of stream over route+tcp");
}

TEST(Environment, TakesGzipLevelsThatThereAre) {
  for (const char* level : {"-2", "-1", "0", "1", "9"}) EXPECT_TRUE(read(kClient, {{"GZIP", level}})) << level;
}

TEST(Environment, BoundsItsNumbers) {
  expect_range(kClient, "SEED", 0, 0xffffffff);
  expect_range(kClient, "TIMEOUT", 1, Settings::kTimeoutSecondsMax);
  expect_range(kClient, "COUNT", 1, Settings::kCountMax);
  expect_range(kClient, "BYTES", 0, Settings::kBytesMax);
  expect_range(kLinkServer, "ID", 0, 0xffffffff);
  expect_range(kLinkServer, "MAX_PACKET", Settings::kMaxPacketMin, Settings::kMaxPacketMax);
  // A message of a link has a byte, and fits a frame.
  expect_range(kLinkClient, "BYTES", 1, 524288 - 4);
  const std::string longest(Settings::kKeyBytesMax, 'k');
  EXPECT_TRUE(read(kLinkServer, {{"KEY", longest}}));
  expect_mistake(read(kLinkServer, {{"KEY", longest + "k"}}), "INTEROP_KEY");
}

TEST(Environment, AddsTheCertificatesOfTheRunWhereNoneAreNamed) {
  EXPECT_EQ(read(kClient, {{"ADDRESS", "tls://server:9000"}})->address.to_string(),
            "tls://server:9000?ca=/certs/ca.pem");
  EXPECT_EQ(read(kClient, {{"ADDRESS", "wss://0.0.0.0:9000"}, {"ROLE", "server"}})->address.to_string(),
            "wss://0.0.0.0:9000?cert=/certs/cert.pem&key=/certs/key.pem");
  // A link's server dials its gateway.
  EXPECT_EQ(read(kLinkServer, {{"ADDRESS", "tls://gw:1"}})->address.to_string(), "tls://gw:1?ca=/certs/ca.pem");
  for (const char* own : {"tls://server:9000?ca=own.pem", "tls://server:9000?insecure=1", "tcp://server:9000"}) {
    EXPECT_EQ(read(kClient, {{"ADDRESS", own}})->address.to_string(), own);
  }
  const char* const served = "tls://0.0.0.0:9000?cert=c.pem&key=k.pem";
  EXPECT_EQ(read(kClient, {{"ADDRESS", served}, {"ROLE", "server"}})->address.to_string(), served);
}

}  // namespace
}  // namespace wayport::tools::interop
