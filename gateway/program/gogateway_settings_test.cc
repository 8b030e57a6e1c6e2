#include "wayport/gateway/program/gogateway_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace wayport::gateway {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::vector<std::string> kResolvers = {"host-ip", "ipHost", "jwt", "origin"};

Result<Settings> read(const std::string& text, bool any = false) {
  return read_gogateway(text, "config.toml", {.allow_any_target = any}, kResolvers);
}
std::string error_of(const std::string& text, bool any = false) {
  const Result<Settings> settings = read(text, any);
  return settings ? "none" : settings.error().detail;
}

constexpr const char* kAllow = "[allow]\ntargets = [\"10.0.0.0/8:7000-7999\"]\n";

TEST(GogatewaySettings, TheOriginalsFileIsThreeRoutes) {
  const Result<Settings> settings = read(std::string(R"(
[log]
infofilePath = "info.log"
errorfilePath = "error.log"
[tcpgate]
port = 7788
enabled = true
dial_timeout = 3
zero_copy = true
[kcpgate]
port = 7790
enabled = true
dial_timeout = 4
zero_copy = false
[wsgate]
port = "7780"
enabled = true
dial_timeout = 5
[common]
dial_retry = 1
header_identify = "jwt"
success_resp_message = "AAE="
connect_timeout = 7
kcp_reciprocity = true
[resolver]
keys = [{ id = "a", algorithm = "HS256", secret = "0123456789abcdef0123456789abcdef" }]
leeway = "5s"
)") + kAllow);
  ASSERT_TRUE(settings) << settings.error().to_string();
  EXPECT_FALSE(settings->link);
  EXPECT_EQ(settings->log_file, "info.log");
  EXPECT_EQ(settings->log_error_file, "error.log");
  EXPECT_THAT(settings->pid_file, IsEmpty());
  EXPECT_THAT(settings->command_file, IsEmpty());
  ASSERT_EQ(settings->routes.size(), 3u);
  const route::RouteOptions& tcp = settings->routes[0];
  EXPECT_EQ(tcp.name, "tcp");
  EXPECT_THAT(tcp.listen, ElementsAre("tcp://:7788"));
  EXPECT_EQ(tcp.backend_transport, "tcp");
  EXPECT_TRUE(tcp.zero_copy);
  EXPECT_EQ(tcp.dial_timeout, seconds(3));
  const route::RouteOptions& kcp = settings->routes[1];
  EXPECT_EQ(kcp.name, "kcp");
  EXPECT_THAT(kcp.listen, ElementsAre("kcp://:7790?fec=10,3"));
  EXPECT_EQ(kcp.backend_transport, "kcp?fec=10,3");
  EXPECT_EQ(kcp.dial_timeout, seconds(4));
  const route::RouteOptions& ws = settings->routes[2];
  EXPECT_EQ(ws.name, "ws");
  EXPECT_THAT(ws.listen, ElementsAre("ws://:7780?origin=*"));
  EXPECT_EQ(ws.backend_transport, "tcp");
  for (const route::RouteOptions& route : settings->routes) {
    EXPECT_EQ(route.resolver, "jwt");
    EXPECT_EQ(*route.resolver_settings.at("leeway").text(), "5s");
    EXPECT_EQ(route.resolver_settings.at("keys").list()->size(), 1u);
    EXPECT_THAT(route.allow, ElementsAre("10.0.0.0/8:7000-7999"));
    EXPECT_FALSE(route.open_relay);
    EXPECT_EQ(route.dial_retry, 1u);
    EXPECT_EQ(route.success_message, std::string("\0\1", 2));
    EXPECT_EQ(route.connect_timeout, seconds(7));
  }
}

TEST(GogatewaySettings, WhatIsNotSaidIsAsInTheOriginal) {
  const Result<Settings> settings =
      read(std::string("[tcpgate]\nport = 1\nenabled = true\n[kcpgate]\nport = 2\n") + kAllow);
  ASSERT_TRUE(settings) << settings.error().to_string();
  ASSERT_EQ(settings->routes.size(), 1u);
  EXPECT_EQ(settings->routes[0].resolver, "ipHost");
  EXPECT_EQ(settings->routes[0].success_message, "ok");
  EXPECT_EQ(settings->routes[0].backend_transport, "tcp");
}

TEST(GogatewaySettings, KcpClientsGetATcpBackendWithoutReciprocity) {
  const Result<Settings> settings = read(std::string("[kcpgate]\nport = 2\nenabled = true\n") + kAllow);
  ASSERT_TRUE(settings) << settings.error().to_string();
  EXPECT_EQ(settings->routes.at(0).backend_transport, "tcp");
}

TEST(GogatewaySettings, ParametersOfListenersCanBeAdded) {
  const Result<Settings> settings = read(
      std::string("[kcpgate]\nport = 2\nenabled = true\n[wsgate]\nport = 3\nenabled = true\n[common]\n"
                  "kcp_reciprocity = true\n[listen]\nkcp = \"crypt=aes&key=00\"\nws = \"origin=https://a.example\"\n") +
      kAllow);
  ASSERT_TRUE(settings) << settings.error().to_string();
  EXPECT_THAT(settings->routes.at(0).listen, ElementsAre("kcp://:2?fec=10,3&crypt=aes&key=00"));
  EXPECT_EQ(settings->routes.at(0).backend_transport, "kcp?fec=10,3&crypt=aes&key=00");
  EXPECT_THAT(settings->routes.at(1).listen, ElementsAre("ws://:3?origin=https://a.example"));
}

TEST(GogatewaySettings, WithoutAnAllowListNothingStartsAndTheLinesToAddArePrinted) {
  const std::string gate = "[tcpgate]\nport = 1\nenabled = true\n";
  EXPECT_THAT(error_of(gate), HasSubstr("\n[allow]\ntargets = [\"10.0.0.0/8:7000-7999\", \".svc.local:443\"]\n"));
  EXPECT_THAT(error_of(gate + "[allow]\n"), HasSubstr("--allow-any-target"));
  const Result<Settings> any = read(gate, true);
  ASSERT_TRUE(any) << any.error().to_string();
  EXPECT_TRUE(any->routes.at(0).open_relay);
  EXPECT_THAT(error_of(gate + kAllow, true), HasSubstr("exclude each other"));
}

TEST(GogatewaySettings, ARuleThatOpensEverythingHasToBeMeant) {
  const std::string open = "[tcpgate]\nport = 1\nenabled = true\n[allow]\ntargets = [\"0.0.0.0/0:443\"]\n";
  EXPECT_THAT(error_of(open), HasSubstr("set open_relay = true if that is meant"));
  const Result<Settings> meant = read(open + "open_relay = true\n");
  ASSERT_TRUE(meant) << meant.error().to_string();
  EXPECT_TRUE(meant->routes.at(0).open_relay);
}

TEST(GogatewaySettings, MistakesAreNamedByFileLineAndKey) {
  const std::string allow = kAllow;  // two lines
  EXPECT_THAT(
      error_of(allow + "[tcpgate]\nprot = 1\n"),
      StartsWith("config.toml:4: [tcpgate] prot is not known; the keys are dial_timeout, enabled, port, zero_copy"));
  EXPECT_THAT(error_of(allow + "[tcpgate]\nport = 70000\n"),
              StartsWith("config.toml:4: [tcpgate] port has to be a port"));
  EXPECT_THAT(error_of(allow + "[tcpgate]\nport = \"x\"\n"),
              StartsWith("config.toml:4: [tcpgate] port has to be a port"));
  EXPECT_THAT(error_of(allow + "[common]\nsuccess_resp_message = \"b2s\"\n"),
              StartsWith("config.toml:4: [common] success_resp_message has to be base64"));
  EXPECT_THAT(error_of(allow + "[common]\nheader_identify = \"etcdd\"\n"),
              AllOf(StartsWith("config.toml:3: [common] header_identify is \"etcdd\""),
                    HasSubstr("host-ip, ipHost, jwt, origin")));
  EXPECT_THAT(error_of(allow + "[tcpgat]\n"), StartsWith("config.toml:3: tcpgat is not known; the tables are "));
  EXPECT_THAT(error_of(allow + "[tcpgate]\nport = 1\n"), HasSubstr("nothing to do"));
  EXPECT_THAT(error_of(allow + "[tcpgate]\nenabled = true\n"),
              StartsWith("config.toml:3: [tcpgate] is enabled and has no port"));
  EXPECT_THAT(error_of("[allow]\ntargets = [\"10.0.0.0/40:1\"]\n[tcpgate]\nport = 1\nenabled = true\n"),
              AllOf(StartsWith("config.toml:3: [tcpgate] "), HasSubstr("10.0.0.0/40:1")));
  EXPECT_THAT(error_of("[tcpgate\n"), StartsWith("config.toml:1: no TOML"));
  EXPECT_THAT(error_of(allow + "[kcpgate]\nport = 1\nenabled = true\n[listen]\nkcp = \"a&b[c]=0\"\n"),
              StartsWith("config.toml:3: [listen] kcp: "));
}

}  // namespace
}  // namespace wayport::gateway
