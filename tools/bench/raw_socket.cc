#include "wayport/tools/bench/raw_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace wayport::tools {
namespace {

constexpr std::size_t kRoomBytesMin = 4096;

}  // namespace

void check(bool good, const char* what) {
  if (!good) throw std::system_error(errno, std::system_category(), what);
}

void tune_tcp(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

Fd listen_on_loopback() {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  check(static_cast<bool>(fd), "socket");
  tune_tcp(fd.get());
  sockaddr_storage address{};
  const socklen_t size = SocketAddress::from_ip("127.0.0.1", 0).value().store(address);
  check(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0, "bind");
  check(::listen(fd.get(), SOMAXCONN) == 0, "listen");
  return fd;
}

std::uint16_t port_of(int fd) {
  const Result<SocketAddress> bound = local_address(fd);
  if (!bound) throw std::runtime_error(bound.error().to_string());
  return bound->port();
}

Result<Fd> connect_to_port(std::uint16_t port, int receive_bytes) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(system_error(errno, "socket"));
  tune_tcp(fd.get());
  if (receive_bytes > 0) ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
  WAYPORT_TRY_ASSIGN(const SocketAddress to, SocketAddress::from_ip("127.0.0.1", port));
  sockaddr_storage address{};
  const socklen_t size = to.store(address);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    return fail(system_error(errno, "connect to " + to.to_string()));
  }
  return fd;
}

Poll::Poll() : set_(::epoll_create1(EPOLL_CLOEXEC)) { check(static_cast<bool>(set_), "epoll_create1"); }

std::span<const epoll_event> Poll::wait(int timeout_ms) {
  const int ready = ::epoll_wait(set_.get(), events_, std::size(events_), timeout_ms);
  return {events_, static_cast<std::size_t>(std::max(ready, 0))};
}

void Poll::control(int operation, int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  check(::epoll_ctl(set_.get(), operation, fd, &event) == 0, "epoll_ctl");
}

bool RawOutput::flush(int fd) {
  if (sent_ == end_) return true;
  const ssize_t sent = ::send(fd, bytes_.get() + sent_, end_ - sent_, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
  sent_ += static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
  blocked_ = sent_ != end_;
  if (!blocked_) sent_ = end_ = 0;
  return true;
}

void RawOutput::grow(std::size_t size) {
  const std::size_t waiting = end_ - sent_;
  if (const std::size_t room = std::max(2 * (waiting + size), kRoomBytesMin); room > room_) {
    auto larger = std::make_unique_for_overwrite<std::byte[]>(room);
    if (waiting != 0) std::memcpy(larger.get(), bytes_.get() + sent_, waiting);
    bytes_ = std::move(larger);
    room_ = room;
  } else {
    std::memmove(bytes_.get(), bytes_.get() + sent_, waiting);
  }
  sent_ = 0;
  end_ = waiting;
}

}  // namespace wayport::tools
