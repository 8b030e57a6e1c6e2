// RawLink: one end of the link protocol on a blocking socket, one frame at a time: what an old client or server does, as
// plain as can be. For tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/base/socket.h"
#include "wayport/framing/link/packet.h"

namespace wayport::gateway::testing {

class RawLink {
 public:
  // "127.0.0.1:4900". Not connected if nobody listens.
  explicit RawLink(const std::string& place);
  bool connected() const { return static_cast<bool>(socket_); }

  // A server shows that it knows the key.
  void authenticate(std::string_view key, std::uint32_t id);
  void send(const link::Command& command);
  void send(std::uint32_t connection, std::string_view message);
  // The next frame as text: "Accept 1 7", "Connect 1 1", "Refuse 7", "Close 1", "Ping", "Data 1 hello". "end" at the
  // end, "nothing" after some seconds.
  std::string next();

 private:
  void write(Bytes bytes);
  bool read(MutableBytes bytes);

  Fd socket_;
  bool ended_ = false;
};

}  // namespace wayport::gateway::testing
