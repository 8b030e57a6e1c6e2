#include "wayport/base/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>

#include "wayport/base/bytes.h"

namespace wayport {

void Fd::reset() noexcept {
  // Linux closes even when it reports EINTR; nothing can be done about other errors.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<void> set_nonblocking(int fd, bool on) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return fail(system_error(errno, "fcntl(F_GETFL) of descriptor " + std::to_string(fd)));
  const int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (wanted != flags && ::fcntl(fd, F_SETFL, wanted) < 0) {
    return fail(system_error(errno, "fcntl(F_SETFL) of descriptor " + std::to_string(fd)));
  }
  return {};
}

Result<void> set_close_on_exec(int fd, bool on) {
  const int flags = ::fcntl(fd, F_GETFD);
  if (flags < 0) return fail(system_error(errno, "fcntl(F_GETFD) of descriptor " + std::to_string(fd)));
  const int wanted = on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC;
  if (wanted != flags && ::fcntl(fd, F_SETFD, wanted) < 0) {
    return fail(system_error(errno, "fcntl(F_SETFD) of descriptor " + std::to_string(fd)));
  }
  return {};
}

int pending_error(int fd) noexcept {
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

Result<SocketAddress> local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) < 0)
    return fail(system_error(errno, "getsockname"));
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&storage), size);
}

Result<SocketAddress> remote_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) < 0)
    return fail(system_error(errno, "getpeername"));
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&storage), size);
}

SocketAddress SocketAddress::from(const sockaddr* address, socklen_t size) {
  SocketAddress result;
  // Copied out, because the caller's bytes need not be aligned for the real type.
  if (address == nullptr || size < sizeof(sa_family_t)) return result;
  sa_family_t family = 0;
  std::memcpy(&family, address, sizeof(family));
  if (family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof(v4));
    result.family_ = AF_INET;
    result.port_ = ntohs(v4.sin_port);
    std::memcpy(result.ip_, &v4.sin_addr, 4);
  } else if (family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6;
    std::memcpy(&v6, address, sizeof(v6));
    result.family_ = AF_INET6;
    result.port_ = ntohs(v6.sin6_port);
    result.scope_ = v6.sin6_scope_id;
    std::memcpy(result.ip_, &v6.sin6_addr, 16);
  } else if (family == AF_UNIX) {
    result.family_ = AF_UNIX;
    const std::size_t offset = offsetof(sockaddr_un, sun_path);
    if (size > offset) {
      const char* path = reinterpret_cast<const char*>(address) + offset;
      std::string_view raw(path, std::min<std::size_t>(size - offset, sizeof(sockaddr_un{}.sun_path)));
      // A path ends at its NUL, if it has one; a name in the abstract space is as long as it is.
      if (raw[0] != '\0') raw = raw.substr(0, raw.find('\0'));
      result.unix_ = raw;
    }
  }
  return result;
}

Result<SocketAddress> SocketAddress::from_ip(std::string_view ip, std::uint16_t port) {
  SocketAddress result;
  result.port_ = port;
  const std::string text(ip.substr(0, ip.find('%')));
  if (::inet_pton(AF_INET, text.c_str(), result.ip_) == 1 && text.size() == ip.size()) {
    result.family_ = AF_INET;
    return result;
  }
  if (text.find('\0') != std::string::npos || ::inet_pton(AF_INET6, text.c_str(), result.ip_) != 1) {
    return fail(ErrorCode::invalid_argument, "\"" + escape(ip) + "\" is no IP address");
  }
  result.family_ = AF_INET6;
  if (text.size() < ip.size()) {
    const std::string zone(ip.substr(text.size() + 1));
    const char* const end = zone.data() + zone.size();
    const auto [stop, error] = std::from_chars(zone.data(), end, result.scope_);
    if (error != std::errc() || stop != end) result.scope_ = ::if_nametoindex(zone.c_str());
    if (result.scope_ == 0) return fail(ErrorCode::not_found, "\"" + escape(ip) + "\": no such network interface");
  }
  return result;
}

Result<SocketAddress> SocketAddress::from_unix(std::string_view path) {
  constexpr std::size_t kBytesMax = sizeof(sockaddr_un{}.sun_path) - 1;
  if (path.empty()) return fail(ErrorCode::invalid_argument, "the path of a unix socket is empty");
  if (path.size() > kBytesMax) {
    return fail(ErrorCode::too_large, "unix socket path \"" + escape(path) + "\" has " + std::to_string(path.size()) +
                                          " bytes, the system allows " + std::to_string(kBytesMax));
  }
  if (path.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::invalid_argument, "unix socket path \"" + escape(path) + "\" contains a NUL");
  }
  SocketAddress result;
  result.family_ = AF_UNIX;
  result.unix_ = path;
  if (path[0] == '@') result.unix_[0] = '\0';
  return result;
}

std::uint16_t SocketAddress::port() const noexcept { return port_; }

std::string SocketAddress::ip() const {
  if (family_ != AF_INET && family_ != AF_INET6) return {};
  char text[INET6_ADDRSTRLEN];
  std::string result = ::inet_ntop(family_, ip_, text, sizeof(text));
  if (scope_ != 0) {
    char name[IF_NAMESIZE];
    result += '%';
    result += ::if_indextoname(scope_, name) != nullptr ? std::string(name) : std::to_string(scope_);
  }
  return result;
}

std::string SocketAddress::to_string() const {
  switch (family_) {
    case AF_INET:
      return ip() + ":" + std::to_string(port_);
    case AF_INET6:
      return "[" + ip() + "]:" + std::to_string(port_);
    case AF_UNIX: {
      std::string text = unix_;
      if (text.starts_with('\0')) text[0] = '@';
      return text;
    }
    default:
      return {};
  }
}

socklen_t SocketAddress::store(sockaddr_storage& to) const noexcept {
  std::memset(&to, 0, sizeof(to));
  switch (family_) {
    case AF_INET: {
      auto& v4 = reinterpret_cast<sockaddr_in&>(to);
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port_);
      std::memcpy(&v4.sin_addr, ip_, 4);
      return sizeof(sockaddr_in);
    }
    case AF_INET6: {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(to);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port_);
      v6.sin6_scope_id = scope_;
      std::memcpy(&v6.sin6_addr, ip_, 16);
      return sizeof(sockaddr_in6);
    }
    case AF_UNIX: {
      auto& un = reinterpret_cast<sockaddr_un&>(to);
      un.sun_family = AF_UNIX;
      std::memcpy(un.sun_path, unix_.data(), unix_.size());
      const bool path = !unix_.empty() && unix_[0] != '\0';
      return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + unix_.size() + (path ? 1 : 0));
    }
    default:
      return 0;
  }
}

}  // namespace wayport
