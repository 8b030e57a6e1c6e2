#include "wayport/tools/wayport/route_explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <sstream>
#include <string>

#include "wayport/base/log_testing.h"
#include "wayport/transport/testing/certificates.h"

namespace wayport::tools {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kFile = R"([[route]]
name = "players"
listen = "tcp://127.0.0.1:7788"
allow = ["10.0.0.0/8:7000-7999"]
[[route]]
name = "orders"
listen = "tcp://127.0.0.1:7789"
resolver = "static"
resolver_settings = { backends = { orders = ["10.0.0.7:9000"] } }
allow = ["10.0.0.7:9000"]
)";

class ExplainTest : public ::testing::Test {
 protected:
  int run(RouteExplainOptions options, const std::string& input = "") {
    options.config = directory.write("gateway.toml", file);
    std::istringstream in(input);
    out.str("");
    err.str("");
    Console console{.in = in, .out = out, .err = err};
    return explain_route(runtime, options, console);
  }
  transport::TestDirectory directory;
  std::string file = kFile;
  MemoryLog log;
  Runtime runtime{{.loops = 1, .log = &log}};
  std::ostringstream out, err;
};

TEST_F(ExplainTest, SaysWhichBackendAndByWhichRule) {
  EXPECT_EQ(run({.config = {}, .identify = "10.1.2.3:7001", .route = "players"}), kExitSuccess) << err.str();
  EXPECT_THAT(out.str(), AllOf(HasSubstr("10.1.2.3:7001"), HasSubstr("10.0.0.0/8:7000-7999")));
}

TEST_F(ExplainTest, ARefusalIsExitCodeOneAndHasItsReason) {
  EXPECT_EQ(run({.config = {}, .identify = "169.254.169.254:80", .route = "players"}), kExitFailure);
  EXPECT_THAT(out.str(), HasSubstr("forbidden"));
  // The gateway itself is no backend.
  EXPECT_EQ(run({.config = {}, .identify = "127.0.0.1:7788", .route = "players"}), kExitFailure);
  EXPECT_EQ(run({.config = {}, .identify = "nonsense", .route = "orders"}), kExitFailure);
}

TEST_F(ExplainTest, ANameThatWasNotLookedUpIsExitCodeThree) {
  const RouteExplainOptions options{.config = {}, .identify = "backend.example:7001", .route = "players"};
  EXPECT_EQ(run(options), kExitDepends);
  EXPECT_THAT(out.str(),
              AllOf(HasSubstr("depends on the addresses"), HasSubstr("--lookup"), Not(HasSubstr("would be dialed"))));
  // One of all routes refuses: that is the answer.
  EXPECT_EQ(run({.config = {}, .identify = "backend.example:7001"}), kExitFailure);
}

TEST_F(ExplainTest, WhateverTheProcessListensOnIsItsOwn) {
  file = R"([link]
client_address = "tcp://10.0.0.5:7010"
server_address = "tcp://10.0.0.5:7011"
server_auth_key = "0123456789abcdef"
[admin]
address = ":7012"
[[route]]
name = "players"
listen = "tcp://10.0.0.5:7001"
allow = ["10.0.0.0/8:7000-7999", "127.0.0.0/8:7000-7999"]
[[route]]
name = "others"
listen = "tcp://10.0.0.5:7002"
allow = ["10.0.0.0/8:7000-7999"]
)";
  for (const char* const own : {"10.0.0.5:7001", "10.0.0.5:7002", "10.0.0.5:7010", "10.0.0.5:7011", "127.0.0.1:7012"}) {
    EXPECT_EQ(run({.config = {}, .identify = own, .route = "players"}), kExitFailure) << own << err.str();
    EXPECT_THAT(out.str(), HasSubstr("where this gateway listens")) << own;
  }
  for (const char* const other : {"10.0.0.5:7003", "10.0.0.6:7001", "127.0.0.1:7013", "10.0.0.5:7012"}) {
    EXPECT_EQ(run({.config = {}, .identify = other, .route = "players"}), kExitSuccess) << other << err.str();
  }
}

TEST_F(ExplainTest, AllRoutesUnlessOneIsNamedAndJsonForPrograms) {
  EXPECT_EQ(run({.config = {}, .identify = "-", .json = true}, "orders\n"), kExitFailure);
  std::istringstream lines(out.str());
  std::string first, second, rest;
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_EQ(boost::json::parse(first).at("route").as_string(), "players");
  EXPECT_EQ(boost::json::parse(second).at("route").as_string(), "orders");
  EXPECT_FALSE(std::getline(lines, rest));
}

TEST_F(ExplainTest, MistakesAreExitCodeTwo) {
  EXPECT_EQ(run({.config = {}, .identify = "x", .route = "nobody"}), kExitUsage);
  EXPECT_THAT(err.str(), HasSubstr("has no route named nobody"));
  file = "[[route]]\nlisten = 1\n";
  EXPECT_EQ(run({.config = {}, .identify = "x"}), kExitUsage);
  EXPECT_THAT(err.str(), AllOf(StartsWith("error: "), HasSubstr("gateway.toml:2: [[route]] listen")));
  file = "[[route]]\nlisten = \"tcp://:1\"\nallow = \"10.0.0.1:80\"\nbackend_transport = \"kpc\"\n";
  EXPECT_EQ(run({.config = {}, .identify = "10.0.0.1:80"}), kExitUsage);
  EXPECT_THAT(err.str(), AllOf(HasSubstr("gateway.toml:1: route route: backend_transport: "), HasSubstr("kpc")));
  file = "[tcpgate]\nport = 1\nenabled = true\n";
  EXPECT_EQ(run({.config = {}, .identify = "x", .gogateway = true}), kExitUsage);
  EXPECT_THAT(err.str(), HasSubstr("[allow]"));
}

TEST_F(ExplainTest, AResolverThatDoesNotAnswerIsNotWaitedForForEver) {
  file =
      "[[route]]\nname = \"e\"\nlisten = \"tcp://127.0.0.1:1\"\nresolver = \"etcd\"\n"
      "resolver_settings = { endpoints = [\"http://127.0.0.1:1\"] }\nallow = [\"10.0.0.0/8:1\"]\n";
  const int exit_code = run({.config = {}, .identify = "x", .timeout = std::chrono::milliseconds(200)});
  EXPECT_THAT(exit_code, Not(kExitSuccess));
}

}  // namespace
}  // namespace wayport::tools
