#include "wayport/rpc/plugins/alias/alias.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "wayport/rpc/plugins/testing/manual_peers.h"

namespace wayport::rpc {
namespace {

using ::testing::HasSubstr;
using testing::ManualPeers;

std::string show(Context& context) { return std::string(context.path()) + "?" + std::string(context.raw_query()); }

template <class F>
std::string refusal(F make) {
  try {
    make();
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "accepted";
}

class AliasTest : public ::testing::Test {
 protected:
  AliasTest() : server(world.listening()), client(world.dialling()) {}
  void connect() {
    world.start(*server);
    world.start(*client);
    session = world.dial(*client).value();
  }
  std::string ask(std::string_view uri) {
    const Reply<std::string> reply = world.pull<std::string>(session, uri);
    return reply ? *reply : reply.status().to_string();
  }
  std::string start_error() {
    const Result<void> started = server->start();
    return started ? "started" : started.error().to_string();
  }

  ManualPeers world;
  std::unique_ptr<Peer> server;
  std::unique_ptr<Peer> client;
  Session session;
};

TEST_F(AliasTest, APeersAliasMapsThePathAndKeepsTheQuery) {
  server->router().on_pull("/new", show);
  int pushes = 0;
  server->router().on_push("/note", [&pushes] { ++pushes; });
  server->plugins().add(std::make_shared<PathAlias>(
      PathAlias::Map{{"/old", "/new"}, {"/older", "/old"}, {"/say", "/note"}, {"/a b", "/new"}}));
  connect();
  EXPECT_EQ(ask("/new?x=1"), "/new?x=1");
  EXPECT_EQ(ask("/old?x=1&y=%20"), "/new?x=1&y=%20");
  EXPECT_EQ(ask("/older?z"), "/new?z");
  EXPECT_EQ(ask("/a%20b"), "/new?");
  EXPECT_THAT(ask("/old/"), HasSubstr("404"));
  EXPECT_THAT(ask("/OLD"), HasSubstr("404"));
  ASSERT_TRUE(session.push("/say").has_value());
  world.settle();
  EXPECT_EQ(pushes, 1);
}

TEST_F(AliasTest, APeersAliasReachesPathsThatAnUnknownHandlerTakes) {
  server->router().on_unknown_pull(show);
  server->plugins().add(std::make_shared<PathAlias>(PathAlias::Map{{"/old", "/elsewhere"}}));
  connect();
  EXPECT_EQ(ask("/old?q=1"), "/elsewhere?q=1");
  EXPECT_EQ(ask("/other"), "/other?");
}

TEST_F(AliasTest, ARoutesAliasIsAnotherNameOfThatRoute) {
  server->router().on_pull("/new", show, {.plugins = {std::make_shared<RouteAlias>("/old")}});
  connect();
  EXPECT_EQ(ask("/old?x=1"), "/old?x=1");
  EXPECT_EQ(ask("/new"), "/new?");
}

TEST_F(AliasTest, AGroupsAliasesMapItsRoutesSinglyAndByPrefix) {
  Router group = server->router().group("/v2");
  group.plugins().add(std::make_shared<RouteAlias>(RouteAlias::Map{{"/v1/*", "/v2/*"}, {"/total", "/v2/home/sum"}}));
  group.on_pull("/home/sum", show);
  group.group("/deep").on_pull("/er", show);
  server->router().on_pull("/outside", show);
  connect();
  EXPECT_EQ(ask("/v1/home/sum?a"), "/v1/home/sum?a");
  EXPECT_EQ(ask("/v1/deep/er"), "/v1/deep/er?");
  EXPECT_EQ(ask("/total"), "/total?");
  EXPECT_THAT(ask("/v1/outside"), HasSubstr("404"));
}

TEST_F(AliasTest, LoopsAndDuplicatesAreRefusedByName) {
  EXPECT_THAT(refusal([] { PathAlias({{"/a", "/b"}, {"/b", "/c"}, {"/c", "/a"}}); }),
              HasSubstr("/a -> /b -> /c -> /a"));
  EXPECT_THAT(refusal([] { PathAlias({{"/x", "/b"}, {"/b", "/c"}, {"/c", "/b"}}); }), HasSubstr("loop"));
  EXPECT_THAT(refusal([] { PathAlias({{"/a", "/a"}}); }), HasSubstr("itself"));
  EXPECT_THAT(refusal([] { PathAlias({{"/a", "/b"}, {"/a", "/c"}}); }), HasSubstr("/a is given twice"));
  EXPECT_THAT(refusal([] { PathAlias({{"a", "/b"}}); }), HasSubstr("slash"));
  EXPECT_THAT(refusal([] { PathAlias(PathAlias::Map{}); }), HasSubstr("no alias"));
  EXPECT_THAT(refusal([] { RouteAlias({{"/a", "/a"}}); }), HasSubstr("itself"));
  EXPECT_THAT(refusal([] { RouteAlias({{"/a", "/b"}, {"/a", "/c"}}); }), HasSubstr("/a is given twice"));
  EXPECT_THAT(refusal([] { RouteAlias({{"/a/*", "/b"}}); }), HasSubstr("star"));
  EXPECT_THAT(refusal([] { RouteAlias({{"/*/a", "/b/*"}}); }), HasSubstr("star"));
  EXPECT_THAT(refusal([] { RouteAlias("a"); }), HasSubstr("slash"));
}

TEST_F(AliasTest, ALongChainOfAliasesIsFollowedToItsEnd) {
  PathAlias::Map map;
  for (int i = 0; i < 200; ++i) map.emplace_back("/" + std::to_string(i), "/" + std::to_string(i + 1));
  EXPECT_EQ(PathAlias(map).target("/0"), "/200");
  EXPECT_EQ(PathAlias(map).target("/else"), "/else");
}

TEST_F(AliasTest, AnAliasWithTheNameOfARouteRefusesTheStart) {
  server->router().on_push("/taken", [] {});
  server->plugins().add(std::make_shared<PathAlias>(PathAlias::Map{{"/taken", "/new"}}));
  EXPECT_THAT(start_error(), HasSubstr("alias /taken of /new has the name of a push route"));
}

TEST_F(AliasTest, ARoutesAliasThatIsTakenRefusesTheStart) {
  server->router().on_pull("/taken", show);
  server->router().on_pull("/new", show, {.plugins = {std::make_shared<RouteAlias>("/taken")}});
  EXPECT_THAT(start_error(), HasSubstr("alias /taken of /new: the path is taken by /taken"));
}

TEST_F(AliasTest, AnAliasOfNothingRefusesTheStart) {
  Router group = server->router().group("/v2");
  group.plugins().add(std::make_shared<RouteAlias>(RouteAlias::Map{{"/total", "/v2/home/summ"}}));
  group.on_pull("/home/sum", show);
  EXPECT_THAT(start_error(), HasSubstr("alias /total: no route /v2/home/summ is registered"));
}

TEST_F(AliasTest, APathAliasBelongsToPeersOnly) {
  EXPECT_THAT(refusal([this] {
                server->router().group("/g").plugins().add(std::make_shared<PathAlias>(PathAlias::Map{{"/a", "/b"}}));
              }),
              HasSubstr("Peer::plugins()"));
}

}  // namespace
}  // namespace wayport::rpc
