#include "wayport/framing/route/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace wayport::route {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Kind = Target::Kind;

struct Good {
  const char* text;
  const char* host;
  std::uint16_t port;
  Kind kind;
  const char* canonical;
};

TEST(RouteTarget, ReadsWhatNamesABackend) {
  const std::string label(63, 'l');
  const std::string name = label + "." + label + "." + label + "." + std::string(61, 'm');
  const std::string longest = name + ".:65535";
  ASSERT_EQ(name.size(), kHostBytesMax);
  ASSERT_EQ(longest.size(), kTargetBytesMax);
  const Good table[] = {
      {"127.0.0.1:9000", "127.0.0.1", 9000, Kind::ipv4, "127.0.0.1:9000"},
      {"backend.example:443", "backend.example", 443, Kind::name, "backend.example:443"},
      {"[::1]:9000", "::1", 9000, Kind::ipv6, "[::1]:9000"},
      {"[2001:DB8:0:0::7]:1", "2001:db8::7", 1, Kind::ipv6, "[2001:db8::7]:1"},
      {"[::ffff:10.0.0.1]:80", "::ffff:10.0.0.1", 80, Kind::ipv6, "[::ffff:10.0.0.1]:80"},
      {"BackEnd.Example:65535", "backend.example", 65535, Kind::name, "backend.example:65535"},
      {"orders.shop.svc.cluster.local.:80", "orders.shop.svc.cluster.local.", 80, Kind::name,
       "orders.shop.svc.cluster.local.:80"},
      {"a:1", "a", 1, Kind::name, "a:1"},
      {"1a:1", "1a", 1, Kind::name, "1a:1"},
      {"0xyz:1", "0xyz", 1, Kind::name, "0xyz:1"},
      {"10.0.0.1.example:1", "10.0.0.1.example", 1, Kind::name, "10.0.0.1.example:1"},
      {"xn--bcher-kva.example:1", "xn--bcher-kva.example", 1, Kind::name, "xn--bcher-kva.example:1"},
      {longest.c_str(), nullptr, 65535, Kind::name, longest.c_str()},
  };
  for (const Good& row : table) {
    SCOPED_TRACE(row.text);
    const Result<Target> target = parse_target(row.text);
    ASSERT_TRUE(target) << target.error().to_string();
    EXPECT_EQ(target->host, row.host != nullptr ? row.host : name + ".");
    EXPECT_EQ(target->port, row.port);
    EXPECT_EQ(target->kind, row.kind);
    EXPECT_EQ(target->is_literal(), row.kind != Kind::name);
    EXPECT_EQ(to_string(*target), row.canonical);
    EXPECT_EQ(parse_target(to_string(*target)).value(), *target);
    EXPECT_FALSE(target->name_for_rules().ends_with('.'));
  }
  EXPECT_EQ(parse_target("a.b.:1")->name_for_rules(), "a.b");
}

TEST(RouteTarget, RefusesWhatTwoReadersCouldUnderstandDifferently) {
  const std::string label64(64, 'l');
  const std::string name254 =
      std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(62, 'd');
  const struct {
    std::string text, why;
  } table[] = {
      {"", "HOST:PORT"},
      {"127.0.0.1", "HOST:PORT"},
      {":80", "empty"},
      {".:80", "empty"},
      {"127.0.0.1:", "port"},
      {"127.0.0.1:0", "leading zero"},
      {"127.0.0.1:080", "leading zero"},
      {"127.0.0.1:65536", "over 65535"},
      {"127.0.0.1:100000", "1 to 5"},
      {"127.0.0.1:+80", "port"},
      {"127.0.0.1:-1", "port"},
      {"127.0.0.1:80 ", "port"},
      {"127.0.0.1: 80", "port"},
      {"127.0.0.1:080x", "port"},
      {"127.0.0.1:http", "port"},
      {"host:80\n", "port"},
      {std::string("host:80\0", 8), "port"},
      {" host:80", "letters"},
      {"ho st:80", "letters"},
      {std::string("ho\0st:80", 8), "letters"},
      {"user@host:80", "letters"},
      {"http://host:80", "letters"},
      {"host/:80", "letters"},
      {"under_score:80", "letters"},
      {"b\xc3\xbc"
       "cher.example:80",
       "letters"},
      {"a:b:80", "letters"},
      {"::1:80", "letters"},
      {"*:80", "letters"},
      {"a..b:80", "empty label"},
      {".a:80", "empty label"},
      {"a..:80", "empty label"},
      {"-a:80", "hyphen"},
      {"a-.b:80", "hyphen"},
      {label64 + ":80", "63"},
      {name254 + ":80", "253"},
      // What inet_aton() takes for addresses.
      {"127.1:80", "no IPv4"},
      {"2130706433:80", "no IPv4"},
      {"010.0.0.1:80", "no IPv4"},
      {"1.2.3.4.5:80", "no IPv4"},
      {"256.0.0.1:80", "no IPv4"},
      {"1.2.3.4.:80", "no IPv4"},
      {"0x7f000001:80", "no IPv4"},
      {"0x7f.1:80", "no IPv4"},
      {"127.0x1:80", "no IPv4"},
      {"a.0X:80", "no IPv4"},
      {"[::1:80", "not closed"},
      {"[::1]", "port"},
      {"[::1]x:80", "not closed"},
      {"[]:80", "IPv6"},
      {"[127.0.0.1]:80", "IPv6"},
      {"[fe80::1%eth0]:80", "zones"},
      {std::string("[::1\0]:80", 9), "IPv6"},
      {std::string(300, 'a') + ":80", "at most 260"},
  };
  for (const auto& row : table) {
    SCOPED_TRACE(row.text);
    const Result<Target> target = parse_target(row.text);
    ASSERT_FALSE(target) << to_string(*target);
    EXPECT_EQ(target.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(target.error().detail, HasSubstr(row.why));
    EXPECT_THAT(target.error().detail, Not(HasSubstr("\n")));
    EXPECT_LT(target.error().detail.size(), 1500u);
  }
}

TEST(RouteTarget, ComesFromTheClaimsOfATokenUnderTheSameRules) {
  EXPECT_EQ(make_target("127.0.0.1", 9000).value(), parse_target("127.0.0.1:9000").value());
  EXPECT_EQ(make_target("Backend.example", 1).value(), parse_target("backend.example:1").value());
  EXPECT_EQ(make_target("::1", 80).value(), parse_target("[::1]:80").value());
  EXPECT_EQ(make_target("[::1]", 80).value(), parse_target("[::1]:80").value());
  for (const std::int64_t port : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{65536}, INT64_MAX, INT64_MIN}) {
    const Result<Target> target = make_target("a", port);
    ASSERT_FALSE(target);
    EXPECT_THAT(target.error().detail, HasSubstr("1 to 65535"));
  }
  for (const char* host : {"", "a:80", "127.1", "a b", "[::1", "fe80::1%eth0"})
    EXPECT_FALSE(make_target(host, 80)) << host;
  EXPECT_FALSE(make_target(std::string(5000, ':'), 80));
}

}  // namespace
}  // namespace wayport::route
