#include "wayport/transport/sockets.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace wayport::transport {
namespace {

std::string inherited(int fd) { return "inherited descriptor " + std::to_string(fd); }

Result<int> get_option(int fd, int option) {
  int value = 0;
  socklen_t size = sizeof(value);
  if (::getsockopt(fd, SOL_SOCKET, option, &value, &size) != 0) return fail(system_error(errno, inherited(fd)));
  return value;
}

}  // namespace

Result<Fd> open_stream_socket(int family) {
  Fd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail(connect_error(errno, "socket"));
  return fd;
}

Result<void> set_option(int fd, int level, int option, int value, std::string_view name) {
  if (::setsockopt(fd, level, option, &value, sizeof(value)) == 0) return {};
  return fail(system_error(errno, "socket option " + std::string(name) + "=" + std::to_string(value)));
}

SocketAddress kernel_address(const sockaddr_storage& address, socklen_t size) {
  if (address.ss_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = v6.sin6_port;
      std::memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, 4);
      return SocketAddress::from(reinterpret_cast<const sockaddr*>(&v4), sizeof(v4));
    }
  }
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&address), size);
}

SocketAddress own_address(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return kernel_address(address, size);
}

Result<Fd> take_listening_socket(int fd, std::initializer_list<int> families) {
  WAYPORT_TRY_ASSIGN(const int family, get_option(fd, SO_DOMAIN));
  WAYPORT_TRY_ASSIGN(const int type, get_option(fd, SO_TYPE));
  WAYPORT_TRY_ASSIGN(const int listening, get_option(fd, SO_ACCEPTCONN));
  if (std::ranges::find(families, family) == families.end() || type != SOCK_STREAM) {
    return fail(ErrorCode::invalid_argument, inherited(fd) + " is a socket of another kind (family " +
                                                 std::to_string(family) + ", type " + std::to_string(type) + ")");
  }
  if (!listening) return fail(ErrorCode::invalid_argument, inherited(fd) + " does not listen");
  WAYPORT_TRY(set_nonblocking(fd));
  WAYPORT_TRY(set_close_on_exec(fd));
  return Fd(fd);
}

Error connect_error(int errno_value, std::string_view what) {
  Error error = system_error(errno_value, what);
  switch (errno_value) {
    case ECONNREFUSED:
    case ECONNRESET:
    case EACCES:
    case EPERM:
      error.code = ErrorCode::refused;
      break;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      error.code = ErrorCode::unreachable;
      break;
    case ETIMEDOUT:
      error.code = ErrorCode::timed_out;
      break;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      error.code = ErrorCode::overloaded;
      break;
    case ENOENT:
      error.code = ErrorCode::not_found;
      break;
    default:
      error.code = ErrorCode::io;
  }
  return error;
}

}  // namespace wayport::transport
