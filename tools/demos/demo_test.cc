#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <string>

#include "wayport/tools/wayport/testing/process.h"

namespace wayport::tools {
namespace {

TEST(Demo, ShowsEveryStepOnEveryTransport) {
  const testing::Finished demo = testing::run({testing::runfile("tools/demos/demo")});
  EXPECT_EQ(demo.exit_code, 0) << demo.err;
  EXPECT_EQ(demo.err, "");
  std::multiset<std::string> steps;
  const std::regex step("  ok      (.{17})  +[0-9.]+ ms   .+");
  for (std::size_t at = 0; at < demo.out.size();) {
    const std::size_t end = demo.out.find('\n', at);
    const std::string line = demo.out.substr(at, end - at);
    std::smatch match;
    if (std::regex_match(line, match, step))
      steps.insert(match[1].str().substr(0, match[1].str().find_last_not_of(' ') + 1));
    at = end + 1;
  }
  for (const char* name : {"dial", "pull, json", "pull, protobuf", "push", "pull from server", "gzipped body",
                           "unknown path", "custom error", "timeout", "over-limit packet", "graceful close"}) {
    EXPECT_EQ(steps.count(name), 3u) << name << "\n" << demo.out;
  }
  for (const char* name : {"server connects", "dial by id", "cut in a call", "server closes"}) {
    EXPECT_EQ(steps.count(name), 1u) << name << "\n" << demo.out;
  }
  for (const char* name : {"tcp client", "kcp client", "websocket client", "refused target", "all is released"}) {
    EXPECT_EQ(steps.count(name), 1u) << name << "\n" << demo.out;
  }
  EXPECT_THAT(demo.out, ::testing::HasSubstr("\n42 steps, 0 failed, "));
}

}  // namespace
}  // namespace wayport::tools
