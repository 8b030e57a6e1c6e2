// The test plays systemd: it owns the notify socket.
#include "wayport/base/service_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace wayport {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class Manager {
 public:
  explicit Manager(const std::string& name) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage address{};
    const socklen_t size = SocketAddress::from_unix(name)->store(address);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  }
  std::string received() {
    char text[8192];
    const ssize_t size = ::recv(fd_.get(), text, sizeof(text), MSG_DONTWAIT);
    return size < 0 ? "nothing" : std::string(text, static_cast<std::size_t>(size));
  }

 private:
  Fd fd_;
};

ServiceManager from(const char* socket) {
  ::setenv("NOTIFY_SOCKET", socket, 1);
  const Result<ServiceManager> manager = ServiceManager::from_environment();
  EXPECT_TRUE(manager) << manager.error().to_string();
  return manager ? *manager : ServiceManager();
}

TEST(ServiceManager, TellsStatesToPathsAndAbstractNames) {
  const std::string path = std::string("/tmp/wayport-notify-") + std::to_string(::getpid());
  for (const std::string& name : {path, std::string("@wayport-notify-test")}) {
    Manager systemd(name);
    const ServiceManager manager = from(name.c_str());
    EXPECT_TRUE(manager);
    EXPECT_TRUE(manager.ready());
    EXPECT_EQ(systemd.received(), "READY=1");
    EXPECT_TRUE(manager.ready("serving"));
    EXPECT_EQ(systemd.received(), "READY=1\nSTATUS=serving");
    EXPECT_TRUE(manager.reloading());
    EXPECT_THAT(systemd.received(), MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+"));
    EXPECT_TRUE(manager.main_pid(4711));
    EXPECT_EQ(systemd.received(), "MAINPID=4711\nREADY=1");
    EXPECT_TRUE(manager.status("draining"));
    EXPECT_EQ(systemd.received(), "STATUS=draining");
    EXPECT_TRUE(manager.stopping());
    EXPECT_EQ(systemd.received(), "STOPPING=1");
    EXPECT_EQ(systemd.received(), "nothing");
  }
  ::unlink(path.c_str());
}

TEST(ServiceManager, WithoutAManagerEverythingSucceedsAndDoesNothing) {
  ::unsetenv("NOTIFY_SOCKET");
  for (const bool empty : {false, true}) {
    if (empty) ::setenv("NOTIFY_SOCKET", "", 1);
    const Result<ServiceManager> manager = ServiceManager::from_environment();
    ASSERT_TRUE(manager);
    EXPECT_FALSE(*manager);
    EXPECT_TRUE(manager->ready());
    EXPECT_TRUE(manager->main_pid(1));
  }
}

TEST(ServiceManager, RefusesWhatIsNoUnixSocket) {
  for (const std::string& bad : {std::string("relative/path"), std::string("vsock:2:1234"), std::string("/"),
                                 std::string("@"), "/" + std::string(200, 'x')}) {
    ::setenv("NOTIFY_SOCKET", bad.c_str(), 1);
    const Result<ServiceManager> manager = ServiceManager::from_environment();
    ASSERT_FALSE(manager) << bad;
    EXPECT_THAT(manager.error().detail, HasSubstr("NOTIFY_SOCKET"));
  }
}

TEST(ServiceManager, SaysThatNobodyListens) {
  const Result<void> sent = from("/nonexistent/notify").ready();
  ASSERT_FALSE(sent);
  EXPECT_THAT(sent.error().to_string(), HasSubstr("/nonexistent/notify"));
}

TEST(ServiceManager, AMessageIsOneLineAndHasABound) {
  Manager systemd("@wayport-notify-bound");
  const ServiceManager manager = from("@wayport-notify-bound");
  EXPECT_TRUE(manager.send(std::string(ServiceManager::kMessageBytesMax, 'X')));
  EXPECT_EQ(systemd.received().size(), ServiceManager::kMessageBytesMax);
  const Result<void> longer = manager.send(std::string(ServiceManager::kMessageBytesMax + 1, 'X'));
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, ErrorCode::too_large);
  EXPECT_FALSE(manager.status("a\nMAINPID=1"));
  EXPECT_FALSE(manager.ready("a\nMAINPID=1"));
  EXPECT_EQ(systemd.received(), "nothing");
}

}  // namespace
}  // namespace wayport
