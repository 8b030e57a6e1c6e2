#include "wayport/rpc/plugins/ignore_case/ignore_case.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wayport/framing/testing/allocation_count.h"
#include "wayport/rpc/plugins/alias/alias.h"
#include "wayport/rpc/plugins/testing/manual_peers.h"
#include "wayport/rpc/router_core.h"

namespace wayport::rpc {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::ManualPeers;

std::string show(Context& context) { return std::string(context.path()); }

class IgnoreCaseTest : public ::testing::Test {
 protected:
  IgnoreCaseTest() : server(world.listening()), client(world.dialling()) {}
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

TEST_F(IgnoreCaseTest, RoutesAndAliasesAreFoundInAnyLetterCase) {
  server->plugins().add(std::make_shared<IgnoreCase>());
  server->router().on_pull("/V1/home/get_all", show, {.plugins = {std::make_shared<RouteAlias>("/Old/Name")}});
  int pushes = 0;
  server->router().on_push("/note", [&pushes] { ++pushes; });
  connect();
  EXPECT_EQ(ask("/V1/home/get_all"), "/V1/home/get_all");
  EXPECT_EQ(ask("/v1/HOME/Get_All?x=Y"), "/v1/HOME/Get_All");
  EXPECT_EQ(ask("/OLD/name"), "/OLD/name");
  EXPECT_THAT(ask("/v1/home/get_al"), HasSubstr("404"));
  EXPECT_THAT(ask("/v1/home/get_all/and/much/more"), HasSubstr("404"));
  EXPECT_THAT(ask("/NOTE"), HasSubstr("404"));
  ASSERT_TRUE(session.push("/NOTE").has_value());
  world.settle();
  EXPECT_EQ(pushes, 1);
}

TEST_F(IgnoreCaseTest, OnlyAToZFold) {
  server->plugins().add(std::make_shared<IgnoreCase>());
  server->router().on_pull("/\xc3\xa4rger[x]", show);  // a with diaeresis
  connect();
  EXPECT_EQ(ask("/\xc3\xa4RGER[X]"), "/\xc3\xa4RGER[X]");
  EXPECT_THAT(ask("/\xc3\x84rger[x]"), HasSubstr("404"));  // the same letter as a capital
  EXPECT_THAT(ask("/\xc3\xa4rger{x}"), HasSubstr("404"));  // [ and { differ by the same bit as A and a
}

TEST_F(IgnoreCaseTest, AnUnknownHandlerGetsWhatIsLeft) {
  server->plugins().add(std::make_shared<IgnoreCase>());
  server->router().on_pull("/home", [] { return std::string("home"); });
  server->router().on_unknown_pull([] { return std::string("unknown"); });
  connect();
  EXPECT_EQ(ask("/HOME"), "home");
  EXPECT_EQ(ask("/HOMES"), "unknown");
}

TEST_F(IgnoreCaseTest, RoutesThatDifferInCaseOnlyRefuseTheStartWithBothNames) {
  server->plugins().add(std::make_shared<IgnoreCase>());
  server->router().on_pull("/Home/sum", show);
  server->router().on_pull("/home/Sum", show);
  EXPECT_THAT(start_error(), AllOf(HasSubstr("/Home/sum"), HasSubstr("/home/Sum"), HasSubstr("letter case only")));
}

TEST_F(IgnoreCaseTest, AnAliasThatDiffersInCaseFromAnotherRouteRefusesTheStart) {
  server->plugins().add(std::make_shared<IgnoreCase>());
  server->router().on_pull("/home", show);
  server->router().on_pull("/other", show, {.plugins = {std::make_shared<RouteAlias>("/HOME")}});
  EXPECT_THAT(start_error(), AllOf(HasSubstr("/HOME"), HasSubstr("/home")));
}

TEST_F(IgnoreCaseTest, APullAndAPushMayDifferInCase) {
  server->plugins().add(std::make_shared<IgnoreCase>());
  server->router().on_pull("/Home", show);
  server->router().on_push("/home", [] {});
  EXPECT_EQ(start_error(), "started");
}

TEST_F(IgnoreCaseTest, OfAGroupItLeavesOtherRoutesAlone) {
  Router loose = server->router().group("/loose");
  loose.plugins().add(std::make_shared<IgnoreCase>());
  loose.on_pull("/a", show);
  server->router().on_pull("/strict/a", show);
  server->router().on_pull("/Strict/a", show);  // not its business
  connect();
  EXPECT_EQ(ask("/LOOSE/A"), "/LOOSE/A");
  EXPECT_THAT(ask("/STRICT/a"), HasSubstr("404"));
}

TEST_F(IgnoreCaseTest, OfAGroupItRefusesWhatSomeoneElseMakesAmbiguous) {
  Router loose = server->router().group("/loose");
  loose.plugins().add(std::make_shared<IgnoreCase>());
  loose.on_pull("/a", show);
  server->router().on_pull("/LOOSE/a", show);
  EXPECT_THAT(start_error(), AllOf(HasSubstr("/LOOSE/a"), HasSubstr("/loose/a")));
}

TEST_F(IgnoreCaseTest, ALookupAllocatesNothing) {
  server->plugins().add(std::make_shared<IgnoreCase>());
  server->router().on_pull("/a/rather/long/path/that/no/small/string/would/hold", show);
  world.start(*server);
  const RouterCore& core = server->router().core();
  const std::uint64_t before = framing::testing::allocation_count();
  const Route* exact = core.find(Call::Kind::pull, "/a/rather/long/path/that/no/small/string/would/hold");
  const Route* folded = core.find(Call::Kind::pull, "/A/RATHER/LONG/PATH/THAT/NO/SMALL/STRING/WOULD/HOLD");
  const Route* missing = core.find(Call::Kind::pull, "/B/RATHER/LONG/PATH/THAT/NO/SMALL/STRING/WOULD/HOLD");
  EXPECT_EQ(framing::testing::allocation_count(), before);
  EXPECT_NE(exact, nullptr);
  EXPECT_EQ(folded, exact);
  EXPECT_EQ(missing, nullptr);
}

}  // namespace
}  // namespace wayport::rpc
