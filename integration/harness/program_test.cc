#include "wayport/integration/harness/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <cstdlib>
#include <string>
#include <thread>

namespace wayport::harness {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::StartsWith;

std::unique_ptr<Program> shell(const std::string& script, ProgramOptions options = {}) {
  options.arguments = {"/bin/sh", "-c", script};
  Result<std::unique_ptr<Program>> made = Program::start(options);
  EXPECT_TRUE(made.has_value()) << made.error().to_string();
  return *std::move(made);
}

TEST(Program, LinesOfBothOutputsAreFoundOnceAndInOrder) {
  const auto program = shell("echo one; echo two >&2; echo one again");
  EXPECT_EQ(*program->wait_for_line("one"), "one");
  EXPECT_EQ(*program->wait_for_line("one"), "one again");
  EXPECT_EQ(*program->wait(), 0);
  const Result<std::string> none = program->wait_for_line("one");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::peer_closed);
  EXPECT_THAT(none.error().detail, HasSubstr("two"));
}

TEST(Program, ItsEnvironmentAndDirectoryAreThoseThatWereGiven) {
  const auto program = shell("echo $COLOUR in $(pwd)", {.environment = {"COLOUR=green"}, .directory = "/"});
  EXPECT_EQ(*program->wait_for_line("in"), "green in /");
}

TEST(Program, AnExitCodeIsToldAndASignalIsNegative) {
  EXPECT_EQ(*shell("exit 7")->wait(), 7);
  const auto program = shell("echo up; exec cat /dev/zero > /dev/null");
  EXPECT_EQ(*program->wait_for_line("up"), "up");
  EXPECT_EQ(*program->stop(), -SIGTERM);
  EXPECT_FALSE(program->stop().has_value());
}

TEST(Program, WhoDoesNotEndIsKilledAndSaysSo) {
  const auto program = shell("trap '' TERM; echo up; while :; do :; done");
  EXPECT_EQ(*program->wait_for_line("up"), "up");
  const Result<int> stopped = program->stop(50ms);
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().code, ErrorCode::timed_out);
}

TEST(Program, NobodyWaitsForALineForEver) {
  const auto program = shell("echo up; exec cat /dev/zero > /dev/null");
  const Result<std::string> none = program->wait_for_line("down", 50ms);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::timed_out);
}

TEST(Program, ALongLogKeepsItsFirstAndItsLastBytes) {
  const auto program = shell("echo first; i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo last",
                             {.log_bytes_max = 4000});
  EXPECT_EQ(*program->wait(), 0);
  EXPECT_TRUE(program->wait_for_line("last").has_value());
  EXPECT_THAT(program->log(), AllOf(StartsWith("first\n"), HasSubstr("the log was cut here"), EndsWith("last\n")));
  EXPECT_THAT(program->log().size(), Lt(4100u));
}

TEST(Program, AChildThatKeepsTheOutputOpenHoldsNobodyUp) {
  auto program = shell("cat /dev/zero 3>&1 > /dev/null 2>&1 & echo child $!; exec cat /dev/zero > /dev/null");
  const std::string line = *program->wait_for_line("child ");
  const pid_t child = std::atoi(line.c_str() + 6);
  program.reset();
  EXPECT_EQ(::kill(child, SIGKILL), 0);
}

TEST(Program, AChildThatWritesWithoutEndHoldsNobodyUp) {
  // It ends when nobody reads its output any more.
  auto program = shell("yes & exec cat /dev/zero > /dev/null");
  EXPECT_EQ(*program->wait_for_line("y"), "y");
  program.reset();
}

TEST(Program, AnEntryOfTheEnvironmentReplacesTheInheritedOne) {
  ASSERT_NE(std::getenv("PATH"), nullptr);
  const auto program = *Program::start({.arguments = {"/usr/bin/env"}, .environment = {"PATH=/nowhere", "PAT=short"}});
  EXPECT_EQ(*program->wait(), 0);
  EXPECT_FALSE(program->wait_for_line("no such line").has_value());
  std::string log = "\n" + program->log();
  const std::size_t first = log.find("\nPATH=");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(log.substr(first, 15), "\nPATH=/nowhere\n");
  EXPECT_EQ(log.find("\nPATH=", first + 1), std::string::npos);
  EXPECT_THAT(log, HasSubstr("\nPAT=short\n"));
}

TEST(Program, OfManyThreadsThatWaitOneGetsTheExitCodeAndNoSignalGoesAstray) {
  const auto program = shell("echo up; exec cat /dev/zero > /dev/null");
  EXPECT_EQ(*program->wait_for_line("up"), "up");
  std::array<Result<int>, 4> results{0, 0, 0, 0};
  {
    std::array<std::jthread, 4> threads;
    for (std::size_t i = 0; i < threads.size(); ++i) {
      threads[i] = std::jthread([&, i] {
        results[i] = program->stop();
        program->signal(SIGKILL);
      });
    }
  }
  int told = 0;
  for (const Result<int>& result : results) {
    if (!result) EXPECT_EQ(result.error().code, ErrorCode::local_closed);
    if (!result) continue;
    ++told;
    EXPECT_THAT(*result, AnyOf(-SIGTERM, -SIGKILL));
  }
  EXPECT_EQ(told, 1);
  EXPECT_EQ(program->pid(), -1);
  program->signal(SIGKILL);
}

TEST(Program, AProgramThatIsNotThereIsAnError) {
  const Result<std::unique_ptr<Program>> none = Program::start({.arguments = {"/nowhere/program"}});
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().detail, HasSubstr("/nowhere/program"));
  EXPECT_FALSE(Program::start({}).has_value());
  EXPECT_FALSE(runfile_of("NOBODY_SETS_THIS").has_value());
}

}  // namespace
}  // namespace wayport::harness
