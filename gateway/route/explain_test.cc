#include "wayport/gateway/route/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>

#include "wayport/framing/json_value.h"
#include "wayport/gateway/route/default_resolvers.h"

namespace wayport::route {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Name servers that answer every name with these addresses, or with none.
class FixedNames final : public NameLookup {
 public:
  explicit FixedNames(std::vector<std::string> addresses) : addresses_(std::move(addresses)) {}
  std::unique_ptr<transport::Lookup> lookup(Loop& loop, const std::string&, std::uint16_t port,
                                            transport::OnResolved on_done) override {
    class Told final : public transport::Lookup, private TurnEnd {
     public:
      Told(Loop& of, Result<std::vector<SocketAddress>> result, transport::OnResolved call)
          : result_(std::move(result)), call_(std::move(call)) {
        of.at_turn_end(*this);
      }

     private:
      void on_turn_end() override {
        auto call = std::move(call_);
        call(std::move(result_));
      }
      Result<std::vector<SocketAddress>> result_;
      transport::OnResolved call_;
    };
    std::vector<SocketAddress> found;
    for (const std::string& ip : addresses_) found.push_back(*SocketAddress::from_ip(ip, port));
    Result<std::vector<SocketAddress>> result = std::move(found);
    if (addresses_.empty()) result = fail(ErrorCode::not_found, "no such name");
    return std::make_unique<Told>(loop, std::move(result), std::move(on_done));
  }

 private:
  const std::vector<std::string> addresses_;
};

class ExplainTest : public ::testing::Test {
 protected:
  Explanation ask(const std::string& identify, NameLookup* names = nullptr) {
    const ResolverContext context{.loop = loop, .transports = transports, .log = null_log()};
    ExplainInput input{.options = &options,
                       .resolver = *default_resolvers().make(options.resolver, options.resolver_settings, context),
                       .allow = std::make_shared<AllowList>(*AllowList::parse(options.allow)),
                       .names = names};
    std::optional<Explanation> result;
    const auto explaining = explain(loop, input, identify, [&](Explanation got) { result = std::move(got); });
    EXPECT_FALSE(result.has_value()) << "never from inside the call";
    loop.drain();
    EXPECT_TRUE(result.has_value());
    return result.value_or(Explanation());
  }

  ManualClock clock;
  Loop loop{{.clock = &clock}};
  transport::Transports transports;
  RouteOptions options{
      .name = "web", .listen = {"tcp://:7000"}, .allow = {"10.0.0.0/8:7000-7999", ".cdn.example:443 public"}};
};

TEST_F(ExplainTest, SaysInWordsWhichResolverRuleAndBackend) {
  const Explanation result = ask("10.0.0.1:7001");
  EXPECT_TRUE(result.would_dial());
  EXPECT_EQ(result.to_text(),
            "route     web\n"
            "resolver  ipHost\n"
            "identify  10.0.0.1:7001\n"
            "resolved  by the identify names it\n"
            "backend   10.0.0.1:7001 over tcp\n"
            "  allowed: 10.0.0.1 port 7001 is allowed by rule \"10.0.0.0/8:7000-7999\"\n"
            "  rule: 10.0.0.0/8:7000-7999\n"
            "  address: 10.0.0.1\n"
            "result    would be dialed\n");
}

TEST_F(ExplainTest, SaysWhyNot) {
  const Explanation refused = ask("127.0.0.1:7001");
  EXPECT_FALSE(refused.would_dial());
  EXPECT_EQ(refused.code, RouteError::forbidden);
  EXPECT_THAT(refused.to_text(), HasSubstr("refused   forbidden: 127.0.0.1 port 7001 is refused: it is loopback"));
  const Explanation bad = ask("nonsense\n");
  EXPECT_EQ(bad.code, RouteError::bad_request);
  EXPECT_THAT(bad.to_text(), HasSubstr("identify  nonsense\\x0a\n"));
  EXPECT_EQ(ask("").code, RouteError::bad_request);
  EXPECT_THAT(ask(std::string(4097, 'a')).reason, HasSubstr("this one 4097"));
}

TEST_F(ExplainTest, NamesAreLookedUpOnlyIfAsked) {
  const Explanation without = ask("a.cdn.example:443");
  EXPECT_EQ(without.outcome, ExplainOutcome::depends);
  EXPECT_FALSE(without.would_dial());
  EXPECT_FALSE(without.code.has_value());
  EXPECT_THAT(without.to_text(),
              AllOf(HasSubstr("result    depends on the addresses of the name, which was not looked"),
                    Not(HasSubstr("would be dialed"))));
  EXPECT_THAT(without.to_json(), AllOf(HasSubstr(R"("outcome":"depends")"), HasSubstr(R"("would_dial":false)")));
  EXPECT_EQ(without.backends.at(0).decision.verdict, AllowDecision::Verdict::resolve);
  EXPECT_THAT(without.to_text(), HasSubstr("  depends on its addresses: a.cdn.example:443 may be looked up by rule"));
  FixedNames good({"93.184.216.34"});
  EXPECT_THAT(ask("a.cdn.example:443", &good).to_text(),
              HasSubstr("  address: 93.184.216.34\nresult    would be dialed"));
  FixedNames rebinding({"93.184.216.34", "169.254.169.254"});
  const Explanation refused = ask("a.cdn.example:443", &rebinding);
  EXPECT_EQ(refused.code, RouteError::forbidden);
  EXPECT_THAT(refused.reason, HasSubstr("169.254.169.254"));
  FixedNames none({});
  EXPECT_EQ(ask("a.cdn.example:443", &none).code, RouteError::resolve_failed);
  EXPECT_EQ(ask("a.cdn.example:443", &none).outcome, ExplainOutcome::refused);
}

TEST_F(ExplainTest, TheBestOfSeveralBackendsCounts) {
  options.resolver = "static";
  options.resolver_settings = {
      {"order", "first"},
      {"backends", SettingsTable{{"some", SettingsList{"192.168.0.1:80", "a.cdn.example:443", "192.168.0.2:80"}},
                                 {"sure", SettingsList{"a.cdn.example:443", "10.0.0.1:7001", "192.168.0.2:80"}},
                                 {"none", SettingsList{"192.168.0.1:80", "192.168.0.2:80"}}}}};
  EXPECT_EQ(ask("some").outcome, ExplainOutcome::depends);
  EXPECT_EQ(ask("sure").outcome, ExplainOutcome::would_dial);
  EXPECT_FALSE(ask("sure").code.has_value());
  const Explanation none = ask("none");
  EXPECT_EQ(none.outcome, ExplainOutcome::refused);
  EXPECT_THAT(none.reason, HasSubstr("192.168.0.2")) << "the last says why";
}

TEST_F(ExplainTest, NoBackendAtAllIsNotDialed) {
  class Nobody final : public ImmediateResolver {
    ResolveOutcome resolve_now(const ResolveRequest&) const override { return Resolved{.how = "by accident"}; }
  };
  std::optional<Explanation> result;
  const auto explaining = explain(
      loop, {.options = &options, .resolver = std::make_shared<Nobody>(), .allow = std::make_shared<AllowList>()}, "x",
      [&](Explanation got) { result = std::move(got); });
  loop.drain();
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->outcome, ExplainOutcome::refused);
  EXPECT_EQ(result->code, RouteError::internal);
  EXPECT_THAT(result->to_text(), HasSubstr("refused   internal: resolver \"ipHost\" named no backend"));
}

TEST_F(ExplainTest, JsonHasTheSame) {
  options.resolver = "static";
  options.backend_transport = "kcp?fec=10,3";
  options.resolver_settings = {
      {"order", "first"},
      {"backends",
       SettingsTable{{"orders", SettingsList{"192.168.0.1:80", "10.0.0.2:7000", "tls://a.cdn.example:443?key=f"}}}}};
  FixedNames good({"93.184.216.34"});
  const Explanation result = ask("orders", &good);
  boost::json::value json;
  ASSERT_TRUE(framing::parse_json(result.to_json(), json).has_value()) << result.to_json();
  const auto& object = json.get_object();
  EXPECT_EQ(object.at("route"), "web");
  EXPECT_EQ(object.at("would_dial"), true);
  EXPECT_EQ(object.at("how"), "the static table, entry \"orders\"");
  const auto& backends = object.at("backends").get_array();
  ASSERT_EQ(backends.size(), 3u);
  EXPECT_EQ(backends[0].get_object().at("verdict"), "refused");
  EXPECT_EQ(backends[1].get_object().at("verdict"), "allowed");
  EXPECT_EQ(backends[1].get_object().at("transport"), "kcp?fec=10,3");
  EXPECT_EQ(backends[1].get_object().at("rule"), "10.0.0.0/8:7000-7999");
  EXPECT_EQ(backends[2].get_object().at("addresses").get_array().at(0), "93.184.216.34");
  EXPECT_THAT(result.to_json(), Not(HasSubstr("key=f")));
  const Explanation unknown = ask("nobody");
  ASSERT_TRUE(framing::parse_json(unknown.to_json(), json).has_value());
  EXPECT_EQ(json.get_object().at("code"), "resolve_failed");
}

TEST_F(ExplainTest, TokensAreNotRepeated) {
  options.resolver = "jwt";
  options.resolver_settings = {
      {"keys", SettingsList{SettingsTable{{"algorithm", "HS256"}, {"secret", "0123456789012345678901234567890123"}}}}};
  const Explanation result = ask("aaaa.bbbb.cccc");
  EXPECT_EQ(result.code, RouteError::unauthorized);
  EXPECT_EQ(result.identify, "(a secret of 14 bytes)");
  EXPECT_THAT(result.to_text() + result.to_json(), Not(HasSubstr("bbbb")));
}

TEST_F(ExplainTest, CanBeCanceled) {
  const ResolverContext context{.loop = loop, .transports = transports, .log = null_log()};
  bool called = false;
  explain(loop, {&options, *default_resolvers().make("ipHost", {}, context), std::make_shared<AllowList>(), nullptr},
          "10.0.0.1:7001", [&](const Explanation&) { called = true; })
      .reset();
  loop.drain();
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace wayport::route
