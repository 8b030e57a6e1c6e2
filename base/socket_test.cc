#include "wayport/base/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace wayport {
namespace {

SocketAddress through_the_kernel_type(const SocketAddress& address) {
  sockaddr_storage storage;
  const socklen_t size = address.store(storage);
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&storage), size);
}

TEST(Fd, ClosesOnceAndHandsOver) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd read(ends[0]);
  {
    Fd write(ends[1]);
    Fd moved(std::move(write));
    EXPECT_FALSE(write);
    EXPECT_EQ(moved.get(), ends[1]);
  }
  char byte;
  EXPECT_EQ(::read(read.get(), &byte, 1), 0) << "the other end is closed";
  Fd released(::dup(read.get()));
  const int fd = released.release();
  EXPECT_FALSE(released);
  EXPECT_EQ(::close(fd), 0);
}

TEST(SocketAddress, PrintsAndStoresIpAddresses) {
  const std::pair<const char*, const char*> cases[] = {
      {"127.0.0.1", "127.0.0.1:80"},
      {"0.0.0.0", "0.0.0.0:80"},
      {"::1", "[::1]:80"},
      {"::", "[::]:80"},
      {"2001:db8::7", "[2001:db8::7]:80"},
      {"::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80"},
  };
  for (const auto& [ip, printed] : cases) {
    const auto address = SocketAddress::from_ip(ip, 80);
    ASSERT_TRUE(address) << ip;
    EXPECT_EQ(address->ip(), ip);
    EXPECT_EQ(address->port(), 80);
    EXPECT_EQ(address->to_string(), printed);
    EXPECT_EQ(through_the_kernel_type(*address), *address);
  }
}

TEST(SocketAddress, KnowsTheInterfaceOfALinkLocalAddress) {
  const auto address = SocketAddress::from_ip("fe80::1%lo", 1);
  ASSERT_TRUE(address);
  EXPECT_EQ(address->to_string(), "[fe80::1%lo]:1");
  EXPECT_EQ(SocketAddress::from_ip("fe80::1%1", 1)->to_string(), "[fe80::1%lo]:1");
  EXPECT_EQ(through_the_kernel_type(*address), *address);
  EXPECT_EQ(SocketAddress::from_ip("fe80::1%nosuch", 1).error().code, ErrorCode::not_found);
}

TEST(SocketAddress, RefusesWhatIsNoIpAddress) {
  for (const char* text : {"", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4%lo", "[::1]",
                           ":::", "::1%", "1.2.3.4 ", " ::1"}) {
    EXPECT_FALSE(SocketAddress::from_ip(text, 1)) << text;
  }
  EXPECT_FALSE(SocketAddress::from_ip(std::string_view("::1\0", 4), 1));
}

TEST(SocketAddress, KeepsUnixPathsUpToTheSystemsLength) {
  const std::string longest = "/" + std::string(106, 'x');
  for (const std::string& path : {std::string("/run/a.sock"), std::string("relative"), longest}) {
    const auto address = SocketAddress::from_unix(path);
    ASSERT_TRUE(address) << path;
    EXPECT_EQ(address->to_string(), path);
    EXPECT_EQ(through_the_kernel_type(*address), *address);
  }
  EXPECT_EQ(SocketAddress::from_unix(longest + "x").error().code, ErrorCode::too_large);
  EXPECT_FALSE(SocketAddress::from_unix(""));
  EXPECT_FALSE(SocketAddress::from_unix(std::string_view("a\0b", 3)));
}

TEST(SocketAddress, KnowsAbstractAndUnnamedSockets) {
  const auto address = SocketAddress::from_unix("@wayport");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->to_string(), "@wayport");
  sockaddr_storage storage;
  EXPECT_EQ(address->store(storage), offsetof(sockaddr_un, sun_path) + 8)
      << "no trailing NUL: it would be part of the name";
  EXPECT_EQ(through_the_kernel_type(*address), *address);
  sockaddr_un unnamed{};
  unnamed.sun_family = AF_UNIX;
  EXPECT_EQ(SocketAddress::from(reinterpret_cast<const sockaddr*>(&unnamed), sizeof(sa_family_t)).to_string(), "");
}

TEST(SocketAddress, IsEmptyForSizesAndFamiliesThatMakeNoSense) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  for (const socklen_t size : {socklen_t{0}, socklen_t{1}, socklen_t{15}}) {
    EXPECT_EQ(SocketAddress::from(reinterpret_cast<const sockaddr*>(&v4), size).family(), AF_UNSPEC);
  }
  v4.sin_family = 250;
  EXPECT_EQ(SocketAddress::from(reinterpret_cast<const sockaddr*>(&v4), sizeof(v4)).family(), AF_UNSPEC);
  sockaddr_storage storage;
  EXPECT_EQ(SocketAddress().store(storage), 0u);
  EXPECT_EQ(SocketAddress().to_string(), "");
}

TEST(SocketHelpers, ReadAddressesFlagsAndErrors) {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage;
  const socklen_t size = SocketAddress::from_ip("127.0.0.1", 0)->store(storage);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&storage), size), 0);
  const auto bound = local_address(listener.get());
  ASSERT_TRUE(bound);
  EXPECT_EQ(bound->ip(), "127.0.0.1");
  EXPECT_NE(bound->port(), 0);
  EXPECT_FALSE(remote_address(listener.get()));

  // Nobody listens: the refusal is stored in the socket and taken from there once.
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(set_nonblocking(client.get()));
  EXPECT_TRUE(::fcntl(client.get(), F_GETFL) & O_NONBLOCK);
  ASSERT_TRUE(set_nonblocking(client.get(), false));
  EXPECT_FALSE(::fcntl(client.get(), F_GETFL) & O_NONBLOCK);
  ASSERT_TRUE(set_close_on_exec(client.get(), false));
  EXPECT_EQ(::fcntl(client.get(), F_GETFD), 0);
  EXPECT_EQ(pending_error(client.get()), 0);
  EXPECT_EQ(pending_error(-1), EBADF);
  EXPECT_FALSE(set_nonblocking(-1));
}

}  // namespace
}  // namespace wayport
