// wayport's harness in another repository: a gateway process, a link that is cut, and a plain socket as its client.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "wayport/base/socket.h"
#include "wayport/integration/harness/gateway.h"
#include "wayport/integration/harness/tcp_link.h"

namespace {

using wayport::Fd;
using wayport::SocketAddress;
using wayport::harness::Gateway;
using wayport::harness::port_of;
using wayport::harness::TcpLink;

Fd connect_to(std::uint16_t port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{20, 0};
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  sockaddr_storage name{};
  const socklen_t size = SocketAddress::from_ip("127.0.0.1", port)->store(name);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
  return fd;
}

std::string get_ready(std::uint16_t port) {
  const Fd fd = connect_to(port);
  const std::string request = "GET /readyz HTTP/1.1\r\nHost: gateway\r\n\r\n";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "cut";
  char answer[4096];
  const ssize_t size = ::recv(fd.get(), answer, sizeof(answer), 0);
  return size <= 0 ? "cut" : std::string(answer, static_cast<std::size_t>(size));
}

TEST(Harness, AGatewayIsReachedThroughALinkThatCanBeCut) {
  auto gateway = Gateway::start({.config = R"(
    [link]
    client_address = "127.0.0.1:0"
    server_address = "127.0.0.1:0"
    server_auth_key = "key"
    [admin]
    address = "127.0.0.1:0"
  )"});
  ASSERT_TRUE(gateway.has_value()) << gateway.error().to_string();
  auto link = TcpLink::start("127.0.0.1", port_of((*gateway)->admin()), {.both = "delay=2ms"});
  ASSERT_TRUE(link.has_value()) << link.error().to_string();

  EXPECT_TRUE(get_ready((*link)->port()).starts_with("HTTP/1.1 200 "));
  (*link)->cut();
  EXPECT_EQ(get_ready((*link)->port()), "cut");
  (*link)->restore();
  EXPECT_TRUE(get_ready((*link)->port()).starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(*(*gateway)->stop(), 0) << (*gateway)->log();
}

}  // namespace
