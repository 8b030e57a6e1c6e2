// A websocket client without a check that would cost: masked binary messages out, bytes of whatever messages back in.
//
//   client --message of N bytes--> gateway --bytes--> backend, which echoes --bytes--> gateway --messages--> client
//
// A message begins with its number (u64be). What comes back is a stream of bytes, however the gateway cuts it: N for each
// message, behind its length (u32le) if the gateway put that in front for the backend.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/tools/bench/load.h"

namespace wayport::tools {

inline constexpr std::size_t kWsMessageBytesMin = 8;
inline constexpr std::size_t kWsMessageBytesMax = 60'000;

struct RawWsOptions {
  std::string header{};  // another line of the request, such as "server-identify: 127.0.0.1:9000"
  bool length_prefix = false;
  std::size_t message_bytes = 64;
};

// Says hello on `fd`, which is connected. `refused` with what the other side said.
Result<std::unique_ptr<LoadClient>> raw_ws_client(Fd fd, const RawWsOptions& options);

}  // namespace wayport::tools
