// What the raw programs of the benchmarks are made of, below any framing: an epoll set, and output that leaves in one
// write. One thread each.
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"

namespace wayport::tools {

// Whoever waits for a peer gives up then.
inline constexpr int kRawPatienceMs = 20'000;

// Throws std::system_error with errno.
void check(bool good, const char* what);

// As the transports set their sockets.
void tune_tcp(int fd);

// A socket that listens on a free port of 127.0.0.1, tuned. Throws.
Fd listen_on_loopback();
// Throws as well.
std::uint16_t port_of(int fd);
// To a port of 127.0.0.1, blocking, tuned; `receive_bytes` above 0: of the kernel's receive buffer.
Result<Fd> connect_to_port(std::uint16_t port, int receive_bytes = 0);

// A level-triggered epoll set.
class Poll {
 public:
  Poll();
  void add(int fd) { control(EPOLL_CTL_ADD, fd, EPOLLIN); }
  void want_output(int fd, bool on) { control(EPOLL_CTL_MOD, fd, EPOLLIN | (on ? EPOLLOUT : 0u)); }
  // `timeout_ms` below 0: none. data.fd tells them apart; lives until the next call.
  std::span<const epoll_event> wait(int timeout_ms = -1);

 private:
  void control(int operation, int fd, std::uint32_t events);

  Fd set_;
  epoll_event events_[256];
};

// Bytes that wait for one non-blocking socket. Takes memory with the first byte, and keeps it.
class RawOutput {
 public:
  // Where `size` more bytes go; until the next call.
  std::byte* append(std::size_t size) {
    if (room_ - end_ < size) grow(size);
    std::byte* const at = bytes_.get() + end_;
    end_ += size;
    return at;
  }
  std::size_t waiting() const noexcept { return end_ - sent_; }
  // The last flush() left something.
  bool blocked() const noexcept { return blocked_; }

  // One write. False if the connection is broken.
  bool flush(int fd);

 private:
  void grow(std::size_t size);

  std::unique_ptr<std::byte[]> bytes_;  // not a vector, which would clear what is about to be written
  std::size_t room_ = 0;
  std::size_t end_ = 0;
  std::size_t sent_ = 0;
  bool blocked_ = false;
};

}  // namespace wayport::tools
