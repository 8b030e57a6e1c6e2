#include "wayport/transport/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wayport::transport {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

Address ok(std::string_view text) {
  Result<Address> address = Address::parse(text);
  EXPECT_TRUE(address) << text << ": " << (address ? "" : address.error().detail);
  return address ? *address : Address{};
}
std::string error_of(std::string_view text) {
  const Result<Address> address = Address::parse(text);
  EXPECT_FALSE(address) << text << " was taken as " << (address ? address->to_string() : "");
  return address ? "" : address.error().detail;
}

TEST(Address, TakesApartWhatTheHeaderShows) {
  const Address tcp = ok("tcp://example.org:80?keepalive=30s&nodelay=0");
  EXPECT_THAT(tcp.layers(), ElementsAre("tcp"));
  EXPECT_EQ(tcp.host(), "example.org");
  EXPECT_EQ(tcp.port(), 80);
  EXPECT_THAT(tcp.parameters(), ElementsAre(Pair("keepalive", "30s"), Pair("nodelay", "0")));

  const Address link = ok("link+tls://gateway:7001/42?key_file=key");
  EXPECT_THAT(link.layers(), ElementsAre("link", "tls"));
  EXPECT_EQ(link.scheme(), "link+tls");
  EXPECT_EQ(link.path(), "/42");

  EXPECT_EQ(ok("unix:///run/app.sock?mode=0660").path(), "/run/app.sock");
  EXPECT_EQ(ok("unix://@abstract-name").path(), "@abstract-name");
  EXPECT_TRUE(ok("unix://@abstract-name").is_abstract_unix());
  EXPECT_EQ(ok("tls+unix:///run/app.sock").path(), "/run/app.sock");
}

TEST(Address, BareHostAndPortIsTcp) {
  EXPECT_EQ(ok("localhost:9090"), ok("tcp://localhost:9090"));
  EXPECT_EQ(ok("[::1]:9090"), ok("tcp://[::1]:9090"));
  EXPECT_EQ(ok(":9090"), ok("tcp://:9090"));
  EXPECT_EQ(ok("h:1?a=b://c"), ok("tcp://h:1?a=b://c"));
  EXPECT_THAT(error_of("localhost"), HasSubstr("neither scheme://... nor host:port"));
  EXPECT_THAT(error_of("/run/app.sock"), HasSubstr("neither"));
}

TEST(Address, IPv6HasBracketsAndZones) {
  EXPECT_EQ(ok("tcp://[::1]:80").host(), "::1");
  EXPECT_EQ(ok("tcp://[0:0:0:0:0:0:0:1]:80").host(), "::1");
  EXPECT_EQ(ok("tcp://[fe80::1%25eth0]:80").host(), "fe80::1%eth0");
  EXPECT_EQ(ok("tcp://[fe80::1%eth0]:80"), ok("tcp://[fe80::1%25eth0]:80"));
  EXPECT_EQ(ok("tcp://[fe80::1%eth0]:80").to_string(), "tcp://[fe80::1%25eth0]:80");
  EXPECT_EQ(ok("tcp://[fe80::1%25]:80").host(), "fe80::1%25");
  EXPECT_EQ(ok(ok("tcp://[fe80::1%25]:80").to_string()), ok("tcp://[fe80::1%25]:80"));
  EXPECT_THAT(error_of("tcp://::1:80"), HasSubstr("brackets"));
  EXPECT_THAT(error_of("tcp://[::g]:80"), AllOf(HasSubstr("at 7"), HasSubstr("not an IPv6 address")));
  EXPECT_THAT(error_of("tcp://[127.0.0.1]:80"), HasSubstr("not an IPv6 address"));
  EXPECT_THAT(error_of("tcp://[::1:80"), HasSubstr("bracket"));
  EXPECT_THAT(error_of("tcp://[::1]80"), HasSubstr("expected \":\""));
  EXPECT_THAT(error_of("tcp://[fe80::1%]:80"), HasSubstr("zone"));
  EXPECT_THAT(error_of("tcp://[fe80::1%a/b]:80"), HasSubstr("bracket"));
}

TEST(Address, PortsAreFrom0To65535) {
  EXPECT_EQ(ok("tcp://h:0").port(), 0);
  EXPECT_EQ(ok("tcp://h:65535").port(), 65535);
  EXPECT_EQ(ok("tcp://h").port(), 0);
  for (const char* port : {"65536", "99999999999999999999", "-1", "+1", "", " 1", "1 ", "0x10", "01", "http"}) {
    EXPECT_THAT(error_of("tcp://h:" + std::string(port)), HasSubstr("at 8: port")) << port;
  }
}

TEST(Address, ParametersAndPathsArePercentDecoded) {
  const Address address = ok("tcp://h:1/a%2fb%3F?v=%26%3d%25+&w=a=b&x=");
  EXPECT_EQ(address.path(), "/a/b?");
  EXPECT_THAT(address.parameters(), ElementsAre(Pair("v", "&=%+"), Pair("w", "a=b"), Pair("x", "")));
  EXPECT_EQ(*address.parameter("v"), "&=%+");
  EXPECT_EQ(address.parameter("absent"), nullptr);
}

TEST(Address, PrintingAndParsingAreInverse) {
  for (const char* text : {
           "tcp://127.0.0.1:9090",
           "tcp://[::1]",
           "tcp://:80",
           "tcp://h:1?v=%26%25",
           "unix:///run/app.sock?mode=0660",
           "unix://@a%23b%3Fc%25",
           "unix://@name",
           "snet+tls://h:2?encrypt=1&buffer=64KiB",
           "link+tls+unix:///run/%C3%A4?key=a",
           "mem://name",
           "route+tcp://gateway:1/10.0.0.1:80",
       }) {
    const Address address = ok(text);
    EXPECT_EQ(ok(address.to_string()), address) << text;
    EXPECT_EQ(ok(address.to_string()).to_string(), address.to_string()) << text;
  }
  EXPECT_EQ(ok("unix:///a%20b").to_string(), "unix:///a%20b");
  EXPECT_EQ(ok("tcp://h:1?v=a%2Fb").to_string(), "tcp://h:1?v=a/b");
}

TEST(Address, ControlCharactersAreNeverAccepted) {
  for (const char* code : {"%00", "%0a", "%1f", "%7f", "%09"}) {
    EXPECT_THAT(error_of("unix:///a" + std::string(code)), HasSubstr("at 9: control character in the path"));
    EXPECT_THAT(error_of("tcp://h:1?v=" + std::string(code)), HasSubstr("control character in the value of v"));
  }
  for (int c = 0; c < 0x20; ++c) {
    const std::string control(1, static_cast<char>(c));
    EXPECT_FALSE(Address::parse("tcp://h" + control + ":1")) << c;
    EXPECT_FALSE(Address::parse("unix:///a" + control)) << c;
    EXPECT_FALSE(Address::parse("tcp://h:1?v=" + control)) << c;
    EXPECT_FALSE(Address::parse("tcp://h:1?v" + control + "=1")) << c;
    EXPECT_FALSE(Address::parse("tcp" + control + "://h:1")) << c;
    EXPECT_FALSE(Address::parse("tcp://[::1" + control + "]:1")) << c;
    EXPECT_FALSE(Address::parse("tcp://[fe80::1%e" + control + "]:1")) << c;
  }
}

TEST(Address, ErrorsNameThePositionAndTheOffendingPart) {
  EXPECT_THAT(error_of(""), HasSubstr("empty"));
  EXPECT_THAT(error_of("://h:1"), HasSubstr("at 0: layer \"\""));
  EXPECT_THAT(error_of("TCP://h:1"), HasSubstr("layer \"TCP\""));
  EXPECT_THAT(error_of("snet+://h:1"), HasSubstr("at 5: layer \"\""));
  EXPECT_THAT(error_of("tcp://user@h:1"), HasSubstr("at 10: \"@\" cannot be in a host name"));
  EXPECT_THAT(error_of("tcp://h%41:1"), HasSubstr("\"%\" cannot be in a host name"));
  EXPECT_THAT(error_of("tcp://h:1?"), HasSubstr("at 10: parameter name \"\""));
  EXPECT_THAT(error_of("tcp://h:1?a=1&&b=2"), HasSubstr("at 14: parameter name"));
  EXPECT_THAT(error_of("tcp://h:1?flag"), HasSubstr("\"flag\" has no \"=\""));
  EXPECT_THAT(error_of("tcp://h:1?v=%4"), HasSubstr("at 12: percent sign"));
  EXPECT_THAT(error_of("tcp://h:1?v=%zz"), HasSubstr("percent sign"));
  EXPECT_THAT(error_of("tcp://h:1/a#b"), HasSubstr("at 11: \"#\" must be percent-coded"));
  EXPECT_THAT(error_of("unix://relative"), HasSubstr("at 7: a unix address is"));
  EXPECT_THAT(error_of("unix://@"), HasSubstr("a unix address is"));
  EXPECT_THAT(error_of("unix://"), HasSubstr("a unix address is"));
  EXPECT_THAT(error_of("tcp://h:1?token=s3cret&x"), Not(HasSubstr("s3cret")));
}

TEST(Address, LengthsAreBounded) {
  const std::string host(253, 'h');
  EXPECT_EQ(ok("tcp://" + host + ":1").host(), host);
  EXPECT_THAT(error_of("tcp://h" + host + ":1"), HasSubstr("253"));
  const std::string prefix = "tcp://h:1?v=";
  EXPECT_TRUE(Address::parse(prefix + std::string(kAddressBytesMax - prefix.size(), 'x')));
  const auto too_long = Address::parse(prefix + std::string(kAddressBytesMax - prefix.size() + 1, 'x'));
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().code, ErrorCode::too_large);
}

TEST(Address, LogsHideSecrets) {
  const Address address = ok("link+tcp://h:1?key=k1&password=p1&token=t1&key_file=f");
  EXPECT_EQ(address.to_log(), "link+tcp://h:1?key=***&password=***&token=***&key_file=f");
  EXPECT_THAT(address.to_string(), HasSubstr("token=t1"));
}

TEST(Address, UnknownAndRepeatedParametersAreRefusedByName) {
  EXPECT_TRUE(ok("tcp://h:1?a=1&b=2").check_parameters({"a", "b", "c"}));
  EXPECT_TRUE(ok("tcp://h:1?a=1&b=2&b=3").check_parameters({"a"}, {"b"}));
  const auto unknown = ok("tcp://h:1?a=1&keepalife=2").check_parameters({"a"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(unknown.error().detail, HasSubstr("unknown parameter \"keepalife\""));
  const auto repeated = ok("tcp://h:1?a=1&a=2").check_parameters({"a"});
  ASSERT_FALSE(repeated);
  EXPECT_THAT(repeated.error().detail, HasSubstr("\"a\" is given twice"));
}

TEST(Address, BelowIsTheNextLayerWithoutTheParametersOfThisOne) {
  EXPECT_EQ(ok("tls://h:1?ca=f&nodelay=0").below("tcp", {"ca", "cert"}), ok("tcp://h:1?nodelay=0"));
  EXPECT_EQ(ok("tls+unix:///s?ca=f").below("tcp", {"ca"}), ok("unix:///s"));
}

TEST(Address, ParametersAndPortCanBeSet) {
  Address address = Address::of("tcp", "::1", 0);
  address.set_port(80);
  address.set_parameter("a", "1");
  address.set_parameter("a", "2&");
  EXPECT_EQ(address.to_string(), "tcp://[::1]:80?a=2%26");
}

}  // namespace
}  // namespace wayport::transport
