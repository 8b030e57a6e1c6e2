#include "wayport/gateway/route/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace wayport::route {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kResolvers = {"etcd", "ipHost", "jwt", "static"};

RouteOptions good() {
  RouteOptions route;
  route.name = "web";
  route.listen = {"tcp://:7000"};
  route.allow = {"10.0.0.0/8:7000-7999"};
  return route;
}
std::string why_not(const std::function<void(RouteOptions&)>& change) {
  RouteOptions route = good();
  change(route);
  const Result<void> valid = route.validate(kResolvers);
  return valid ? "" : valid.error().detail;
}

TEST(RouteOptions, DefaultsAreThoseOfTheSpecification) {
  const RouteOptions route;
  EXPECT_EQ(route.identify_bytes_max, 4096u);
  EXPECT_EQ(route.connect_timeout, seconds(10));
  EXPECT_EQ(route.dial_timeout, seconds(5));
  EXPECT_EQ(route.success_message, "ok");
  EXPECT_EQ(route.idle_timeout, Duration::zero());
  EXPECT_EQ(route.websocket.message_bytes_max, 1u << 20);
  EXPECT_EQ(route.websocket.message_timeout, seconds(30));
  EXPECT_EQ(route.websocket.header_bytes_max, 4096u);
  EXPECT_TRUE(route.allow.empty());
  EXPECT_EQ(why_not([](RouteOptions&) {}), "");
}

TEST(RouteOptions, ErrorsNameTheRouteTheKeyAndWhatItMayBe) {
  using R = RouteOptions;
  const std::pair<std::function<void(R&)>, const char*> cases[] = {
      {[](R& r) { r.name = "a b"; }, "route \"a b\": name has to be 1 to 64 letters"},
      {[](R& r) { r.listen.clear(); }, "listen is empty"},
      {[](R& r) { r.listen = {"tcp://[::1"}; }, "listen is not usable: "},
      {[](R& r) { r.resolver = "ipHost2"; }, "resolver is \"ipHost2\"; it is one of etcd, ipHost, jwt, static"},
      {[](R& r) { r.allow = {"10.0.0.0/8"}; }, "allow is not usable: allow rule \"10.0.0.0/8\""},
      {[](R& r) { r.backend_transport = "unix"; }, "backend_transport is not usable"},
      {[](R& r) { r.backend_transport = "tcp://h:1"; }, "backend_transport is not usable"},
      {[](R& r) { r.identify_bytes_max = 0; }, "identify_bytes_max is 0; it has to be 1 to 4096"},
      {[](R& r) { r.identify_bytes_max = 4097; }, "identify_bytes_max is 4097; it has to be 1 to 4096"},
      {[](R& r) { r.connect_timeout = Duration::zero(); }, "connect_timeout is 0s; it has to be 1ms to 24h0m0s"},
      {[](R& r) { r.dial_timeout = -seconds(1); }, "dial_timeout is -1s"},
      {[](R& r) { r.dial_retry = 101; }, "dial_retry is 101; it has to be 0 to 100"},
      {[](R& r) { r.addresses_max = 0; }, "addresses_max is 0; it has to be 1 to 256"},
      {[](R& r) { r.success_message.assign(65537, 'x'); }, "success_message is 65537; it has to be 0 to 65536"},
      {[](R& r) { r.idle_timeout = -seconds(1); }, "idle_timeout is -1s"},
      {[](R& r) { r.linger_time = -seconds(1); }, "linger_time is -1s"},
      {[](R& r) { r.refusal_drain_time = seconds(61); }, "refusal_drain_time is 1m1s; it has to be 0s to 1m0s"},
      {[](R& r) { r.refusal_delay = seconds(61); }, "refusal_delay is 1m1s"},
      {[](R& r) { r.relay_low_water_bytes = r.relay_high_water_bytes; }, "relay_low_water_bytes is 262144"},
      {[](R& r) { r.websocket.message_bytes_max = 0; }, "websocket.message_bytes_max is 0"},
      {[](R& r) { r.websocket.message_timeout = -seconds(1); }, "websocket.message_timeout is -1s"},
      {[](R& r) { r.websocket.message_timeout = std::chrono::hours(25); }, "websocket.message_timeout is 25h"},
      {[](R& r) { r.websocket.header = "a:b"; }, "websocket.header is \"a:b\""},
      {[](R& r) { r.websocket.query = "a&b"; }, "websocket.query is \"a&b\""},
      {[](R& r) { r.websocket.subprotocol_prefix = "a,"; }, "websocket.subprotocol_prefix is \"a,\""},
      {[](R& r) { r.websocket.header = r.websocket.query = r.websocket.subprotocol_prefix = ""; }, "are all empty"},
      {[](R& r) { r.websocket.paths = {{"x", "h:1"}}; }, "a path begins with /"},
      {[](R& r) { r.websocket.paths = {{"/x", ""}}; }, "an identify of 0 bytes"},
      {[](R& r) { r.limits.connections_max = 0; }, "limits is not usable: connections_max is 0"},
  };
  for (const auto& [change, what] : cases) EXPECT_THAT(why_not(change), HasSubstr(what));
  EXPECT_THAT(why_not(cases[1].first), ::testing::StartsWith("route \"web\": "));
  EXPECT_EQ(why_not([](R& r) { r.success_message.assign(65536, 'x'); }), "");
  EXPECT_EQ(why_not([](R& r) { r.success_message.clear(); }), "");
  EXPECT_EQ(why_not([](R& r) { r.websocket.message_timeout = Duration::zero(); }), "");
  EXPECT_EQ(why_not([](R& r) { r.websocket.message_timeout = std::chrono::hours(24); }), "");
}

TEST(RouteOptions, AnOpenRelayNeedsItsFlagAndIsWarnedAbout) {
  RouteOptions route = good();
  EXPECT_THAT(route.warnings(), IsEmpty());
  for (const char* const wide : {"0.0.0.0/0:*", "[::]/0:443", "*:443 public", "0.0.0.0/1:1"}) {
    route.allow = {wide};
    route.open_relay = false;
    route.resolver = "ipHost";
    const Result<void> valid = route.validate(kResolvers);
    ASSERT_FALSE(valid.has_value()) << wide;
    EXPECT_THAT(valid.error().detail, HasSubstr("set open_relay = true if that is meant"));
    route.open_relay = true;
    EXPECT_TRUE(route.validate(kResolvers).has_value());
    EXPECT_THAT(route.warnings(), ElementsAre(HasSubstr("OPEN RELAY")));
    route.open_relay = false;
    route.resolver = "jwt";
    EXPECT_TRUE(route.validate(kResolvers).has_value()) << "tokens vouch";
    EXPECT_THAT(route.warnings(), ElementsAre(HasSubstr("opens (nearly) everything")));
  }
  route.resolver_settings["unsafe_accept_unsigned_tokens"] = true;
  EXPECT_FALSE(route.validate(kResolvers).has_value()) << "nobody vouches";
  route.allow = {"10.0.0.0/8:1"};
  EXPECT_TRUE(route.validate(kResolvers).has_value());
  EXPECT_THAT(route.warnings(), ElementsAre(HasSubstr("TOKENS ARE NOT VERIFIED")));
  EXPECT_THAT(RouteOptions().warnings(), ElementsAre(HasSubstr("allow is empty: every client is refused")));
}

TEST(ProxyProtocol, NamesAreReadAndWritten) {
  for (const ProxyProtocol version : {ProxyProtocol::none, ProxyProtocol::v1, ProxyProtocol::v2}) {
    EXPECT_EQ(*parse_proxy_protocol(to_string(version)), version);
  }
  EXPECT_THAT(parse_proxy_protocol("v3").error().detail, HasSubstr("it is one of none, v1, v2"));
}

}  // namespace
}  // namespace wayport::route
