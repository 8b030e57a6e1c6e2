// Real processes: shell scripts play the new binary. They end by themselves, or the Successor ends them.
#include "wayport/base/restart.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace wayport {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

std::string temp(const std::string& name) {
  return ::testing::TempDir() + "/" + name + "-" + std::to_string(::getpid());
}

ProgramStart shell(const std::string& script) {
  ProgramStart program;
  program.executable = "/bin/bash";  // dash knows descriptors up to 9 only
  program.arguments = {"bash", "-c", script};
  program.environment = {"KEPT=as it was", "LISTEN_FDS=77", "LISTEN_PID=1", "WAYPORT_READY_FD=99"};
  return program;
}

// Starts and waits for the outcome.
class SuccessorTest : public ::testing::Test {
 protected:
  Result<pid_t> outcome_of(const ProgramStart& program, std::vector<HandedSocket> sockets = {},
                           SuccessorOptions options = {}) {
    std::optional<Result<pid_t>> outcome;
    Result<std::unique_ptr<Successor>> started =
        Successor::start(loop, program, sockets, options, [&](Result<pid_t> pid) { outcome.emplace(std::move(pid)); });
    if (!started) return fail(started.error());
    pid = (*started)->pid();
    for (int turn = 0; turn < 10'000 && !outcome; ++turn) loop.run_turn(milliseconds(10));
    if (!outcome) return fail(ErrorCode::internal, "no outcome");
    return *std::move(outcome);
  }
  std::string failure_of(const ProgramStart& program, SuccessorOptions options = {}) {
    const Result<pid_t> outcome = outcome_of(program, {}, options);
    EXPECT_FALSE(outcome);
    return outcome ? "" : outcome.error().detail;
  }
  bool has_ended() const { return ::waitpid(pid, nullptr, WNOHANG) < 0 && errno == ECHILD; }

  Loop loop;
  pid_t pid = -1;
};

TEST_F(SuccessorTest, FindsItsSocketsItsPidAndWhatItsPredecessorWasStartedWith) {
  const std::string file = temp("successor");
  ProgramStart program =
      shell("{ echo $LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID - $$)) \"$KEPT\"; pwd; ls /proc/$$/fd; } >" + file +
            "; eval \"echo READY >&$WAYPORT_READY_FD\"");
  program.directory = "/usr";
  const Fd first(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Fd second(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Fd leaked(::open("/dev/null", O_RDONLY));  // not close-on-exec
  // Above: a source below the targets' end must not be overwritten before it is copied.
  const Result<pid_t> ready = outcome_of(program, {{second.get(), "b"}, {first.get(), {}}});
  ASSERT_TRUE(ready) << ready.error().to_string();
  EXPECT_EQ(*ready, pid);
  ::waitpid(pid, nullptr, 0);
  std::ifstream stream(file);
  const std::string said{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_THAT(said, ::testing::StartsWith("2 b:unknown 0 as it was\n/usr\n"));
  for (const char* const fd : {"\n3\n", "\n4\n", "\n5\n"}) EXPECT_THAT(said, HasSubstr(fd));
  EXPECT_THAT(said, Not(HasSubstr("\n6\n")));
  ::unlink(file.c_str());
}

TEST_F(SuccessorTest, WithoutSocketsThereAreNoListenVariables) {
  const Result<pid_t> ready =
      outcome_of(shell("test -z \"$LISTEN_FDS$LISTEN_PID$LISTEN_FDNAMES\" && eval \"echo READY >&$WAYPORT_READY_FD\""));
  EXPECT_TRUE(ready) << ready.error().to_string();
  ::waitpid(pid, nullptr, 0);
}

TEST_F(SuccessorTest, OneThatCrashesAtItsStartIsReportedWithItsExitCode) {
  EXPECT_THAT(failure_of(shell("exit 3")), AllOf(HasSubstr("before it was ready"), EndsWith("ended with exit code 3")));
  EXPECT_TRUE(has_ended());
  EXPECT_THAT(failure_of(shell("kill -SEGV $$")), EndsWith("ended by signal 11"));
  EXPECT_TRUE(has_ended());
}

TEST_F(SuccessorTest, OneThatIsNeverReadyIsEnded) {
  EXPECT_THAT(failure_of(shell("exec sleep 600"), {.ready_timeout = milliseconds(30)}),
              AllOf(HasSubstr("not ready within 30ms"), EndsWith("ended by signal 15")));
  EXPECT_TRUE(has_ended());
}

// Its word stands in the socket when the time is over: it serves already, and has to be believed.
TEST_F(SuccessorTest, OneThatWasReadyInTimeIsBelievedHoweverLateItIsHeard) {
  bool told = false;
  Result<pid_t> outcome = fail(ErrorCode::canceled, "not told");
  Result<std::unique_ptr<Successor>> successor =
      Successor::start(loop, shell("eval \"echo READY >&$WAYPORT_READY_FD\""), {}, {.ready_timeout = milliseconds(1)},
                       [&](Result<pid_t> pid) {
                         outcome = std::move(pid);
                         told = true;
                       });
  ASSERT_TRUE(successor) << successor.error().to_string();
  pid = (*successor)->pid();
  // The loop does not run until the word is there.
  ::waitpid(pid, nullptr, 0);
  while (!told) loop.run_turn(milliseconds(10));
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(*outcome, pid);
}

TEST_F(SuccessorTest, OneThatDoesNotListenToSigtermIsKilled) {
  // Ready to be told only once its trap is set.
  EXPECT_THAT(failure_of(shell("trap '' TERM; exec 1>&-; eval \"exec $WAYPORT_READY_FD>&-\"; while :; do :; done"),
                         {.ready_timeout = seconds(30), .end_timeout = milliseconds(30)}),
              EndsWith("ended by signal 9"));
  EXPECT_TRUE(has_ended());
}

TEST_F(SuccessorTest, OneThatSaysSomethingElseIsEnded) {
  EXPECT_THAT(failure_of(shell("eval \"echo whatever it is >&$WAYPORT_READY_FD\"; exec sleep 600")),
              HasSubstr("it said \"whatever it is\\x0a\""));
  EXPECT_TRUE(has_ended());
}

TEST_F(SuccessorTest, WhatCannotBeRunIsNamed) {
  ProgramStart program = shell("");
  program.executable = "/nonexistent/program";
  EXPECT_THAT(failure_of(program), HasSubstr("cannot run /nonexistent/program: No such file or directory"));
  program = shell("");
  program.directory = "/nonexistent/directory";
  EXPECT_THAT(failure_of(program), HasSubstr("cannot go to /nonexistent/directory: No such file"));
  EXPECT_TRUE(has_ended());
}

TEST_F(SuccessorTest, ProcessOneGetsAdviceInstead) {
  const Result<pid_t> refused = outcome_of(shell("exit 0"), {}, {.own_pid = 1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::refused);
  EXPECT_THAT(refused.error().detail, AllOf(HasSubstr("process 1"), HasSubstr("docker run --init")));
  EXPECT_EQ(pid, -1);
}

TEST_F(SuccessorTest, SocketsAndTheirNamesHaveBounds) {
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (const std::string& bad : {std::string("a:b"), std::string("a\n"), std::string(256, 'n')}) {
    const Result<pid_t> refused = outcome_of(shell("exit 0"), {{socket.get(), bad}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  }
  const std::string at_bound = "eval \"echo READY >&$WAYPORT_READY_FD\"";
  EXPECT_TRUE(outcome_of(shell(at_bound), {{socket.get(), std::string(255, 'n')}}));
  ::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(outcome_of(shell(at_bound), std::vector<HandedSocket>(Successor::kSocketsMax, {socket.get(), "s"})));
  ::waitpid(pid, nullptr, 0);
  const auto more =
      outcome_of(shell("exit 0"), std::vector<HandedSocket>(Successor::kSocketsMax + 1, {socket.get(), "s"}));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, ErrorCode::invalid_argument);
}

TEST_F(SuccessorTest, OneThatIsDroppedBeforeItIsReadyIsToldToEnd) {
  Result<std::unique_ptr<Successor>> started =
      Successor::start(loop, shell("exec sleep 600"), {}, {}, [](const Result<pid_t>&) { FAIL(); });
  ASSERT_TRUE(started);
  const pid_t its = (*started)->pid();
  started->reset();
  int status = 0;
  EXPECT_EQ(::waitpid(its, &status, 0), its);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

TEST_F(SuccessorTest, ThePathIsStartedNotTheFileThatWasThere) {
  const std::string program_file = temp("program");
  const auto install = [&](const std::string& script) {
    const std::string fresh = program_file + ".new";
    std::ofstream(fresh) << "#!/bin/bash\n" << script << "\n";
    ::chmod(fresh.c_str(), 0755);
    ASSERT_EQ(::rename(fresh.c_str(), program_file.c_str()), 0);
  };
  install("exit 7");
  ProgramStart program = shell("");
  program.executable = program_file;
  program.arguments = {program_file};
  EXPECT_THAT(failure_of(program), EndsWith("exit code 7"));
  install("eval \"echo READY >&$WAYPORT_READY_FD\"");
  EXPECT_TRUE(outcome_of(program));
  ::waitpid(pid, nullptr, 0);
  ::unlink(program_file.c_str());
}

TEST(ProgramStart, IsThisProcess) {
  ::setenv("LISTEN_FDNAMES", "x", 1);
  ::setenv("WAYPORT_TEST_VARIABLE", "y", 1);
  const Result<ProgramStart> program = ProgramStart::capture();
  ASSERT_TRUE(program) << program.error().to_string();
  EXPECT_THAT(program->executable, HasSubstr("restart_test"));
  EXPECT_EQ(::access(program->executable.c_str(), X_OK), 0);
  ASSERT_FALSE(program->arguments.empty());
  EXPECT_THAT(program->arguments.front(), HasSubstr("restart_test"));
  EXPECT_EQ(program->directory.front(), '/');
  EXPECT_THAT(program->environment, ::testing::Contains("WAYPORT_TEST_VARIABLE=y"));
  EXPECT_THAT(program->environment, Not(::testing::Contains("LISTEN_FDNAMES=x")));
}

TEST(ProgramStart, AReplacedFileIsFoundByItsPath) {
  const auto none = [](const std::string&) { return false; };
  const auto all = [](const std::string&) { return true; };
  EXPECT_EQ(executable_path("/bin/x (deleted)", none), "/bin/x");
  EXPECT_EQ(executable_path("/bin/x", none), "/bin/x");
  // A file may be called so.
  EXPECT_EQ(executable_path("/bin/x (deleted)", all), "/bin/x (deleted)");
}

class PredecessorTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0); }
  void TearDown() override {
    ::close(ends[0]);
    ::unsetenv("WAYPORT_READY_FD");
  }
  int ends[2];
};

TEST_F(PredecessorTest, IsToldOnce) {
  ::setenv("WAYPORT_READY_FD", std::to_string(ends[1]).c_str(), 1);
  Result<Predecessor> predecessor = Predecessor::from_environment();
  ASSERT_TRUE(predecessor) << predecessor.error().to_string();
  EXPECT_TRUE(*predecessor);
  EXPECT_EQ(::getenv("WAYPORT_READY_FD"), nullptr);
  EXPECT_TRUE(predecessor->tell_ready());
  EXPECT_FALSE(*predecessor);
  char text[16];
  EXPECT_EQ(std::string(text, static_cast<std::size_t>(::read(ends[0], text, sizeof(text)))), "READY\n");
  EXPECT_EQ(::read(ends[0], text, sizeof(text)), 0);
}

TEST_F(PredecessorTest, ThatHasGoneIsAnErrorAndNoSignal) {
  ::setenv("WAYPORT_READY_FD", std::to_string(ends[1]).c_str(), 1);
  Result<Predecessor> predecessor = Predecessor::from_environment();
  ASSERT_TRUE(predecessor);
  ::close(ends[0]);
  const Result<void> told = predecessor->tell_ready();
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().code, ErrorCode::peer_closed);
}

TEST_F(PredecessorTest, VariablesThatNameNoSocketAreErrors) {
  const Fd file(::open("/dev/null", O_RDONLY));
  for (const std::string& bad : {std::string("x"), std::string("-1"), std::string("2"), std::string("900000"),
                                 std::to_string(file.get()), std::to_string(ends[1]) + " "}) {
    ::setenv("WAYPORT_READY_FD", bad.c_str(), 1);
    EXPECT_FALSE(Predecessor::from_environment()) << bad;
    EXPECT_EQ(::getenv("WAYPORT_READY_FD"), nullptr);
  }
  EXPECT_TRUE(Predecessor::from_environment());
  ::close(ends[1]);
}

}  // namespace
}  // namespace wayport
