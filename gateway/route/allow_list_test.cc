#include "wayport/gateway/route/allow_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wayport::route {
namespace {

using ::testing::HasSubstr;
using Verdict = AllowDecision::Verdict;

AllowList list(const std::vector<std::string>& rules) {
  Result<AllowList> parsed = AllowList::parse(rules);
  EXPECT_TRUE(parsed.has_value()) << (parsed ? "" : parsed.error().to_string());
  return parsed ? *std::move(parsed) : AllowList();
}
std::string why_not(const std::vector<std::string>& rules) {
  const Result<AllowList> parsed = AllowList::parse(rules);
  return parsed ? "" : parsed.error().to_string();
}
IpAddress ip(std::string_view text) {
  const auto address = IpAddress::parse(text);
  EXPECT_TRUE(address.has_value()) << text;
  return address.value_or(IpAddress());
}
Target target(std::string_view text) {
  Result<Target> parsed = parse_target(text);
  EXPECT_TRUE(parsed.has_value()) << text;
  return parsed ? *std::move(parsed) : Target();
}
// What is decided of a target, and of its addresses if it is a name.
bool allowed(const AllowList& rules, std::string_view text, const std::vector<std::string>& answers = {}) {
  const Target to = target(text);
  const AllowDecision first = rules.decide(to);
  EXPECT_FALSE(first.why.empty());
  if (first.verdict != Verdict::resolve) return first.allowed();
  std::vector<IpAddress> addresses;
  for (const std::string& answer : answers) addresses.push_back(ip(answer));
  return rules.decide_addresses(to, addresses).allowed();
}

TEST(AllowRule, ReadsEveryForm) {
  const std::pair<const char*, const char*> rules[] = {
      {"10.0.0.0/8:7000-7999", "10.0.0.0/8:7000-7999"},
      {"10.1.2.3:443", "10.1.2.3:443"},
      {"10.1.2.3/32:443", "10.1.2.3:443"},
      {"0.0.0.0/0:*", "0.0.0.0/0:*"},
      {"[2001:db8::]/32:*", "[2001:db8::]/32:*"},
      {"[2001:db8::/32]:*", "[2001:db8::]/32:*"},
      {"[2001:DB8::7]:443", "[2001:db8::7]:443"},
      {"[::ffff:10.0.0.0]/104:1", "10.0.0.0/8:1"},
      {".svc.local:443", ".svc.local:443"},
      {"*.Example.COM:443", "*.example.com:443"},
      {"backend.example.:1-65535", "backend.example:*"},
      {" backend.example:443,80,81,100-200,150-300  public ", "backend.example:80-81,100-300,443 public"},
      {"*:443 public", "*:443 public"},
  };
  for (const auto& [text, canonical] : rules) {
    SCOPED_TRACE(text);
    const Result<AllowRule> rule = AllowRule::parse(text);
    ASSERT_TRUE(rule.has_value()) << rule.error().to_string();
    EXPECT_EQ(rule->to_string(), canonical);
    EXPECT_EQ(*AllowRule::parse(rule->to_string()), *rule);
  }
}

TEST(AllowRule, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> rules[] = {
      {"", "has no ports"},
      {"10.0.0.0/8", "has no ports"},
      {"[2001:db8::]/32", "has no ports"},
      {"10.0.0.0/8:", "there are no ports"},
      {"10.0.0.0/8:0", "\"0\" is no port"},
      {"10.0.0.0/8:65536", "\"65536\" is no port"},
      {"10.0.0.0/8:080", "\"080\" is no port"},
      {"10.0.0.0/8:80,", "\"\" is no port"},
      {"10.0.0.0/8:90-80", "ends before it begins"},
      {"10.0.0.0/33:80", "0 to 32"},
      {"[2001:db8::]/129:80", "0 to 128"},
      {"10.0.0.0/08:80", "is no prefix length"},
      {"10.0.0.0/:80", "is no prefix length"},
      {"10.0.0.1/8:80", "write 10.0.0.0/8"},
      {"10.0.0/8:80", "is no IP address"},
      {"2001:db8::/32:80", "in brackets"},
      {"[2001:db8::/32:80", "a bracket is not closed"},
      {"[::]1:80", "\"1\" behind the bracket is no prefix length"},
      {"[2001:db8::]7:443", "\"7\" behind the bracket is no prefix length"},
      {"[2001:db8::]]:443", "behind the bracket"},
      {"[2001:db8::]/:443", "is no prefix length"},
      {"[10.0.0.1]:80", "brackets are for IPv6"},
      {"[fe80::1%eth0]:80", "is no IP address"},
      {"10.1:80", "neither a network nor a name"},
      {"under_score:80", "neither a network nor a name"},
      {"*.*.x:80", "neither a network nor a name"},
      {".:80", "neither a network nor a name"},
      {":80", "names no host"},
      {"host:80 open", "the only flag is \"public\""},
      {"10.0.0.0/8:80 public", "is for names"},
  };
  for (const auto& [text, what] : rules) {
    EXPECT_THAT(why_not({text}),
                AllOf(HasSubstr("invalid_argument: allow rule \"" + std::string(text) + "\""), HasSubstr(what)));
  }
  EXPECT_THAT(why_not({std::string(kAllowRuleBytesMax + 1, 'a')}), HasSubstr("at most 1024 bytes"));
  EXPECT_THAT(why_not({std::string(kAllowRuleBytesMax, 'a')}), HasSubstr("has no ports"));
}

TEST(AllowRule, BoundsPortsAndRules) {
  std::string ports = "1";
  for (std::size_t i = 1; i < PortSet::kItemsMax; ++i) ports += "," + std::to_string(2 * i + 1);
  EXPECT_TRUE(PortSet::parse(ports).has_value());
  EXPECT_FALSE(PortSet::parse(ports + ",999").has_value());
  EXPECT_EQ(list(std::vector<std::string>(kAllowRulesMax, "10.0.0.0/8:1")).size(), kAllowRulesMax);
  EXPECT_THAT(why_not(std::vector<std::string>(kAllowRulesMax + 1, "10.0.0.0/8:1")), HasSubstr("at most 1024"));
}

TEST(AllowList, ANameRuleThatCanNeverAllowAnythingIsAnError) {
  EXPECT_THAT(why_not({".svc.local:443"}), HasSubstr("\"10.0.0.0/8:443\", or the flag \"public\""));
  EXPECT_THAT(why_not({".svc.local:443", "10.0.0.0/8:80"}), HasSubstr("allows nothing"));
  EXPECT_EQ(why_not({".svc.local:443", "10.0.0.0/8:400-500"}), "");
  EXPECT_EQ(why_not({".svc.local:443 public"}), "");
}

TEST(AllowList, NothingIsAllowedByDefault) {
  const AllowList none;
  EXPECT_FALSE(allowed(none, "10.0.0.1:80"));
  EXPECT_FALSE(allowed(none, "93.184.216.34:443"));
  EXPECT_FALSE(allowed(none, "[2606:2800::1]:443"));
  EXPECT_FALSE(allowed(none, "backend.example:443", {"10.0.0.1"}));
  EXPECT_EQ(none.decide(target("backend.example:443")).verdict, Verdict::refused);
  EXPECT_THAT(none.decide(target("10.0.0.1:80")).why, HasSubstr("there are no allow rules"));
}

TEST(AllowList, AddressesNeedARuleWithTheirPort) {
  const AllowList rules = list({"10.0.0.0/8:7000-7999", "[2001:db8::]/32:*", "192.168.1.7:80"});
  EXPECT_TRUE(allowed(rules, "10.255.0.1:7000"));
  EXPECT_TRUE(allowed(rules, "10.0.0.1:7999"));
  EXPECT_FALSE(allowed(rules, "10.0.0.1:6999"));
  EXPECT_FALSE(allowed(rules, "10.0.0.1:8000"));
  EXPECT_FALSE(allowed(rules, "11.0.0.1:7000"));
  EXPECT_TRUE(allowed(rules, "192.168.1.7:80"));
  EXPECT_FALSE(allowed(rules, "192.168.1.8:80"));
  EXPECT_TRUE(allowed(rules, "[2001:db8:ffff::1]:1"));
  EXPECT_FALSE(allowed(rules, "[2001:db9::1]:1"));
  EXPECT_TRUE(allowed(rules, "[::ffff:10.0.0.1]:7000")) << "is 10.0.0.1";
  EXPECT_FALSE(allowed(rules, "[64:ff9b::10.0.0.1]:7000")) << "is another address";
  EXPECT_EQ(rules.decide(target("10.0.0.1:7000")).rule, "10.0.0.0/8:7000-7999");
  EXPECT_EQ(rules.decide(target("10.0.0.1:80")).why, "10.0.0.1 port 80 matches no allow rule");
}

TEST(AllowList, NamesAreDecidedBeforeTheyAreResolved) {
  const AllowList rules = list({"10.0.0.0/8:443", ".svc.local:443", "*.example.com:8443 public", "one.org:9 public"});
  const auto verdict = [&](std::string_view text) { return rules.decide(target(text)).verdict; };
  EXPECT_EQ(verdict("a.svc.local:443"), Verdict::resolve);
  EXPECT_EQ(rules.decide(target("a.b.svc.local:443")).rule, ".svc.local:443");
  EXPECT_EQ(verdict("other.name:443"), Verdict::resolve) << "its address may be in 10.0.0.0/8";
  EXPECT_EQ(rules.decide(target("other.name:443")).rule, "");
  EXPECT_EQ(verdict("a.svc.local:80"), Verdict::refused);
  EXPECT_EQ(verdict("A.Example.COM:8443"), Verdict::resolve);
  EXPECT_EQ(verdict("a.example.com.:8443"), Verdict::resolve) << "the root's dot changes nothing";
  EXPECT_EQ(verdict("a.b.example.com:8443"), Verdict::refused);
  EXPECT_EQ(verdict("example.com:8443"), Verdict::refused);
  EXPECT_EQ(verdict("badexample.com:8443"), Verdict::refused);
  EXPECT_EQ(verdict("one.org:9"), Verdict::resolve);
  EXPECT_EQ(verdict("two.one.org:9"), Verdict::refused);
}

TEST(AllowList, EveryAddressOfAnAnswerHasToBeAllowed) {
  const AllowList rules = list({"10.0.0.0/8:443", ".svc.local:443", ".cdn.example:443 public"});
  EXPECT_TRUE(allowed(rules, "a.svc.local:443", {"10.0.0.1", "10.0.0.2"}));
  EXPECT_FALSE(allowed(rules, "a.svc.local:443", {"10.0.0.1", "192.168.0.1"}));
  EXPECT_FALSE(allowed(rules, "a.svc.local:443", {"10.0.0.1", "127.0.0.1"}));
  EXPECT_FALSE(allowed(rules, "a.svc.local:443", {}));
  EXPECT_FALSE(allowed(rules, "a.svc.local:443", {"93.184.216.34"})) << "its rule is not public";
  EXPECT_TRUE(allowed(rules, "a.cdn.example:443", {"93.184.216.34", "2606:2800:220::1"}));
  EXPECT_TRUE(allowed(rules, "a.cdn.example:443", {"93.184.216.34", "10.0.0.1"})) << "each by a rule of its own";
  EXPECT_FALSE(allowed(rules, "a.cdn.example:443", {"93.184.216.34", "192.168.0.1"}));
  EXPECT_FALSE(allowed(rules, "93.184.216.34:443")) << "public is for names";
  const std::vector<IpAddress> answer = {ip("93.184.216.34"), ip("169.254.169.254")};
  EXPECT_EQ(rules.decide_addresses(target("a.cdn.example:443"), answer).why,
            "a.cdn.example:443 is 169.254.169.254, which is refused: it is link-local, which only a rule that names it "
            "allows (\"169.254.169.254:443\")");
}

TEST(AllowList, PublicMeansNoneOfTheReservedRanges) {
  for (const char* const text : {"0.1.2.3",
                                 "10.0.0.1",
                                 "100.64.0.1",
                                 "127.0.0.1",
                                 "169.254.169.254",
                                 "172.16.0.1",
                                 "172.31.255.255",
                                 "192.0.0.8",
                                 "192.0.2.1",
                                 "192.168.0.1",
                                 "198.18.0.1",
                                 "198.19.255.255",
                                 "198.51.100.1",
                                 "203.0.113.1",
                                 "224.0.0.1",
                                 "240.0.0.1",
                                 "255.255.255.255",
                                 "::",
                                 "::1",
                                 "fc00::1",
                                 "fd00:ec2::254",
                                 "fe80::1",
                                 "fec0::1",
                                 "ff02::1",
                                 "2001:db8::1",
                                 "2001::1",
                                 "2002:0a00:1::1",
                                 "2002:7f00:1::",
                                 "64:ff9b::a00:1",
                                 "64:ff9b:1::1",
                                 "::ffff:10.0.0.1",
                                 "::10.0.0.1",
                                 "::8.8.8.8",
                                 "::ffff:0:808:808",
                                 "100::1",
                                 "5f00::1",
                                 "3fff::1",
                                 "4000::1"}) {
    EXPECT_FALSE(is_public(ip(text))) << text;
  }
  for (const char* const text :
       {"8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "198.20.0.1", "223.255.255.255",
        "2606:2800:220::1", "2a00::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"}) {
    EXPECT_TRUE(is_public(ip(text))) << text;
  }
}

// What attackers name. Nothing of it is dialed, neither by default nor where everything is allowed that rules can allow
// without naming it.
TEST(AllowList, TheUsualTricksAreRefused) {
  const AllowList none;
  const AllowList wide = list({"0.0.0.0/0:*", "[::]/0:*", "[64:ff9b::]/96:*", "[2002::]/16:*", "*:* public"});
  EXPECT_TRUE(allowed(wide, "10.0.0.1:80"));
  EXPECT_TRUE(allowed(wide, "[2606:2800:220::1]:80"));
  EXPECT_TRUE(allowed(wide, "[64:ff9b::8.8.8.8]:80"));
  for (const char* const text :
       {// This host, in all its forms.
        "127.0.0.1:80", "127.255.255.254:22", "0.0.0.0:80", "0.1.2.3:80", "[::]:80", "[::1]:80", "[0:0:0:0:0:0:0:1]:80",
        "[::ffff:127.0.0.1]:80", "[::ffff:7f00:1]:80", "[::127.0.0.1]:80", "[::ffff:0:127.0.0.1]:80",
        "[64:ff9b::127.0.0.1]:80", "[64:ff9b::7f00:1]:80", "[2002:7f00:1::]:80", "[2002:7f00:1::1]:80",
        "[2001:0:1:1:0:0:80ff:fffe]:80", "[64:ff9b:1::7f00:1]:80", "[::ffff:0.0.0.0]:80",
        // Metadata services and other link-local addresses.
        "169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[::ffff:a9fe:a9fe]:80", "[64:ff9b::169.254.169.254]:80",
        "[2002:a9fe:a9fe::]:80", "[fd00:ec2::254]:80", "[fd20:ce::254]:80", "192.0.0.192:80", "169.254.170.2:80",
        "100.100.100.200:80", "168.63.129.16:80", "[fe80::1]:80", "[febf::1]:80",
        // Nobody in particular.
        "224.0.0.1:80", "239.255.255.250:1900", "255.255.255.255:80", "[ff02::1]:80", "[64:ff9b::e000:1]:80"}) {
    EXPECT_FALSE(allowed(none, text)) << text;
    EXPECT_FALSE(allowed(wide, text)) << text;
  }
  // These are no targets at all: nobody gets to guess what they mean.
  for (const char* const text : {"2130706433:80",
                                 "0x7f000001:80",
                                 "017700000001:80",
                                 "0177.0.0.1:80",
                                 "0x7f.0.0.1:80",
                                 "127.1:80",
                                 "127.0.1:80",
                                 "127.0.0.1.:80",
                                 "010.0.0.1:80",
                                 "1.2.3.4.5:80",
                                 "256.0.0.1:80",
                                 "user@127.0.0.1:80",
                                 "user:pass@10.0.0.1:80",
                                 "http://10.0.0.1:80",
                                 "10.0.0.1:80/path",
                                 "10.0.0.1:80#",
                                 "10.0.0.1:80?x",
                                 "[fe80::1%eth0]:80",
                                 "[::1%25lo]:80",
                                 "[::1]80",
                                 "::1:80",
                                 "[127.0.0.1]:80",
                                 "127.0.0.1%00:80",
                                 "127.0.0.1 :80",
                                 "\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1:80",
                                 "127\xe3\x80\x82"
                                 "0\xe3\x80\x82"
                                 "0\xe3\x80\x82"
                                 "1:80",
                                 "\xef\xbc\x91\xef\xbc\x90.0.0.1:80",
                                 "localhost..:80",
                                 ".localhost:80",
                                 "a..b:80",
                                 "-a:80",
                                 "x.0x7f:80",
                                 "x.1:80"}) {
    EXPECT_FALSE(parse_target(text).has_value()) << text;
  }
  // Names that end up there.
  for (const char* const name : {"localhost:80", "localhost.:80", "LOCALHOST:80", "127.0.0.1.nip.io:80",
                                 "metadata.google.internal:80", "xn--80ak6aa92e.com:80", "rebind.example:80"}) {
    for (const std::vector<std::string>& answers : {std::vector<std::string>{"127.0.0.1"},
                                                    {"::1"},
                                                    {"169.254.169.254"},
                                                    {"8.8.8.8", "127.0.0.1"},
                                                    {"10.0.0.1", "::ffff:127.0.0.1"},
                                                    {"0.0.0.0"},
                                                    {"64:ff9b::a9fe:a9fe"},
                                                    {"fe80::1"}}) {
      EXPECT_FALSE(allowed(none, name, answers)) << name;
      EXPECT_FALSE(allowed(wide, name, answers)) << name;
    }
  }
}

TEST(AllowList, ARuleThatNamesASpecialAddressAllowsIt) {
  const auto allows = [](const char* rule, const char* text) { return allowed(list({rule}), text); };
  EXPECT_TRUE(allows("127.0.0.1:9000", "127.0.0.1:9000"));
  EXPECT_TRUE(allows("127.0.0.0/8:9000", "127.3.2.1:9000"));
  EXPECT_TRUE(allows("127.0.0.1:9000", "[::ffff:127.0.0.1]:9000"));
  EXPECT_FALSE(allows("127.0.0.1:9000", "127.0.0.1:9001"));
  EXPECT_FALSE(allows("126.0.0.0/7:9000", "127.0.0.1:9000")) << "wider than the range";
  EXPECT_FALSE(allows("127.0.0.1:9000", "[::1]:9000"));
  EXPECT_TRUE(allows("[::1]:9000", "[::1]:9000"));
  EXPECT_TRUE(allows("169.254.0.0/16:80", "169.254.169.254:80"));
  EXPECT_FALSE(allows("127.0.0.1:80", "[64:ff9b::7f00:1]:80")) << "goes through the translator, not to this host";
  EXPECT_TRUE(allows("[64:ff9b::7f00:0]/104:80", "[64:ff9b::7f00:1]:80"));
  EXPECT_FALSE(allows("[64:ff9b::7e00:0]/103:80", "[64:ff9b::7f00:1]:80"));
  EXPECT_TRUE(allows("[2002:7f00::]/24:80", "[2002:7f00:1::]:80"));
  EXPECT_FALSE(allows("[2002::]/23:80", "[2002:7f00:1::]:80"));
  EXPECT_TRUE(allows("[64:ff9b:1::]/48:80", "[64:ff9b:1::7f00:1]:80"));
  EXPECT_TRUE(allowed(list({"0.0.0.0/0:*", "127.0.0.1:9000"}), "127.0.0.1:9000")) << "a later rule names it";
  const AllowDecision refused = list({"0.0.0.0/0:*"}).decide(target("127.0.0.1:9"));
  EXPECT_EQ(refused.rule, "0.0.0.0/0:*");
  EXPECT_EQ(refused.why,
            "127.0.0.1 port 9 is refused: it is loopback, which only a rule that names it allows (\"127.0.0.1:9\")");
}

TEST(AllowList, TheGatewayIsNoBackendOfItself) {
  AllowList rules =
      list({"0.0.0.0/0:*", "[::]/0:*", "127.0.0.0/8:*", "[::1]:*", "10.0.0.5:7000-7001", "10.0.0.6:7000"});
  rules.set_own({{ip("10.0.0.5"), 7000}, {ip("10.0.0.6"), 7000}, {ip("2606::5"), 7000}, {ip("0.0.0.0"), 7100}});
  EXPECT_FALSE(allowed(rules, "10.0.0.5:7000")) << "a range of ports does not name it";
  EXPECT_TRUE(allowed(rules, "10.0.0.5:7001"));
  EXPECT_TRUE(allowed(rules, "10.0.0.6:7000")) << "named";
  EXPECT_FALSE(allowed(rules, "[2606::5]:7000"));
  EXPECT_FALSE(allowed(rules, "[::ffff:10.0.0.5]:7000"));
  EXPECT_FALSE(allowed(rules, "[64:ff9b::10.0.0.5]:7000"));
  EXPECT_FALSE(allowed(rules, "127.0.0.1:7100")) << "the unspecified address is there, too";
  EXPECT_FALSE(allowed(rules, "[::1]:7100"));
  EXPECT_TRUE(allowed(rules, "127.0.0.1:7101"));
  EXPECT_FALSE(allowed(rules, "self.example:7000", {"10.0.0.5"}));
  EXPECT_THAT(rules.decide(target("10.0.0.5:7000")).why,
              HasSubstr("where this gateway listens, which only a rule that names it allows (\"10.0.0.5:7000\")"));
}

TEST(AllowList, KnowsARuleThatOpensEverything) {
  const auto widest = [](const std::vector<std::string>& rules) {
    const AllowList parsed = list(rules);
    const std::string* rule = parsed.widest_rule();
    return rule ? *rule : "";
  };
  EXPECT_EQ(widest({"10.0.0.0/8:*", ".a.example:1 public", "[fc00::]/16:1"}), "");
  EXPECT_EQ(widest({"10.0.0.0/8:*", "0.0.0.0/0:443"}), "0.0.0.0/0:443");
  EXPECT_EQ(widest({"128.0.0.0/1:443"}), "128.0.0.0/1:443");
  EXPECT_EQ(widest({"[2000::]/3:443"}), "[2000::]/3:443");
  EXPECT_EQ(widest({"*:443 public"}), "*:443 public");
}

TEST(IpNetwork, ContainsByPrefix) {
  const IpNetwork network = *IpNetwork::parse("10.64.0.0/10");
  EXPECT_TRUE(network.contains(ip("10.127.255.255")));
  EXPECT_FALSE(network.contains(ip("10.128.0.0")));
  EXPECT_FALSE(network.contains(ip("::10.64.0.0")));
  EXPECT_TRUE(network.contains(*IpNetwork::parse("10.64.0.0/10")));
  EXPECT_TRUE(network.contains(*IpNetwork::parse("10.100.0.0/16")));
  EXPECT_FALSE(network.contains(*IpNetwork::parse("10.0.0.0/9")));
  EXPECT_TRUE(IpNetwork::parse("0.0.0.0/0")->contains(ip("255.255.255.255")));
  EXPECT_EQ(IpAddress::parse("::ffff:1.2.3.4")->unmapped(), ip("1.2.3.4"));
  EXPECT_EQ(ip("10.1.2.3").as_v4(), 0x0a010203u);
}

}  // namespace
}  // namespace wayport::route
