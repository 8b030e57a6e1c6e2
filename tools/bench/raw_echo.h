// The bare minimum that any framework is measured against: frames with a 4-byte length, epoll_wait, one read of all
// that is there, one write of all replies. No handlers, no codecs, no limits.
//
//   frame = length:u32be (of what follows) payload; the first 8 bytes of a payload are its number
//
// A connection begins with the size of the frames that the server shall answer with: u32be.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <thread>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/tools/bench/load.h"

namespace wayport::tools {

inline constexpr std::size_t kRawFrameBytesMin = 12;

// Listens on a port of 127.0.0.1 and on an abstract Unix socket, and serves all connections on a thread of its own.
class RawEchoServer {
 public:
  // `unix_name` without "@". Throws std::system_error.
  explicit RawEchoServer(const std::string& unix_name);
  ~RawEchoServer();
  RawEchoServer(const RawEchoServer&) = delete;
  RawEchoServer& operator=(const RawEchoServer&) = delete;

  std::uint16_t port() const noexcept { return port_; }

 private:
  void serve();

  Fd tcp_;
  Fd unix_;
  Fd stop_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

// `where`: an address of RawEchoServer, "@name" or "port". Frames are at least kRawFrameBytesMin.
Result<std::unique_ptr<LoadClient>> connect_raw_echo(const std::string& where, std::size_t request_bytes,
                                                     std::size_t reply_bytes);
// The same load for whoever echoes bytes at the other end of `fd`, which is told nothing first: frames come back as they
// were.
std::unique_ptr<LoadClient> raw_frames_client(Fd fd, std::size_t frame_bytes);

}  // namespace wayport::tools
