#include "wayport/gateway/program/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <string>

#include "wayport/base/log_testing.h"
#include "wayport/gateway/program/files.h"

namespace wayport::gateway {
namespace {

// The program's own commands are tested where they are used, in gateway_process_test.
TEST(Control, AnEmbeddingProgramAddsCommands) {
  std::string directory = ::testing::TempDir() + "/controlXXXXXX";
  ASSERT_TRUE(::mkdtemp(directory.data()));
  const std::string file = directory + "/commands";
  MemoryLog log;
  Runtime runtime({.loops = 1, .log = &log});
  std::promise<std::string> kicked;
  {
    Control control(runtime, {}, {.command_file = file, .profile_prefix = directory + "/profile"});
    EXPECT_FALSE(control.commands().add("help", "", [](Commands::Arguments) { return Result<std::string>(""); }));
    ASSERT_TRUE(control.commands().add("kick <id>", "closes a client", [&kicked](Commands::Arguments arguments) {
      kicked.set_value(std::string(arguments[0]));
      return Result<std::string>("kicked");
    }));
    EXPECT_THAT(control.commands().help(), ::testing::HasSubstr("kick <id>"));
    ASSERT_TRUE(write_file(file, "kick 17\n"));
    ASSERT_TRUE(control.start());
    ::kill(::getpid(), SIGUSR1);
    EXPECT_EQ(kicked.get_future().get(), "17");
  }
  // Its end waited for the command.
  EXPECT_EQ(log.count("result=kicked"), 1u);
  ::kill(::getpid(), SIGUSR1);  // does nothing any more, and does not end the process
}

}  // namespace
}  // namespace wayport::gateway
