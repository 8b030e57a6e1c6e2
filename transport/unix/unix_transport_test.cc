#include "wayport/transport/unix/unix_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"
#include "wayport/transport/unix/unix_path.h"

namespace wayport::transport {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

using namespace std::chrono_literals;

Transports unix_only() {
  Transports all;
  all.add("unix", std::make_shared<UnixTransport>());
  return all;
}

// TEST_TMPDIR is too long for a socket path.
class UnixTest : public ::testing::Test {
 protected:
  UnixTest() {
    char name[] = "/tmp/wayport-unix-XXXXXX";
    directory = ::mkdtemp(name);
    path = directory + "/s";
  }
  ~UnixTest() override { std::filesystem::remove_all(directory); }

  Result<std::unique_ptr<Listener>> listen(const std::string& parameters = "", const ListenOptions& options = {}) {
    return all.listen(loop, *Address::parse("unix://" + path + parameters), options);
  }
  // A socket file that nobody listens on.
  void leave_dead_socket() {
    const Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_storage address{};
    const socklen_t size = SocketAddress::from_unix(path)->store(address);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  }
  mode_t mode() const {
    struct stat status{};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0);
    return status.st_mode & 07777;
  }

  const Transports all = unix_only();
  Loop loop;
  std::string directory;
  std::string path;
};

TEST_F(UnixTest, BytesGoBothWaysAndThePeerIsKnown) {
  for (const std::string& address : {"unix://" + path, "unix://@wayport-test-" + std::to_string(::getpid())}) {
    Result<Connection> c = connect_through(all, loop, address);
    ASSERT_TRUE(c) << c.error().to_string();
    RecordingEvents client, server;
    c->client->start(client);
    c->server->start(server);
    c->client->write(chain_of("ping"));
    c->server->write(chain_of("pong"));
    EXPECT_TRUE(run_until(loop, [&] { return client.received == "pong" && server.received == "ping"; }));
    for (const Stream* end : {c->client.get(), c->server.get()}) {
      ASSERT_TRUE(end->peer().unix_peer);
      EXPECT_EQ(end->peer().unix_peer->pid, ::getpid());
      EXPECT_EQ(end->peer().unix_peer->uid, ::geteuid());
      EXPECT_EQ(end->peer().unix_peer->gid, ::getegid());
    }
    EXPECT_EQ(c->client->peer().remote_url(), address);
    EXPECT_EQ(c->server->peer().local_url(), address);
    EXPECT_EQ(c->server->peer().remote_url(),
              "unix://?pid=" + std::to_string(::getpid()) + "&uid=" + std::to_string(::getuid()));
  }
}

TEST_F(UnixTest, TheFileHasItsModeWhateverTheUmask) {
  for (const mode_t mask : {0, 022, 0777}) {
    const mode_t before = ::umask(mask);
    const auto private_one = listen();
    EXPECT_EQ(mode(), 0600u) << mask;
    ::umask(before);
  }
  const mode_t before = ::umask(077);
  const auto shared = listen("?mode=0660");
  ::umask(before);
  EXPECT_EQ(mode(), 0660u);
}

TEST_F(UnixTest, TheFileGoesWithItsListener) {
  auto listener = listen();
  ASSERT_TRUE(listener) << listener.error().to_string();
  EXPECT_TRUE(std::filesystem::exists(path));
  listener->reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(UnixTest, AFileThatChangedHandsStays) {
  auto old = listen();
  ASSERT_TRUE(old);
  std::filesystem::remove(path);
  auto next = listen();
  ASSERT_TRUE(next) << next.error().to_string();
  old->reset();
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(UnixTest, ADeadSocketOfOursIsReplaced) {
  leave_dead_socket();
  const auto listener = listen();
  EXPECT_TRUE(listener) << listener.error().to_string();
}

TEST_F(UnixTest, ALivingSocketIsNotReplaced) {
  const auto first = listen();
  ASSERT_TRUE(first);
  const auto second = listen();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::refused);
  EXPECT_THAT(second.error().detail, HasSubstr("another process listens there"));
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(UnixTest, ALivingSocketWithAFullBacklogIsNotReplaced) {
  ListenOptions options;
  options.backlog = 0;
  const auto first = listen("", options);
  ASSERT_TRUE(first);
  const Fd waiting = *[&]() -> Result<Fd> {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    sockaddr_storage address{};
    const socklen_t size = SocketAddress::from_unix(path)->store(address);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    return fd;
  }();
  EXPECT_FALSE(listen());
}

TEST_F(UnixTest, OtherFilesAreNotReplaced) {
  std::ofstream(path) << "precious";
  const auto listener = listen();
  ASSERT_FALSE(listener);
  EXPECT_THAT(listener.error().detail, HasSubstr("no socket"));
  std::filesystem::remove(path);
  std::filesystem::create_symlink("/nowhere", path);
  EXPECT_FALSE(listen());
  EXPECT_TRUE(std::filesystem::is_symlink(path));
}

TEST_F(UnixTest, ASocketOfAnotherUserIsNotReplaced) {
  leave_dead_socket();
  if (::chown(path.c_str(), 12345, 12345) != 0) GTEST_SKIP() << "needs the privilege to give a file away";
  const auto listener = listen();
  ASSERT_FALSE(listener);
  EXPECT_THAT(listener.error().detail, HasSubstr("another user"));
}

TEST_F(UnixTest, AnAbstractNameInUseIsRefused) {
  const Address name = *Address::parse("unix://@wayport-test-" + std::to_string(::getpid()));
  const auto first = all.listen(loop, name, {});
  ASSERT_TRUE(first);
  const auto second = all.listen(loop, name, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::refused);
}

TEST_F(UnixTest, AHandedOverFileStaysAndTheSuccessorOwnsItOnceItHasTakenOver) {
  auto old = listen();
  ASSERT_TRUE(old);
  const int fd = (*old)->inheritable_fds().front();
  ListenOptions options;
  options.inherited_fd = ::dup(fd);
  auto failed = listen("", options);
  ASSERT_TRUE(failed) << failed.error().to_string();
  failed->reset();
  EXPECT_TRUE(std::filesystem::exists(path));
  options.inherited_fd = ::dup(fd);
  old->reset();
  ASSERT_TRUE(std::filesystem::exists(path));
  auto successor = listen("", options);
  ASSERT_TRUE(successor) << successor.error().to_string();
  (*successor)->take_back();
  successor->reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(UnixTest, AnInheritedDescriptorMustListenOnThatPath) {
  auto old = listen();
  ASSERT_TRUE(old);
  ListenOptions options;
  options.inherited_fd = (*old)->inheritable_fds().front();
  const auto other = all.listen(loop, *Address::parse("unix:///tmp/other"), options);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().detail, HasSubstr("not on unix:///tmp/other"));
}

TEST_F(UnixTest, DialErrorsTellWhatIsThere) {
  const auto error = [&](const std::string& address) {
    DialOutcome outcome;
    dial_into(outcome, all, loop, address);
    EXPECT_FALSE(outcome.done()) << "called back from inside dial()";
    loop.drain();
    return outcome.error();
  };
  EXPECT_THAT(error("unix://" + path), StartsWith("not_found: cannot connect to unix://" + path));
  leave_dead_socket();
  EXPECT_THAT(error("unix://" + path), StartsWith("refused:"));
  EXPECT_THAT(error("unix://@wayport-nobody"), StartsWith("refused:"));
  EXPECT_THAT(error("unix://" + path + "?mode=0600"), HasSubstr("unknown parameter \"mode\""));
  EXPECT_THAT(error("unix:///" + std::string(107, 'x')), StartsWith("too_large:"));
}

TEST_F(UnixTest, BadListenersAreRefusedByName) {
  const auto error = [&](const std::string& address) {
    const auto listener = all.listen(loop, *Address::parse(address), {});
    return listener ? "" : listener.error().to_string();
  };
  EXPECT_THAT(error("unix://" + path + "?mode=rw"), HasSubstr("mode=rw is not an octal number"));
  EXPECT_THAT(error("unix://" + path + "?mode=7777"), HasSubstr("mode=7777"));
  EXPECT_THAT(error("unix://" + path + "?backlog=1"), HasSubstr("unknown parameter \"backlog\""));
  EXPECT_THAT(error("unix://@x?mode=0600"), HasSubstr("abstract"));
  EXPECT_THAT(error("unix:///nonexistent-directory/s"), HasSubstr("bind /nonexistent-directory/s"));
}

TEST_F(UnixTest, AFullBacklogIsWaitedForUntilTheTimeIsOver) {
  ManualClock clock;
  Loop manual({.clock = &clock});
  ListenOptions options;
  options.backlog = 0;
  auto listener = all.listen(manual, *Address::parse("unix://" + path), options);
  ASSERT_TRUE(listener);
  DialOutcome first, late, patient;
  dial_into(first, all, manual, "unix://" + path);
  dial_into(late, all, manual, "unix://" + path, {.timeout = 1s});
  dial_into(patient, all, manual, "unix://" + path, {.timeout = 10s});
  manual.advance(999ms);
  EXPECT_TRUE(first.done());
  EXPECT_FALSE(late.done());
  manual.advance(2ms);
  EXPECT_THAT(late.error(), StartsWith("timed_out:"));
  EXPECT_FALSE(patient.done());
  (*listener)->start([](std::unique_ptr<Incoming>) {});
  manual.advance(20ms);
  EXPECT_TRUE(patient.done() && *patient.result);
}

TEST(UnixPath, IdentitiesAreOfSocketsOnly) {
  EXPECT_FALSE(socket_file("/dev/null"));
  EXPECT_FALSE(socket_file("/nonexistent"));
}

}  // namespace
}  // namespace wayport::transport
