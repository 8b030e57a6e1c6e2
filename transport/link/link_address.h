// What a link address says: link+tcp://gateway:7001/42. The last segment of the path is an id; what is in front of it is
// the path of the layer below (link+unix:///run/gateway.sock/42). Parameters that are not of link belong to the layers
// below; link:// alone is over tcp.
//
// Dialing:   link+tcp://gateway:7001/42                          as a client, server 42
//            link+tcp://gateway:7002/9?server=42&key_file=F      as server 42, client 9
// Listening: link+tcp://gateway:7002/42?key_file=F               as server 42, whom clients dial
//
// Parameters:
//   server=ID           dial as this server, on the gateway's server side
//   key_file=FILE       the gateway's ServerAuthKey, without the line break at its end; read at each connection. Servers
//                       need it (an empty file is the empty key). Given twice, the second is of the layer below; for a
//                       client all are
//   packet=512KiB       MaxPacket of the gateway
//   ping=10s            ping_interval; 0: never
//   ping_timeout=10s
//   idle=30s            gateway_idle_timeout: what the gateway has, against which `ping` is checked; 0: none
//   queue=1MiB          bytes of a virtual connection that may be unread, and that may be unsent
//   queue_messages=1024 messages of the same
//   slow=close          receive_policy: close, pause, cut. A dialing client has a physical connection for itself alone,
//                       so there it is pause
#pragma once

#include <cstdint>
#include <string>

#include "wayport/transport/address.h"
#include "wayport/transport/link/endpoint_core.h"

namespace wayport::link {

struct LinkAddress {
  static constexpr std::size_t kKeyBytesMax = 64 * 1024;

  transport::Address below;
  std::uint32_t id = 0;  // in the path: whom to dial, or who listens
  bool server = false;   // we are one
  std::uint32_t server_id = 0;
  std::string key_file;
  EndpointOptions options{};

  // Errors (invalid_argument) name the parameter and its value.
  static Result<LinkAddress> for_dial(const transport::Address& address);
  static Result<LinkAddress> for_listen(const transport::Address& address);

  // Reads the key. Errors: not_found, io, too_large (kKeyBytesMax).
  Result<EndpointIdentity> identity() const;
};

}  // namespace wayport::link
