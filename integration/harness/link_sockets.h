// Blocking sockets of the loopback for the tests of links. Nothing here waits for more than kSocketPatience.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include "wayport/base/socket.h"

namespace wayport::harness::testing {

inline constexpr std::chrono::seconds kSocketPatience{20};

// Bound to a port of 127.0.0.1, and listening if it is a stream.
inline Fd bound_socket(int type) {
  Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const timeval patience{kSocketPatience.count(), 0};
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  sockaddr_storage name{};
  const socklen_t size = SocketAddress::from_ip("127.0.0.1", 0)->store(name);
  WAYPORT_ASSERT(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0, "bind");
  if (type == SOCK_STREAM) WAYPORT_ASSERT(::listen(fd.get(), 16) == 0, "listen");
  return fd;
}
inline std::uint16_t port_of(const Fd& fd) { return local_address(fd.get())->port(); }

inline Fd connected_socket(int type, std::uint16_t port) {
  Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const timeval patience{kSocketPatience.count(), 0};
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  sockaddr_storage name{};
  const socklen_t size = SocketAddress::from_ip("127.0.0.1", port)->store(name);
  WAYPORT_ASSERT(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0, "connect");
  return fd;
}

inline void send_text(const Fd& fd, std::string_view text) {
  WAYPORT_ASSERT(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()), "send");
}
// "end" at the end of a stream, "error: ..." else.
inline std::string receive_text(const Fd& fd, int flags = 0) {
  char text[65536];
  const ssize_t size = ::recv(fd.get(), text, sizeof(text), flags);
  if (size < 0) return "error: " + std::error_code(errno, std::system_category()).message();
  return size == 0 ? "end" : std::string(text, static_cast<std::size_t>(size));
}

}  // namespace wayport::harness::testing
