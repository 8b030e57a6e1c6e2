// The tokens of spec/vectors/route.json through the resolver "jwt", and the rotation of its keys. The vectors' clock
// stands.
#include "wayport/gateway/route/jwt_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "wayport/base/log_testing.h"
#include "wayport/gateway/route/allow_list.h"

namespace wayport::route {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

const json& vectors() {
  static const json all = json::parse(std::ifstream("spec/vectors/route.json"));
  return all;
}
std::string token(std::string_view name) {
  for (const json& vector : vectors()["jwt"]) {
    if (vector["name"] == name) return vector["token"];
  }
  ADD_FAILURE() << "no vector " << name;
  return {};
}
const std::string& secret() {
  static const auto text = vectors()["keys"]["hs_secret_utf8"].get<std::string>();
  return text;
}

class JwtResolverTest : public ::testing::Test {
 protected:
  JwtResolverTest() : directory(std::string(std::getenv("TEST_TMPDIR")) + "/" + test_name()) {
    std::filesystem::create_directories(directory);
  }
  static std::string test_name() { return ::testing::UnitTest::GetInstance()->current_test_info()->name(); }
  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(directory + "/" + name, std::ios::binary) << text;
    return directory + "/" + name;
  }
  std::string pem(const char* key) { return file(key, vectors()["keys"][key].get<std::string>()); }
  static SettingsTable key(const char* algorithm, const char* what, const std::string& value, const char* id = "") {
    return {{"id", id}, {"algorithm", algorithm}, {what, value}};
  }
  // One key for each algorithm of the vectors.
  SettingsTable all_keys() {
    return {
        {"leeway", "0s"},
        {"keys",
         SettingsList{key("HS256", "secret", secret()), key("HS384", "secret", secret()),
                      key("HS512", "file", file("hs512", secret() + "\n")), key("RS256", "file", pem("rsa_public_pem")),
                      key("RS384", "file", pem("rsa_public_pem")), key("RS512", "file", pem("rsa_public_pem")),
                      key("ES256", "file", pem("ec_p256_public_pem"))}}};
  }
  Result<std::shared_ptr<Resolver>> try_make(const SettingsTable& settings) {
    return make_jwt_resolver(settings, context);
  }
  std::shared_ptr<Resolver> make(const SettingsTable& settings) {
    auto made = try_make(settings);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().to_string());
    return made ? *made : nullptr;
  }
  std::string why_not(const SettingsTable& settings) {
    const auto made = try_make(settings);
    return made ? "" : made.error().to_string();
  }
  ResolveOutcome ask(Resolver& resolver, const std::string& identify) {
    std::optional<ResolveOutcome> outcome;
    const auto resolution =
        resolver.resolve(loop, {identify, nullptr}, [&](ResolveOutcome o) { outcome.emplace(std::move(o)); });
    loop.drain();
    return outcome ? *std::move(outcome) : refuse(RouteError::internal, "nothing came");
  }
  std::uint64_t counter(const Resolver& resolver, std::string_view name) {
    for (const ResolverCounter& counter : resolver.counters()) {
      if (counter.name == name) return counter.value;
    }
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }

  const std::string directory;
  ManualClock clock;
  Loop loop{{.clock = &clock}};
  transport::Transports transports;
  MemoryLog log;
  ResolverContext context{.loop = loop, .transports = transports, .log = log, .wall_clock = [] {
                            return std::chrono::sys_seconds(seconds(vectors()["clock"]));
                          }};
};

TEST_F(JwtResolverTest, EveryTokenOfTheVectorsIsJudgedAsTheySay) {
  const auto resolver = make(all_keys());
  SettingsTable lenient = all_keys();
  lenient["require_expiry"] = false;
  const auto without_expiry = make(lenient);
  const std::vector<std::string> rules = {"0.0.0.0/0:*", "127.0.0.1:9000"};
  const AllowList allow = *AllowList::parse(rules);
  std::size_t accepted = 0;
  std::size_t seen = 0;
  for (const json& vector : vectors()["jwt"]) {
    const auto name = vector["name"].get<std::string>();
    const auto text = vector["token"].get<std::string>();
    SCOPED_TRACE(name);
    ++seen;
    const ResolveOutcome outcome = ask(*resolver, text);
    // As the gateway does it: the allow list judges what the token names.
    const bool reached = outcome && allow.decide(outcome->backends.front().target).allowed();
    EXPECT_EQ(reached, vector["accept"] == json(true)) << (outcome ? "" : outcome.error().reason);
    if (reached) {
      ++accepted;
      EXPECT_EQ(outcome->backends.front().to_string(), "127.0.0.1:9000");
    }
    if (!outcome) {
      EXPECT_EQ(outcome.error().code, RouteError::unauthorized);
      const std::string signature = text.substr(text.rfind('.') + 1);
      if (signature.size() > 8) EXPECT_THAT(outcome.error().reason, Not(HasSubstr(signature)));
      EXPECT_THAT(outcome.error().reason, Not(HasSubstr(text)));
    }
    if (vector["accept"] == json("policy")) EXPECT_TRUE(ask(*without_expiry, text).has_value());
    if (name == "metadata-target-not-allowed") {
      ASSERT_TRUE(outcome.has_value()) << "the token is good; its target is not";
      EXPECT_THAT(allow.decide(outcome->backends.front().target).why, HasSubstr("link-local"));
    }
  }
  EXPECT_EQ(seen, 28u);
  EXPECT_EQ(accepted, 7u);
  EXPECT_EQ(counter(*resolver, "verified"), 8u);
  EXPECT_EQ(counter(*resolver, "refused_tokens"), 20u);
  EXPECT_TRUE(resolver->identify_is_secret());
}

TEST_F(JwtResolverTest, ClaimsArePassedOnAndNamedByTheConfiguration) {
  SettingsTable settings = all_keys();
  settings["pass_claims"] = SettingsList{"exp", "sub", "host"};
  const ResolveOutcome outcome = ask(*make(settings), token("hs256-valid"));
  ASSERT_TRUE(outcome.has_value());
  EXPECT_THAT(outcome->claims, ElementsAre(Pair("exp", "1800000600"), Pair("host", "127.0.0.1")));
  EXPECT_EQ(outcome->how, "a token that the only key of its algorithm signed");
  settings["host_claim"] = "backend";
  const ResolveOutcome without = ask(*make(settings), token("hs256-valid"));
  ASSERT_FALSE(without.has_value());
  EXPECT_EQ(without.error().reason, "the token has no claim \"backend\" that is a text");
}

TEST_F(JwtResolverTest, KeysAreRotatedByTheirFiles) {
  const std::string path = file("key", secret());
  const auto resolver =
      make({{"leeway", "0s"}, {"reload_interval", "5s"}, {"keys", SettingsList{key("HS256", "file", path)}}});
  EXPECT_TRUE(ask(*resolver, token("hs256-valid")).has_value());
  file("key", "another-secret-of-enough-bytes-0123456789");
  EXPECT_TRUE(ask(*resolver, token("hs256-valid")).has_value()) << "not looked at yet";
  loop.advance(seconds(5));
  EXPECT_FALSE(ask(*resolver, token("hs256-valid")).has_value());
  EXPECT_EQ(counter(*resolver, "key_reloads"), 1u);
  file("key", "too short");
  loop.advance(seconds(10));
  EXPECT_EQ(counter(*resolver, "key_reload_failures"), 2u);
  EXPECT_FALSE(ask(*resolver, token("hs256-valid")).has_value()) << "the keys before stay";
  EXPECT_GT(log.count("keys of tokens cannot be read"), 0u);
  EXPECT_EQ(log.count("too short"), 0u);
  file("key", secret());
  resolver->reload();
  EXPECT_TRUE(ask(*resolver, token("hs256-valid")).has_value());
  EXPECT_EQ(counter(*resolver, "key_reloads"), 2u);
  std::filesystem::remove(path);
  resolver->reload();
  EXPECT_TRUE(ask(*resolver, token("hs256-valid")).has_value());
  EXPECT_EQ(counter(*resolver, "key_reload_failures"), 3u);
}

TEST_F(JwtResolverTest, KeysOfADirectoryComeAndGoWithTheirFiles) {
  file("first.HS256.secret", std::string(40, 'x'));
  file("ignored.HS256.pem", "a secret is no public key");
  file("ignored.txt", "");
  file(".hidden.HS256.secret", secret());
  const auto resolver = make({{"leeway", "0s"}, {"key_directory", directory}});
  EXPECT_EQ(counter(*resolver, "keys"), 1u);
  EXPECT_FALSE(ask(*resolver, token("es256-valid")).has_value());
  file(".ES256.pem", vectors()["keys"]["ec_p256_public_pem"].get<std::string>());
  loop.advance(seconds(10));
  EXPECT_EQ(counter(*resolver, "keys"), 1u) << "begins with a dot";
  file("second.ES256.pem", vectors()["keys"]["ec_p256_public_pem"].get<std::string>());
  loop.advance(seconds(10));
  EXPECT_EQ(counter(*resolver, "keys"), 2u);
  std::filesystem::remove(directory + "/first.HS256.secret");
  loop.advance(seconds(10));
  EXPECT_EQ(counter(*resolver, "keys"), 1u);
}

TEST_F(JwtResolverTest, TheLastKeyOfADirectoryCanBeRevoked) {
  file("one.HS256.secret", secret());
  const auto resolver = make({{"leeway", "0s"}, {"key_directory", directory}});
  EXPECT_TRUE(ask(*resolver, token("hs256-valid")).has_value());
  std::filesystem::remove(directory + "/one.HS256.secret");
  loop.advance(seconds(10));
  const ResolveOutcome refused = ask(*resolver, token("hs256-valid"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, RouteError::unauthorized);
  EXPECT_THAT(refused.error().reason, HasSubstr("there is no key"));
  EXPECT_EQ(counter(*resolver, "keys"), 0u);
  EXPECT_EQ(counter(*resolver, "key_reload_failures"), 0u);
  loop.advance(seconds(60));
  EXPECT_EQ(log.count("no key of tokens is left"), 1u);
  EXPECT_EQ(counter(*resolver, "key_reloads"), 1u);
  file("two.HS256.secret", secret());
  loop.advance(seconds(10));
  EXPECT_TRUE(ask(*resolver, token("hs256-valid")).has_value());
  // A directory that cannot be listed says nothing about its keys.
  std::filesystem::remove_all(directory);
  loop.advance(seconds(10));
  EXPECT_TRUE(ask(*resolver, token("hs256-valid")).has_value());
  EXPECT_EQ(counter(*resolver, "keys"), 1u);
  EXPECT_EQ(counter(*resolver, "key_reload_failures"), 1u);
}

TEST_F(JwtResolverTest, UnsignedTokensAreAcceptedOnlyByTheirLoudName) {
  const auto resolver = make({{"unsafe_accept_unsigned_tokens", true}, {"leeway", "0s"}});
  EXPECT_GT(log.count("TOKENS ARE NOT VERIFIED"), 0u);
  for (const char* const name : {"hs256-valid", "hs256-bad-signature", "alg-none", "hs256-wrong-key", "hs256-no-exp"}) {
    EXPECT_TRUE(ask(*resolver, token(name)).has_value()) << name;
  }
  for (const char* const name :
       {"hs256-expired", "hs256-nbf-future", "port-string", "port-fraction", "port-zero", "port-65536", "host-missing",
        "host-number", "two-segments", "four-segments", "empty-payload", "payload-not-base64"}) {
    const ResolveOutcome outcome = ask(*resolver, token(name));
    ASSERT_FALSE(outcome.has_value()) << name;
    EXPECT_EQ(outcome.error().code, RouteError::unauthorized) << name;
  }
  EXPECT_THAT(ask(*resolver, token("alg-none"))->how, HasSubstr("NOBODY VERIFIED"));
  EXPECT_EQ(counter(*resolver, "unsigned"), 6u);
  EXPECT_EQ(counter(*resolver, "verified"), 0u);
  EXPECT_FALSE(ask(*resolver, std::string(4097, '.')).has_value());
}

TEST_F(JwtResolverTest, SettingsSayWhatIsWrong) {
  const std::string good = std::string(32, 's');
  EXPECT_THAT(why_not({}), HasSubstr("keys or key_directory has to be given"));
  EXPECT_THAT(why_not({{"keys", SettingsList{}}}), HasSubstr("keys or key_directory has to be given"));
  EXPECT_THAT(why_not({{"keys", SettingsList{key("none", "secret", good)}}}),
              HasSubstr("resolver \"jwt\": keys[0]: algorithm is not usable"));
  EXPECT_THAT(why_not({{"keys", SettingsList{key("ES256", "secret", good)}}}),
              HasSubstr("needs a file with a public key"));
  EXPECT_THAT(why_not({{"keys", SettingsList{key("HS256", "secret", "")}}}),
              HasSubstr("file or secret has to be given"));
  const std::string weak = why_not({{"keys", SettingsList{key("HS256", "secret", "weak-secret")}}});
  EXPECT_THAT(weak, HasSubstr("11 bytes"));
  EXPECT_THAT(weak, Not(HasSubstr("weak-secret")));
  EXPECT_THAT(why_not({{"keys", SettingsList{key("HS256", "secret", good), key("HS256", "secret", good)}}}),
              HasSubstr("resolver \"jwt\": "));
  EXPECT_THAT(why_not({{"keys", SettingsList{key("RS256", "file", file("no.pem", "no key"))}}}), HasSubstr("no.pem"));
  EXPECT_THAT(why_not({{"keys", SettingsList{key("HS256", "secret", good)}}, {"leeway", "31s"}}),
              HasSubstr("leeway is 31s; it has to be 0s to 30s"));
  EXPECT_THAT(why_not({{"keys", SettingsList{key("HS256", "secret", good)}}, {"unsafe_accept_unsigned_tokens", true}}),
              HasSubstr("verifies nothing"));
  EXPECT_THAT(why_not({{"key_directory", directory + "/absent"}}), HasSubstr("cannot be listed"));
  EXPECT_THAT(why_not({{"key_directory", directory}}), HasSubstr("resolver \"jwt\": ")) << "no key in it";
  EXPECT_THAT(why_not({{"keys", "x"}}), HasSubstr("keys has to be a list of tables"));
  EXPECT_THAT(why_not({{"kays", "x"}}), HasSubstr("kays is not known; the keys are keys, key_directory"));
}

}  // namespace
}  // namespace wayport::route
