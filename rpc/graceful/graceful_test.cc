// Goal: a process ends and is replaced without anybody noticing, and a restart that fails changes nothing. Method: a
// server program as real processes (testing/server.cc); the test plays the clients, the service manager's notify
// socket, and the one who passes sockets. What Peer::close() promises is tested in process.
#include "wayport/rpc/graceful/graceful.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <future>
#include <map>
#include <string>
#include <vector>

#include "wayport/base/log_testing.h"

extern char** environ;  // NOLINT

namespace wayport::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr seconds kPatience{30};

std::string server_program() {
  const char* const directory = std::getenv("TEST_SRCDIR");
  const char* const workspace = std::getenv("TEST_WORKSPACE");
  const std::string path = "rpc/graceful/testing/server";
  return directory && workspace ? std::string(directory) + "/" + workspace + "/" + path : path;
}

// A datagram socket as NOTIFY_SOCKET names it.
class NotifySocket {
 public:
  NotifySocket()
      : name_("@wayport-graceful-" + std::to_string(::getpid())), fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage address{};
    const socklen_t size = SocketAddress::from_unix(name_)->store(address);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    const timeval patience{kPatience.count(), 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  const std::string& name() const { return name_; }
  std::string next() {
    char text[4096];
    const ssize_t size = ::recv(fd_.get(), text, sizeof(text), 0);
    return size < 0 ? "nothing" : std::string(text, static_cast<std::size_t>(size));
  }

 private:
  const std::string name_;
  Fd fd_;
};

// The chain of server processes, all of which print into one pipe. The test process adopts them when their parents end.
class Servers {
 public:
  // `sockets` become descriptors 3, 4, ...
  Servers(std::vector<std::string> arguments, std::vector<std::string> environment = {},
          const std::vector<int>& sockets = {}) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    arguments.insert(arguments.begin(), server_program());
    for (char** entry = environ; *entry; ++entry) environment.emplace_back(*entry);
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    output_ = Fd(ends[0]);
    const Fd theirs(ends[1]);
    std::vector<Fd> copies;
    for (const int socket : sockets) copies.emplace_back(::fcntl(socket, F_DUPFD_CLOEXEC, 50));
    const bool activated = !sockets.empty();
    if (activated) environment.push_back("LISTEN_FDS=" + std::to_string(sockets.size()));
    std::string listen_pid = "LISTEN_PID=00000000000000000000";
    if (activated) environment.push_back(listen_pid);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::vector<char*> envp;
    for (std::string& entry : environment) envp.push_back(entry.data());
    envp.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      int target = 3;
      for (const Fd& copy : copies) ::dup2(copy.get(), target++);
      ::dup2(theirs.get(), STDOUT_FILENO);
      ::dup2(theirs.get(), STDERR_FILENO);
      if (activated) {
        char* digit = environment.back().data() + environment.back().size();
        for (pid_t pid = ::getpid(); pid != 0; pid /= 10) *--digit = static_cast<char>('0' + pid % 10);
      }
      ::execve(argv[0], argv.data(), envp.data());
      ::_exit(127);
    }
    known_.push_back(pid_);
  }
  ~Servers() {
    for (const pid_t pid : known_) {
      if (statuses_.contains(pid)) continue;
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }
  Servers(const Servers&) = delete;
  Servers& operator=(const Servers&) = delete;

  // The rest of the first line, not returned before, that holds `part`.
  std::string line(const std::string& part) {
    const auto due = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      for (std::size_t end; (end = text_.find('\n', at_)) != std::string::npos;) {
        const std::string one = text_.substr(at_, end - at_);
        at_ = end + 1;
        if (const std::size_t found = one.find(part); found != std::string::npos)
          return one.substr(found + part.size());
      }
      pollfd polled{output_.get(), POLLIN, 0};
      const auto left = std::chrono::duration_cast<milliseconds>(due - std::chrono::steady_clock::now());
      char piece[4096];
      ssize_t size = 0;
      if (left.count() <= 0 || ::poll(&polled, 1, static_cast<int>(left.count())) <= 0 ||
          (size = ::read(output_.get(), piece, sizeof(piece))) <= 0) {
        ADD_FAILURE() << "no line with \"" << part << "\" in\n" << text_;
        return "";
      }
      text_.append(piece, static_cast<std::size_t>(size));
    }
  }
  // Waits until a process is ready. Its address.
  std::string ready() {
    const std::string address = line("listening ");
    pid_ = std::atoi(line("pid ").c_str());
    if (std::ranges::find(known_, pid_) == known_.end()) known_.push_back(pid_);
    return address;
  }
  pid_t pid() const { return pid_; }  // of the one that was ready last
  void signal(int number) const { ::kill(pid_, number); }
  // Its exit code; minus the signal.
  int end_of(pid_t pid) {
    int status = 0;
    const auto due = std::chrono::steady_clock::now() + kPatience;
    // One that is to be adopted is ours a moment later.
    pid_t ended = 0;
    while ((ended = ::waitpid(pid, &status, WNOHANG)) != pid && std::chrono::steady_clock::now() < due) {
      ::poll(nullptr, 0, 2);
    }
    if (ended != pid) return 1000;
    statuses_[pid] = status;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  const std::string& text() const { return text_; }

 private:
  Fd output_;
  std::string text_;
  std::size_t at_ = 0;
  pid_t pid_ = -1;
  std::vector<pid_t> known_;
  std::map<pid_t, int> statuses_;
};

class GracefulTest : public ::testing::Test {
 protected:
  GracefulTest() : runtime({.loops = 1, .log = &log}), client(runtime) {
    char name[] = "/tmp/wayport-graceful-XXXXXX";
    directory = ::mkdtemp(name);
    behave("serve");
    EXPECT_TRUE(client.start());
  }
  ~GracefulTest() override {
    ::unlink(behaviour().c_str());
    ::unlink((directory + "/socket").c_str());
    ::rmdir(directory.c_str());
  }
  std::string behaviour() const { return directory + "/behaviour"; }
  void behave(const std::string& how) const { std::ofstream(behaviour()) << how << "\n"; }
  Session dial(const std::string& address) {
    Result<Session> session = client.dial_blocking(address);
    EXPECT_TRUE(session) << (session ? "" : session.error().to_string());
    return session ? *session : Session();
  }
  std::int64_t pid_behind(const std::string& address) {
    const Session session = dial(address);
    if (!session) return -1;
    const Reply<std::int64_t> pid = session.pull_blocking<std::int64_t>("/pid");
    session.close();
    return pid.ok() ? *pid : -1;
  }

  MemoryLog log;
  Runtime runtime;
  Peer client;
  std::string directory;
};

TEST_F(GracefulTest, ARestartKeepsTheAddressAndAnswersWhatRuns) {
  for (const std::string& url : {std::string("tcp://127.0.0.1:0"), std::string("unix://@wayport-graceful-restart"),
                                 "unix://" + directory + "/socket"}) {
    Servers servers({behaviour(), url});
    const std::string address = servers.ready();
    const pid_t first = servers.pid();
    const Session session = dial(address);
    std::future<Reply<std::int64_t>> slept = session.pull_future<std::int64_t>("/sleep", std::int64_t{300});
    EXPECT_TRUE(session.pull_blocking<std::int64_t>("/pid").ok());  // so the sleep was begun
    servers.signal(SIGUSR2);
    EXPECT_EQ(servers.ready(), address);
    const pid_t second = servers.pid();
    EXPECT_NE(second, first);
    const Reply<std::int64_t> reply = slept.get();
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    servers.line("replaced");
    EXPECT_EQ(servers.end_of(first), 0);
    EXPECT_EQ(pid_behind(address), second);
    // The second one is as good as the first, and the unix socket's file is its own to remove.
    servers.signal(SIGUSR2);
    EXPECT_EQ(servers.ready(), address);
    EXPECT_EQ(servers.end_of(second), 0);
    EXPECT_EQ(pid_behind(address), servers.pid());
    servers.signal(SIGTERM);
    servers.line("stopped");
    EXPECT_EQ(servers.end_of(servers.pid()), 0);
    EXPECT_NE(::access((directory + "/socket").c_str(), F_OK), 0);
  }
}

TEST_F(GracefulTest, ANewBinaryThatCrashesLeavesTheOldOneServing) {
  Servers servers({behaviour(), "tcp://127.0.0.1:0"});
  const std::string address = servers.ready();
  behave("crash");
  servers.signal(SIGUSR2);
  EXPECT_THAT(servers.line("the restart failed"), AllOf(HasSubstr("goes on serving"), HasSubstr("exit code 3")));
  EXPECT_EQ(pid_behind(address), servers.pid());
  // And the next attempt succeeds.
  behave("serve");
  const pid_t old = servers.pid();
  servers.signal(SIGUSR2);
  EXPECT_EQ(servers.ready(), address);
  EXPECT_EQ(servers.end_of(old), 0);
  servers.signal(SIGTERM);
  EXPECT_EQ(servers.end_of(servers.pid()), 0);
}

TEST_F(GracefulTest, ANewBinaryThatIsNeverReadyIsEndedAndTheOldOneServes) {
  const std::string path = "unix://" + directory + "/socket";
  Servers servers({behaviour(), path});
  const std::string address = servers.ready();
  behave("hang");
  servers.signal(SIGUSR2);
  EXPECT_THAT(servers.line("the restart failed"), AllOf(HasSubstr("500ms"), HasSubstr("ended by signal 15")));
  EXPECT_EQ(pid_behind(address), servers.pid());
  // Its listeners are its own again: the file goes with it.
  servers.signal(SIGTERM);
  EXPECT_EQ(servers.end_of(servers.pid()), 0);
  EXPECT_NE(::access((directory + "/socket").c_str(), F_OK), 0);
}

TEST_F(GracefulTest, ProcessOneIsNotRestartedButAdvised) {
  behave("process1");
  Servers servers({behaviour(), "tcp://127.0.0.1:0"});
  const std::string address = servers.ready();
  servers.signal(SIGUSR2);
  EXPECT_THAT(servers.line("the restart failed"), AllOf(HasSubstr("process 1"), HasSubstr("docker run --init")));
  EXPECT_EQ(pid_behind(address), servers.pid());
}

TEST_F(GracefulTest, TheServiceManagerHearsTheWholeStory) {
  NotifySocket systemd;
  Servers servers({behaviour(), "tcp://127.0.0.1:0"}, {"NOTIFY_SOCKET=" + systemd.name()});
  servers.ready();
  EXPECT_EQ(systemd.next(), "READY=1");
  const pid_t first = servers.pid();
  servers.signal(SIGUSR2);
  EXPECT_THAT(systemd.next(), StartsWith("RELOADING=1\n"));
  servers.ready();
  EXPECT_EQ(systemd.next(), "MAINPID=" + std::to_string(servers.pid()) + "\nREADY=1");
  EXPECT_EQ(servers.end_of(first), 0);
  behave("crash");
  servers.signal(SIGUSR2);
  EXPECT_THAT(systemd.next(), StartsWith("RELOADING=1\n"));
  EXPECT_THAT(systemd.next(), AllOf(StartsWith("READY=1\nSTATUS="), HasSubstr("failed")));
  servers.signal(SIGTERM);
  EXPECT_EQ(systemd.next(), "STOPPING=1");
  EXPECT_EQ(servers.end_of(servers.pid()), 0);
}

TEST_F(GracefulTest, SocketActivationServesWhoConnectedBeforeTheServerWasThere) {
  const std::string path = directory + "/socket";
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage where{};
  const socklen_t size = SocketAddress::from_unix(path)->store(where);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where), size), 0);
  ASSERT_EQ(::listen(socket.get(), 8), 0);
  const Session early = dial("unix://" + path);
  std::future<Reply<std::int64_t>> pid = early.pull_future<std::int64_t>("/pid");
  // A second socket that the server does not know.
  const Fd stranger(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::listen(stranger.get(), 8), 0);
  Servers servers({behaviour(), "unix://" + path}, {}, {socket.get(), stranger.get()});
  EXPECT_THAT(servers.line("an inherited socket is not used"), HasSubstr("descriptor 4"));
  servers.ready();
  const Reply<std::int64_t> reply = pid.get();
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  EXPECT_EQ(*reply, servers.pid());
  // Also through a restart the file stays the service manager's, who starts the server again with it.
  const pid_t first = servers.pid();
  servers.signal(SIGUSR2);
  servers.ready();
  EXPECT_EQ(servers.end_of(first), 0);
  servers.signal(SIGTERM);
  EXPECT_EQ(servers.end_of(servers.pid()), 0);
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

TEST_F(GracefulTest, SigtermAnswersWhatRunsBetweenItsHooks) {
  Servers servers({behaviour(), "tcp://127.0.0.1:0"});
  const Session session = dial(servers.ready());
  std::future<Reply<std::int64_t>> slept = session.pull_future<std::int64_t>("/sleep", std::int64_t{200});
  EXPECT_TRUE(session.pull_blocking<std::int64_t>("/pid").ok());
  servers.signal(SIGTERM);
  servers.line("told to end");
  EXPECT_EQ(servers.line("first_sweep"), "");
  EXPECT_TRUE(slept.get().ok());
  EXPECT_EQ(servers.line("before_exit"), "");
  EXPECT_EQ(servers.line("stopped"), "");
  EXPECT_EQ(servers.end_of(servers.pid()), 0);
}

TEST_F(GracefulTest, TheDrainTimeoutCutsOffWhatDoesNotEnd) {
  Servers servers({behaviour(), "tcp://127.0.0.1:0", "100"});
  const Session session = dial(servers.ready());
  std::future<Reply<std::int64_t>> slept = session.pull_future<std::int64_t>("/sleep", std::int64_t{600'000});
  EXPECT_TRUE(session.pull_blocking<std::int64_t>("/pid").ok());
  servers.signal(SIGTERM);
  EXPECT_THAT(servers.line("drain_timeout is over"), HasSubstr("sessions=1"));
  EXPECT_EQ(servers.line("stopped"), " in a hurry");
  EXPECT_EQ(servers.end_of(servers.pid()), 1);
  EXPECT_FALSE(slept.get().ok());
}

TEST_F(GracefulTest, ANegativeDrainTimeoutIsNone) {
  Servers servers({behaviour(), "tcp://127.0.0.1:0", "-1"});
  const Session session = dial(servers.ready());
  std::future<Reply<std::int64_t>> slept = session.pull_future<std::int64_t>("/sleep", std::int64_t{300});
  EXPECT_TRUE(session.pull_blocking<std::int64_t>("/pid").ok());
  servers.signal(SIGINT);
  EXPECT_TRUE(slept.get().ok());
  EXPECT_EQ(servers.line("stopped"), "");
  EXPECT_EQ(servers.end_of(servers.pid()), 0);
}

TEST_F(GracefulTest, TheSecondSignalEndsAtOnce) {
  Servers servers({behaviour(), "tcp://127.0.0.1:0"});
  const Session session = dial(servers.ready());
  const std::future<Reply<std::int64_t>> slept = session.pull_future<std::int64_t>("/sleep", std::int64_t{600'000});
  EXPECT_TRUE(session.pull_blocking<std::int64_t>("/pid").ok());
  servers.signal(SIGTERM);
  servers.line("told to end");
  servers.signal(SIGINT);
  EXPECT_EQ(servers.end_of(servers.pid()), 1);
}

TEST_F(GracefulTest, SigtermDuringARestartEndsBoth) {
  Servers servers({behaviour(), "tcp://127.0.0.1:0"});
  servers.ready();
  behave("hang");
  servers.signal(SIGUSR2);
  const std::string starting = servers.line("a new process is starting");
  servers.signal(SIGTERM);
  servers.line("was not ready yet and is ended, too");
  EXPECT_EQ(servers.end_of(servers.pid()), 0);
  const std::size_t at = starting.find("pid=");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(servers.end_of(std::atoi(starting.c_str() + at + 4)), -SIGTERM);
}

// --- in process ---

// Connections that the kernel has, and that the loops have not.
TEST_F(GracefulTest, AClosingPeerTakesWhoWaitsInTheQueueAndTellsThem) {
  Runtime server_runtime({.loops = 2, .log = &log});
  Peer server(server_runtime, {.listen = {"tcp://127.0.0.1:0"}});
  ASSERT_TRUE(server.start());
  const std::string address = server.addresses().front();
  // Loop 0, which accepts, is busy: connections collect in the queue.
  std::promise<void> busy;
  std::promise<void> go_on;
  server_runtime.loop(0).post([&] {
    busy.set_value();
    go_on.get_future().wait();
  });
  busy.get_future().wait();
  std::vector<Session> sessions;
  for (int i = 0; i < 20; ++i) sessions.push_back(dial(address));
  std::promise<void> closed;
  server.close_async([&] { closed.set_value(); });
  go_on.set_value();
  for (const Session& session : sessions) {
    ASSERT_TRUE(session);
    const Reply<std::int64_t> reply = session.pull_blocking<std::int64_t>("/pid");
    EXPECT_FALSE(reply.ok());
    // Told by the drain notice, or it did not leave; never cut off with a doubt.
    EXPECT_TRUE(reply.status().never_executed) << reply.status().to_string();
  }
  EXPECT_EQ(closed.get_future().wait_for(kPatience), std::future_status::ready);
}

TEST_F(GracefulTest, ASecondOneInTheProcessIsRefused) {
  Result<ProcessStart> start = ProcessStart::capture();
  ASSERT_TRUE(start);
  const auto first = Graceful::start(runtime, {&client}, *start);
  ASSERT_TRUE(first) << first.error().to_string();
  const auto second = Graceful::start(runtime, {&client}, *start);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().detail, HasSubstr("belongs to another SignalSet"));
  // Without signals there may be as many as one likes.
  const auto quiet = Graceful::start(runtime, {&client}, *start, {.catch_signals = false});
  ASSERT_TRUE(quiet);
  (*quiet)->stop();
  EXPECT_TRUE((*quiet)->wait().drained);
}

TEST_F(GracefulTest, AHookThatThrowsDelaysNothing) {
  Result<ProcessStart> start = ProcessStart::capture();
  ASSERT_TRUE(start);
  bool ended = false;
  const auto graceful = Graceful::start(runtime, {&client}, *start,
                                        {.catch_signals = false,
                                         .first_sweep = [] { throw std::runtime_error("registry away"); },
                                         .before_exit = [&ended] { ended = true; }});
  ASSERT_TRUE(graceful);
  (*graceful)->stop();
  EXPECT_TRUE((*graceful)->wait().drained);
  EXPECT_TRUE(ended);
  EXPECT_EQ(log.count("registry away"), 1u);
}

}  // namespace
}  // namespace wayport::rpc
