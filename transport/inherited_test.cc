// Sockets that a process is started with. The test makes them and plays whoever passes them.
#include "wayport/transport/inherited.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "wayport/base/loop.h"
#include "wayport/transport/default_transports.h"

namespace wayport::transport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr pid_t kMe = 4711;

std::vector<std::string> good(const char* fds, const char* pid, const char* names) {
  const Result<std::vector<std::string>> parsed = InheritedSockets::parse(fds, pid, names, kMe);
  EXPECT_TRUE(parsed) << parsed.error().to_string();
  return parsed ? *parsed : std::vector<std::string>{"error"};
}
std::string bad(const char* fds, const char* pid, const char* names) {
  const Result<std::vector<std::string>> parsed = InheritedSockets::parse(fds, pid, names, kMe);
  return parsed ? "no error" : parsed.error().detail;
}

TEST(InheritedSockets, ReadsWhatSystemdSays) {
  EXPECT_THAT(good(nullptr, nullptr, nullptr), IsEmpty());
  EXPECT_THAT(good("0", "4711", nullptr), IsEmpty());
  EXPECT_THAT(good("2", "4711", nullptr), ElementsAre("unknown", "unknown"));
  EXPECT_THAT(good("2", "4711", "web.socket:admin"), ElementsAre("web.socket", "admin"));
  EXPECT_THAT(good("3", "4711", ":b:"), ElementsAre("unknown", "b", "unknown"));
  // Meant for another process.
  EXPECT_THAT(good("2", "4710", nullptr), IsEmpty());
  EXPECT_THAT(good("nonsense", "1", nullptr), IsEmpty());
}

TEST(InheritedSockets, NamesTheVariableThatIsWrong) {
  for (const char* const fds : {"", "-1", "x", "2x", " 2", "99999999999999999999"}) {
    EXPECT_THAT(bad(fds, "4711", nullptr), HasSubstr("LISTEN_FDS=\"")) << fds;
  }
  EXPECT_THAT(bad("1", nullptr, nullptr), HasSubstr("LISTEN_PID is not"));
  for (const char* const pid : {"", "0", "-4711", "4711x"}) {
    EXPECT_THAT(bad("1", pid, nullptr), HasSubstr("LISTEN_PID=\"")) << pid;
  }
  EXPECT_THAT(bad("2", "4711", "a"), HasSubstr("fewer names"));
  EXPECT_THAT(bad("2", "4711", "a:b:c"), HasSubstr("more names"));
}

TEST(InheritedSockets, HasBoundsOnBothSides) {
  EXPECT_THAT(good("1024", "4711", nullptr), SizeIs(1024));
  EXPECT_THAT(bad("1025", "4711", nullptr), HasSubstr("0 to 1024"));
  EXPECT_THAT(good("1", "4711", std::string(255, 'n').c_str()), SizeIs(1));
  EXPECT_THAT(bad("1", "4711", std::string(256, 'n').c_str()), HasSubstr("255 bytes"));
}

// Descriptors from 3 on, as a new process finds them; what was there comes back.
class FromEnvironment : public ::testing::Test {
 protected:
  // Sockets that listen at those addresses become 3, 4, ...
  void pass(const std::vector<std::string>& addresses, const std::string& names) {
    std::vector<Fd> sockets;
    for (const std::string& text : addresses) {
      Fd socket = text == "pair" ? some_pair() : listening(text);
      // Out of the way of the targets.
      sockets.emplace_back(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 100));
    }
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      const int target = InheritedSockets::kFirst + static_cast<int>(i);
      kept_.emplace_back(target, Fd(::fcntl(target, F_DUPFD_CLOEXEC, 200)));
      ::dup2(sockets[i].get(), target);
    }
    ::setenv("LISTEN_FDS", std::to_string(addresses.size()).c_str(), 1);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
  }
  ~FromEnvironment() override {
    for (const auto& [target, fd] : kept_) {
      if (fd) ::dup2(fd.get(), target);
    }
  }
  static Fd some_pair() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ::close(ends[1]);
    return Fd(ends[0]);
  }
  static Fd listening(std::string text) {
    const bool datagrams = text.starts_with("udp:");
    if (datagrams) text.erase(0, 4);
    const bool is_unix = text.front() == '/' || text.front() == '@';
    const SocketAddress where = is_unix ? *SocketAddress::from_unix(text) : *SocketAddress::from_ip(text, 0);
    Fd fd(::socket(where.family(), (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    const socklen_t size = where.store(address);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size), 0) << text;
    if (!datagrams) EXPECT_EQ(::listen(fd.get(), 8), 0);
    return fd;
  }
  static std::string port_of(int fd) { return std::to_string(local_address(fd)->port()); }
  static Address address(const std::string& text) { return *Address::parse(text); }

  std::vector<std::pair<int, Fd>> kept_;
};

TEST_F(FromEnvironment, EachAddressTakesItsOwnSocketAndTheRestIsNamed) {
  pass({"127.0.0.1", "@inherited-test", "127.0.0.1", "pair", "::1"}, "a:wayport-own:c:d:e");
  const std::string first = "tcp://127.0.0.1:" + port_of(3);
  const std::string third = "tls://127.0.0.1:" + port_of(5) + "?cert=c&key=k";
  Result<InheritedSockets> all = InheritedSockets::from_environment();
  ASSERT_TRUE(all) << all.error().to_string();
  for (const char* const variable : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"})
    EXPECT_EQ(::getenv(variable), nullptr);
  for (int fd = 3; fd <= 7; ++fd) EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd;
  EXPECT_THAT(all->unused(), SizeIs(5));

  EXPECT_FALSE(all->take(address("tcp://127.0.0.1:1")));
  EXPECT_FALSE(all->take(address("tcp://127.0.0.2:" + port_of(3))));
  EXPECT_FALSE(all->take(address("unix://@other")));
  EXPECT_FALSE(all->take(address("unix:///inherited-test")));
  const auto of_tls = all->take(address(third));
  ASSERT_TRUE(of_tls);
  EXPECT_EQ(of_tls->fd, 5);
  EXPECT_TRUE(of_tls->keep_file);
  const auto of_unix = all->take(address("unix://@inherited-test"));
  ASSERT_TRUE(of_unix);
  EXPECT_EQ(of_unix->fd, 4);
  EXPECT_FALSE(of_unix->keep_file);
  const auto of_tcp = all->take(address(first));
  ASSERT_TRUE(of_tcp);
  EXPECT_EQ(of_tcp->fd, 3);
  EXPECT_FALSE(all->take(address(first)));  // each once
  const auto any_port = all->take(address("tcp://[::1]:0"));
  ASSERT_TRUE(any_port);
  EXPECT_EQ(any_port->fd, 7);
  EXPECT_EQ(all->name_of(5), "c");
  EXPECT_EQ(all->name_of(4), "wayport-own");
  EXPECT_EQ(all->name_of(1000), "wayport-own");
  EXPECT_THAT(all->unused(), ElementsAre("descriptor 6 (d) is no listening socket"));
  for (const int fd : {3, 4, 5, 7}) ::close(fd);
}

TEST_F(FromEnvironment, WildcardsAreTheSameSocketWithAndWithoutAHost) {
  pass({"::"}, "any");
  const std::string port = port_of(3);
  Result<InheritedSockets> all = InheritedSockets::from_environment();
  ASSERT_TRUE(all);
  EXPECT_FALSE(all->take(address("tcp://127.0.0.1:" + port)));
  const auto taken = all->take(address("tcp://:" + port));
  ASSERT_TRUE(taken);
  ::close(taken->fd);
}

TEST_F(FromEnvironment, KcpTakesDatagramsAndNobodyElseDoes) {
  pass({"udp:127.0.0.1", "127.0.0.1"}, "wayport-own:wayport-own");
  const std::string udp = "127.0.0.1:" + port_of(3);
  const std::string tcp = "127.0.0.1:" + port_of(4);
  Result<InheritedSockets> all = InheritedSockets::from_environment();
  ASSERT_TRUE(all);
  EXPECT_FALSE(all->take(address("tcp://" + udp)));
  EXPECT_FALSE(all->take(address("kcp://" + tcp)));
  EXPECT_THAT(all->unused().front(), HasSubstr("listens on " + udp));
  EXPECT_EQ(all->take(address("tls+kcp://" + udp))->fd, 3);
  EXPECT_EQ(all->take(address("tcp://" + tcp))->fd, 4);
  ::close(3);
  ::close(4);
}

TEST_F(FromEnvironment, ADescriptorThatIsNotThereIsAnError) {
  pass({"127.0.0.1"}, "a:b");
  ::setenv("LISTEN_FDS", "1000", 1);
  ::unsetenv("LISTEN_FDNAMES");
  const Result<InheritedSockets> all = InheritedSockets::from_environment();
  ASSERT_FALSE(all);
  EXPECT_THAT(all.error().detail, HasSubstr("LISTEN_FDS says 1000, but descriptor"));
  EXPECT_EQ(::getenv("LISTEN_FDS"), nullptr);
}

TEST_F(FromEnvironment, AListenerUsesTheSocketAndLeavesTheFileToTheServiceManager) {
  const std::string path = std::string("/tmp/wayport-inherited-") + std::to_string(::getpid());
  for (const bool ours : {false, true}) {
    pass({path}, ours ? "wayport-own" : "app.socket");
    Result<InheritedSockets> all = InheritedSockets::from_environment();
    ASSERT_TRUE(all);
    Loop loop;
    ListenOptions options;
    options.inherited = &*all;
    const Transports transports = default_transports();
    Result<std::unique_ptr<Listener>> listener = transports.listen(loop, address("unix://" + path), options);
    ASSERT_TRUE(listener) << listener.error().to_string();
    EXPECT_THAT((*listener)->inheritable_fds(), ElementsAre(3));
    (*listener)->take_back();
    EXPECT_TRUE(all->empty());
    listener->reset();
    EXPECT_EQ(::access(path.c_str(), F_OK), ours ? -1 : 0);
    ::unlink(path.c_str());
  }
}

// One that fails before it is ready: the process that it was to replace serves on there.
TEST_F(FromEnvironment, AnHeirThatIsNotReadyYetLeavesTheFile) {
  const std::string path = std::string("/tmp/wayport-not-ready-") + std::to_string(::getpid());
  pass({path}, "wayport-own");
  Result<InheritedSockets> all = InheritedSockets::from_environment();
  ASSERT_TRUE(all);
  Loop loop;
  ListenOptions options;
  options.inherited = &*all;
  const Transports transports = default_transports();
  Result<std::unique_ptr<Listener>> listener = transports.listen(loop, address("unix://" + path), options);
  ASSERT_TRUE(listener) << listener.error().to_string();
  listener->reset();
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  ::unlink(path.c_str());
}

// --- the end of a listener ---

class Finish : public ::testing::TestWithParam<bool> {
 protected:
  // A listener with one connection in its queue.
  Finish() {
    const std::string url =
        GetParam() ? "unix:///tmp/wayport-finish-" + std::to_string(::getpid()) : "tcp://127.0.0.1:0";
    listener = *transports.listen(loop, *Address::parse(url), {});
    listener->start([this](std::unique_ptr<Incoming> incoming) {
      ++arrived;
      incoming->reject({});
    });
    sockaddr_storage where{};
    const SocketAddress address = *local_address(listener->inheritable_fds().front());
    listener->take_back();
    const socklen_t size = address.store(where);
    connected = Fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(connected.get(), reinterpret_cast<const sockaddr*>(&where), size), 0);
  }
  void finish() {
    listener->finish([this] { finished = true; });
    EXPECT_FALSE(finished);  // not from inside the call
    for (int turn = 0; turn < 100 && !finished; ++turn) loop.run_turn();
    EXPECT_TRUE(finished);
  }
  bool file_exists() const {
    return ::access(("/tmp/wayport-finish-" + std::to_string(::getpid())).c_str(), F_OK) == 0;
  }

  const Transports transports = default_transports();
  Loop loop;
  std::unique_ptr<Listener> listener;
  Fd connected;
  int arrived = 0;
  bool finished = false;
};
INSTANTIATE_TEST_SUITE_P(Transports, Finish, ::testing::Bool(),
                         [](const auto& param) { return param.param ? "unix" : "tcp"; });

TEST_P(Finish, TakesWhoWaitsInTheQueue) {
  finish();
  EXPECT_EQ(arrived, 1);
  EXPECT_FALSE(file_exists());
}

TEST_P(Finish, LeavesThemToAnHeir) {
  const Fd heir(::fcntl(listener->inheritable_fds().front(), F_DUPFD_CLOEXEC, 3));
  finish();
  listener.reset();
  EXPECT_EQ(arrived, 0);
  EXPECT_EQ(file_exists(), GetParam());
  const Fd accepted(::accept4(heir.get(), nullptr, nullptr, SOCK_NONBLOCK));
  EXPECT_TRUE(accepted);
  ::unlink(("/tmp/wayport-finish-" + std::to_string(::getpid())).c_str());
}

TEST_P(Finish, TakesThemAfterAllWhenTheHeirDoesNotCome) {
  static_cast<void>(listener->inheritable_fds());
  listener->take_back();
  finish();
  EXPECT_EQ(arrived, 1);
  listener.reset();
  EXPECT_FALSE(file_exists());
}

}  // namespace
}  // namespace wayport::transport
