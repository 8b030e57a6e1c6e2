// What a route address says. Parameters that are not route's own belong to the layers below.
//
//   /HOST:PORT        the backend, as the path (framing/route/target.h); IPv6 in brackets
// or, instead of the path, one of
//   identify=TEXT     what a resolver of the gateway understands, as it is
//   token=JWT         not shown in logs; token_file keeps it out of the process list as well
//   token_file=F      a file with the token; read again by each dial, so that it may be renewed
//
//   success=64KiB     largest success message to take
//
// Over ws and wss, `messages=1` keeps messages as they are (ws_options.h); `target` is the request's path.
#pragma once

#include <cstdint>
#include <string>

#include "wayport/base/result.h"
#include "wayport/transport/address.h"

namespace wayport::transport {

struct RouteOptions {
  std::string identify{};  // 1 to 4096 bytes; maybe a secret
  std::string who{};       // for errors: "route to HOST:PORT through tcp://gateway:9000"; no secret
  std::uint32_t success_bytes_max = 64 * 1024;
  bool websocket = false;  // right below: the identify is a header, the answer a message
  bool messages = false;   // over a websocket: the caller's messages, not a byte stream
  Address below{};         // complete: with the header, if it is a websocket

  // invalid_argument, too_large; whatever reading token_file came to.
  static Result<RouteOptions> for_dial(const Address& address);
};

}  // namespace wayport::transport
