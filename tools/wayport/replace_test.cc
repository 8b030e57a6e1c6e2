// A serving program is replaced by a new one, from outside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "wayport/tools/wayport/testing/served.h"

namespace wayport::tools {
namespace {

using ::testing::HasSubstr;
using testing::Process;
using testing::Served;
using testing::wayport;
using testing::wayport_program;

TEST(Serve, IsReplacedOnTheAddressesThatItHas) {
  Served served({"--log-level", "info"});
  Process listening({wayport_program(), "listen", served.url("tcp")});
  ASSERT_NE(listening.wait_for_line("connected to "), "");
  served.process().signal(SIGUSR2);
  const std::string starting = served.process().wait_for_error_line("a new process is starting");
  ASSERT_THAT(starting, HasSubstr("pid="));
  const pid_t successor = std::stoi(starting.substr(starting.find("pid=") + 4));
  // The new process has the old one's standard output.
  for (const std::string_view transport : Served::kTransports) {
    const std::string& url = served.url(transport);
    EXPECT_NE(served.process().wait_for_line("listening on " + url.substr(0, url.find('?'))), "");
  }
  // The old one ends: its sessions have heard so.
  EXPECT_THAT(listening.finish().err, HasSubstr("the session ended"));
  for (const std::string_view transport : Served::kTransports) {
    EXPECT_EQ(wayport({"call", served.url(transport), "/echo", "--body", "1"}).out, "1") << transport;
  }
  ASSERT_GT(successor, 1);
  ::kill(successor, SIGTERM);
  // Both have closed their outputs then.
  EXPECT_EQ(served.process().finish().exit_code, 0);
}

}  // namespace
}  // namespace wayport::tools
