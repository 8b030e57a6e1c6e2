// Owned descriptors and socket addresses: the two kernel things that every transport needs.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/base/result.h"

namespace wayport {

// Owns a descriptor and closes it.
class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

// An IPv4, IPv6 or Unix socket address in at most 32 bytes inline; long Unix paths are kept in a string.
class SocketAddress {
 public:
  SocketAddress() noexcept = default;
  static SocketAddress from(const sockaddr* address, socklen_t size);
  // "127.0.0.1" or "::1" (also "::1%lo"), no names.
  static Result<SocketAddress> from_ip(std::string_view ip, std::uint16_t port);
  // Path, or "@name" for the abstract name space. too_large above 107 bytes.
  static Result<SocketAddress> from_unix(std::string_view path);

  int family() const noexcept { return family_; }  // AF_UNSPEC when empty
  std::uint16_t port() const noexcept;
  std::string ip() const;         // without brackets and port; empty for unix
  std::string to_string() const;  // "1.2.3.4:5", "[::1]:5", "/path", "@name"; "" for an unnamed unix socket
  // Fills `to`; returns the size to pass to bind or connect.
  socklen_t store(sockaddr_storage& to) const noexcept;

  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;

 private:
  int family_ = AF_UNSPEC;
  std::uint16_t port_ = 0;
  std::uint32_t scope_ = 0;
  unsigned char ip_[16] = {};
  std::string unix_;  // raw sun_path bytes, leading NUL for abstract
};

Result<void> set_nonblocking(int fd, bool on = true);
Result<void> set_close_on_exec(int fd, bool on = true);
// The error that a socket has stored (SO_ERROR), which reading clears; 0 if none. How a non-blocking connect went.
int pending_error(int fd) noexcept;
Result<SocketAddress> local_address(int fd);
Result<SocketAddress> remote_address(int fd);

}  // namespace wayport
