// Packets over a stream without a peer: what framing and transport cost before there are sessions, handlers and calls.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "wayport/base/result.h"
#include "wayport/tools/bench/exchange.h"
#include "wayport/tools/bench/load.h"
#include "wayport/transport/transports.h"

namespace wayport::tools {

// Answers pulls with replies, as a peer with the routes /echo and /sum would, on a loop of its own.
class PacketServer {
 public:
  PacketServer();
  ~PacketServer();
  PacketServer(const PacketServer&) = delete;
  PacketServer& operator=(const PacketServer&) = delete;

  // The address with the port that was bound. Any thread but the server's.
  Result<std::string> listen(const std::string& address);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
  std::thread thread_;
};

Result<std::unique_ptr<LoadClient>> connect_packets(const std::string& address, const Exchange& exchange);

}  // namespace wayport::tools
