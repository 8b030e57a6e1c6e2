// The bare minimum that the link gateway is measured against: epoll_wait, one read of all that is there, each frame
// copied once into its receiver's output by the id that it carries, one write per receiver and turn. No limits, no
// authentication, no idle time, one server.
//
//   client --frames--> RawLinkGateway --frames--> server        the wire of spec/link.md, as far as Dial, Ping and data
#pragma once

#include <cstdint>
#include <thread>

#include "wayport/base/socket.h"

namespace wayport::tools {

// Listens on two ports of 127.0.0.1, and serves all connections on a thread of its own.
class RawLinkGateway {
 public:
  // Throws std::system_error.
  RawLinkGateway();
  ~RawLinkGateway();
  RawLinkGateway(const RawLinkGateway&) = delete;
  RawLinkGateway& operator=(const RawLinkGateway&) = delete;

  std::uint16_t client_port() const noexcept { return client_port_; }
  std::uint16_t server_port() const noexcept { return server_port_; }

 private:
  void serve();

  Fd clients_;
  Fd servers_;
  Fd stop_;
  std::uint16_t client_port_ = 0;
  std::uint16_t server_port_ = 0;
  std::thread thread_;
};

}  // namespace wayport::tools
