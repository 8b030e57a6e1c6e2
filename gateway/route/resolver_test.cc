// Resolvers without a network: literal targets, the static table, the registry and the settings they read.
#include "wayport/gateway/route/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "wayport/base/log_testing.h"
#include "wayport/gateway/route/default_resolvers.h"
#include "wayport/gateway/route/settings.h"

namespace wayport::route {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ResolverTest : public ::testing::Test {
 protected:
  std::shared_ptr<Resolver> make(std::string_view name, const SettingsTable& settings = {}) {
    Result<std::shared_ptr<Resolver>> made = resolvers.make(name, settings, context);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().to_string());
    return made ? *made : nullptr;
  }
  std::string why_not(std::string_view name, const SettingsTable& settings = {}) {
    const auto made = resolvers.make(name, settings, context);
    return made ? "" : made.error().to_string();
  }
  // "10.0.0.1:80 10.0.0.2:80", or "bad_request: why".
  std::string ask(Resolver& resolver, std::string_view identify) {
    std::optional<ResolveOutcome> outcome;
    const auto resolution =
        resolver.resolve(loop, {identify, nullptr}, [&](ResolveOutcome o) { outcome.emplace(std::move(o)); });
    EXPECT_FALSE(outcome.has_value()) << "never from inside the call";
    loop.drain();
    if (!outcome) return "nothing";
    if (!*outcome) return std::string(to_string(outcome->error().code)) + ": " + outcome->error().reason;
    std::string text;
    for (const Backend& backend : (*outcome)->backends) text += (text.empty() ? "" : " ") + backend.to_string();
    how = (*outcome)->how;
    return text;
  }
  std::uint64_t counter(const Resolver& resolver, std::string_view name) {
    for (const ResolverCounter& counter : resolver.counters()) {
      if (counter.name == name) return counter.value;
    }
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }
  std::string file(const std::string& name, const std::string& text) {
    const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  ManualClock clock;
  Loop loop{{.clock = &clock}};
  transport::Transports transports;
  MemoryLog log;
  ResolverContext context{.loop = loop, .transports = transports, .log = log, .route = "web"};
  ResolverRegistry resolvers = default_resolvers();
  std::string how;
};

TEST_F(ResolverTest, TheRegistryHasTheDocumentedNamesAndListsThem) {
  EXPECT_THAT(resolvers.names(), ElementsAre("etcd", "host-ip", "ipHost", "jwt", "origin", "static"));
  EXPECT_EQ(
      why_not("zookeeper"),
      "invalid_argument: there is no resolver \"zookeeper\"; there are: etcd, host-ip, ipHost, jwt, origin, static");
}

TEST_F(ResolverTest, UsersRegisterTheirOwn) {
  resolvers.add(
      "zookeeper", [](const SettingsTable& settings, const ResolverContext& of) -> Result<std::shared_ptr<Resolver>> {
        WAYPORT_TRY(SettingsReader(settings, "zookeeper of " + of.route).finish());
        class Mine final : public Resolver {
          std::unique_ptr<Resolution> resolve(Loop& on, const ResolveRequest& request, OnOutcome on_done) override {
            Resolved resolved{.backends = {*Backend::parse("10.0.0.9:" + std::string(request.identify))}};
            return known_outcome(on, std::move(resolved), std::move(on_done));
          }
        };
        return std::make_shared<Mine>();
      });
  EXPECT_EQ(ask(*make("zookeeper"), "77"), "10.0.0.9:77");
  EXPECT_EQ(why_not("zookeeper", {{"x", 1}}), "invalid_argument: zookeeper of web: x is not known; there are no keys");
}

TEST_F(ResolverTest, ACanceledResolutionNeverCallsBack) {
  bool called = false;
  make("ipHost")->resolve(loop, {"10.0.0.1:80", nullptr}, [&](const ResolveOutcome&) { called = true; }).reset();
  loop.drain();
  EXPECT_FALSE(called);
}

TEST_F(ResolverTest, LiteralResolversTakeTheTargetAsItIs) {
  for (const char* const name : {"ipHost", "host-ip", "origin"}) {
    const auto resolver = make(name);
    EXPECT_EQ(ask(*resolver, "10.0.0.1:80"), "10.0.0.1:80");
    EXPECT_EQ(ask(*resolver, "[2001:DB8::1]:80"), "[2001:db8::1]:80");
    EXPECT_EQ(ask(*resolver, "Backend.Example:443"), "backend.example:443");
    EXPECT_THAT(ask(*resolver, "127.1:80"), HasSubstr("bad_request: \"127.1:80\" names no backend"));
    EXPECT_THAT(ask(*resolver, "host:80\n"), HasSubstr("bad_request: \"host:80\\x0a\""));
    EXPECT_FALSE(resolver->identify_is_secret());
    EXPECT_THAT(why_not(name, {{"file", "x"}}), HasSubstr("file is not known"));
  }
}

TEST_F(ResolverTest, TheStaticTableRotatesItsBackends) {
  const auto resolver =
      make("static", {{"backends", SettingsTable{{"orders", SettingsList{"10.0.0.1:80", "10.0.0.2:80"}},
                                                 {"billing", "tls://b.example:443?ca=x"}}}});
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.1:80 10.0.0.2:80");
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.2:80 10.0.0.1:80");
  EXPECT_EQ(ask(*resolver, "billing"), "tls://b.example:443?ca=x");
  EXPECT_EQ(how, "the static table, entry \"billing\"");
  EXPECT_EQ(ask(*resolver, "Orders"), "resolve_failed: the static table has no entry \"Orders\"");
  EXPECT_EQ(counter(*resolver, "resolved"), 3u);
  EXPECT_EQ(counter(*resolver, "unknown"), 1u);
  EXPECT_EQ(counter(*resolver, "entries"), 2u);
  const auto first = make(
      "static", {{"order", "first"}, {"backends", SettingsTable{{"a", SettingsList{"10.0.0.1:80", "10.0.0.2:80"}}}}});
  EXPECT_EQ(ask(*first, "a"), ask(*first, "a"));
}

TEST_F(ResolverTest, TheStaticTableSaysWhatIsWrongWithIt) {
  EXPECT_THAT(why_not("static"), HasSubstr("backends or file has to be given"));
  EXPECT_THAT(why_not("static", {{"backends", "x"}}), HasSubstr("backends has to be a table"));
  EXPECT_THAT(why_not("static", {{"backends", SettingsTable{{"a", 1}}}}), HasSubstr("a has to be a text in quotes"));
  EXPECT_THAT(why_not("static", {{"backends", SettingsTable{{"a", "nowhere"}}}}), HasSubstr("\"a\" is not usable"));
  EXPECT_THAT(why_not("static", {{"backends", SettingsTable{{"a", SettingsList{}}}}}), HasSubstr("0 backends"));
  EXPECT_THAT(why_not("static", {{"backends", SettingsTable{{"a", "h:1"}}}, {"order", "random"}}),
              HasSubstr("order is \"random\"; it is one of rotate, first"));
  EXPECT_THAT(why_not("static", {{"backends", SettingsTable{{"a", "h:1"}, {"b", "h:1"}}}, {"entries_max", 1}}),
              HasSubstr("the table is full: at most 1 entries (entries_max)"));
  EXPECT_THAT(why_not("static", {{"file", "/nonexistent/backends"}}), HasSubstr("/nonexistent/backends"));
  EXPECT_THAT(why_not("static", {{"fil", "x"}}), HasSubstr("fil is not known; the keys are file, order,"));
}

TEST_F(ResolverTest, TheTableOfAFileIsReadAgainWhenItChanges) {
  const std::string path = file("backends", "# table\norders 10.0.0.1:80\n\nbilling 10.0.0.2:80 10.0.0.3:80\n");
  const auto resolver =
      make("static", {{"file", path}, {"backends", SettingsTable{{"mine", "10.0.0.9:9"}}}, {"reload_interval", "5s"}});
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.1:80");
  EXPECT_EQ(ask(*resolver, "mine"), "10.0.0.9:9");
  file("backends", "orders 10.0.0.7:80\n");
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.1:80");
  loop.advance(seconds(5));
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.7:80");
  EXPECT_THAT(ask(*resolver, "billing"), HasSubstr("has no entry"));
  EXPECT_EQ(counter(*resolver, "table_reloads"), 1u);
  file("backends", "orders 10.0.0.8:80\nbroken\n");
  loop.advance(seconds(10));
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.7:80") << "the last good one";
  EXPECT_EQ(counter(*resolver, "table_reload_failures"), 2u);
  EXPECT_GT(log.count("line 2: there is no backend"), 0u);
  file("backends", "mine 10.0.0.8:80\n");
  resolver->reload();
  EXPECT_EQ(counter(*resolver, "table_reload_failures"), 3u);
  EXPECT_GT(log.count("is there twice"), 0u);
  file("backends", "orders 10.0.0.8:80\n");
  resolver->reload();
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.8:80");
}

TEST_F(ResolverTest, TheTableOfAFileIsReadOnlyIfTheFileIsAnother) {
  using std::chrono::hours;
  const auto an_hour_ago = std::filesystem::file_time_type::clock::now() - hours(1);
  const std::string path = file("stamped", "orders 10.0.0.1:80\n");
  std::filesystem::last_write_time(path, an_hour_ago);
  const auto resolver = make("static", {{"file", path}, {"reload_interval", "5s"}});
  loop.advance(seconds(500));
  EXPECT_EQ(counter(*resolver, "table_reads"), 1u);
  // The same size; only the times tell, in the end by nanoseconds.
  file("stamped", "orders 10.0.0.2:80\n");
  std::filesystem::last_write_time(path, an_hour_ago + std::chrono::nanoseconds(1));
  loop.advance(seconds(500));
  EXPECT_EQ(counter(*resolver, "table_reads"), 2u);
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.2:80");
  // Another file of that name, with the time and the size of the one before.
  const std::string other = file("stamped.new", "orders 10.0.0.3:80\n");
  std::filesystem::last_write_time(other, an_hour_ago + std::chrono::nanoseconds(1));
  std::filesystem::rename(other, path);
  loop.advance(seconds(500));
  EXPECT_EQ(counter(*resolver, "table_reads"), 3u);
  EXPECT_EQ(ask(*resolver, "orders"), "10.0.0.3:80");
  // A broken one is read once, and counted until it is mended.
  file("stamped", "broken\n");
  std::filesystem::last_write_time(path, an_hour_ago);
  loop.advance(seconds(50));
  EXPECT_EQ(counter(*resolver, "table_reads"), 4u);
  EXPECT_EQ(counter(*resolver, "table_reload_failures"), 10u);
  // Who was written a moment ago may be written again within one tick of the file system's clock.
  file("stamped", "orders 10.0.0.4:80\n");
  loop.advance(seconds(10));
  EXPECT_EQ(counter(*resolver, "table_reads"), 6u);
  // The operator's wish.
  std::filesystem::last_write_time(path, an_hour_ago);
  loop.advance(seconds(50));
  EXPECT_EQ(counter(*resolver, "table_reads"), 7u);
  resolver->reload();
  EXPECT_EQ(counter(*resolver, "table_reads"), 8u);
  EXPECT_EQ(counter(*resolver, "table_reloads"), 3u);
}

TEST_F(ResolverTest, EtcdSettingsAreChecked) {
  EXPECT_THAT(why_not("etcd"), HasSubstr("endpoints has to name at least one"));
  EXPECT_THAT(why_not("etcd", {{"endpoints", "http://127.0.0.1:1"}, {"prefix", ""}}), HasSubstr("prefix is empty"));
  EXPECT_THAT(why_not("etcd", {{"endpoints", "nonsense"}}), HasSubstr("resolver \"etcd\": "));
  EXPECT_THAT(why_not("etcd", {{"endpoints", "http://127.0.0.1:1"}, {"password", "a"}, {"password_file", "b"}}),
              HasSubstr("must not both be given"));
}

TEST(SettingsReader, ReadsEachKindAndRefusesOthers) {
  const SettingsTable table = {{"text", "a"},   {"flag", true}, {"count", 7},
                               {"time", "30s"}, {"one", "x"},   {"list", SettingsList{"x", "y"}}};
  SettingsReader read(table, "part");
  std::string text;
  bool flag = false;
  std::size_t count = 0;
  Duration time{0};
  std::vector<std::string> one, list;
  EXPECT_TRUE(read.text("text", text) && read.flag("flag", flag) && read.count("count", count, 7, 7) &&
              read.time("time", time, seconds(30), seconds(30)) && read.texts("one", one) && read.texts("list", list));
  EXPECT_TRUE(read.finish().has_value());
  EXPECT_EQ(text + "/" + std::to_string(count) + "/" + format_duration(time), "a/7/30s");
  EXPECT_TRUE(flag);
  EXPECT_THAT(one, ElementsAre("x"));
  EXPECT_THAT(list, ElementsAre("x", "y"));
  EXPECT_EQ(read.count("count", count, 8, 9).error().detail, "part: count is 7; it has to be 8 to 9");
  EXPECT_EQ(read.count("count", count, 1, 6).error().detail, "part: count is 7; it has to be 1 to 6");
  EXPECT_EQ(read.time("time", time, seconds(31), seconds(60)).error().detail,
            "part: time is 30s; it has to be 31s to 1m0s");
  EXPECT_EQ(read.text("count", text).error().detail, "part: count has to be a text in quotes");
  EXPECT_EQ(read.flag("text", flag).error().detail, "part: text has to be true or false");
  EXPECT_FALSE(read.texts("count", list).has_value());
  EXPECT_FALSE(read.table("count").has_value());
  EXPECT_FALSE(read.tables("list").has_value());
  EXPECT_TRUE(read.text("absent", text).has_value());
}

}  // namespace
}  // namespace wayport::route
