// What a tcp address says about its sockets.
//
//   nodelay=1         send small writes at once (default 1)
//   keepalive=30s     idle time until the kernel asks whether the peer lives; 3 questions, a third of it apart
//                     (default 30s; 0: never)
//   congestion=reno   congestion control by name (default: the system's)
//   sndbuf, rcvbuf    kernel buffers, bytes (default: the system tunes them)
//   reuse_port=1      listeners: several sockets on one port (default 0: a restart would reset what waits in one of them)
//   v6only=1          listeners on [::]: no IPv4 (default 0)
#pragma once

#include <optional>
#include <string>

#include "wayport/base/socket.h"
#include "wayport/base/time.h"
#include "wayport/transport/address.h"

namespace wayport::transport {

struct TcpOptions {
  bool nodelay = true;
  Duration keepalive = std::chrono::seconds(30);
  std::string congestion;
  std::optional<std::size_t> sndbuf;
  std::optional<std::size_t> rcvbuf;
  bool reuse_port = false;
  bool v6only = false;

  static Result<TcpOptions> for_dial(const Address& address);
  static Result<TcpOptions> for_listen(const Address& address);

  // To a socket before connect() or listen(); accepted sockets inherit them (Linux), so accepting costs no extra calls.
  Result<void> apply(int fd) const;
};

}  // namespace wayport::transport
