// What bounds a link gateway and how it treats those who are slow. Plain data; names of the original's flags in brackets.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/framing/link/packet.h"

namespace wayport::link {

// What happens when a frame does not fit the bounds of a receiver that does not keep up.
enum class SlowPolicy : std::uint8_t {
  // The virtual connection that the frame belongs to closes, for both ends. All others go on.
  close,
  // A client that sends is not read on, from half of a bound until its queue is down to a quarter. What still comes
  // closes the virtual connection at the whole bound, and so does what a server sends: a server is never paused, since
  // everyone behind it would wait.
  pause,
  // The receiver's physical connection closes, with all its virtual connections, as the original does.
  cut,
};
std::string_view to_string(SlowPolicy policy) noexcept;
Result<SlowPolicy> parse_slow_policy(std::string_view name);

// What may wait for one receiver. Bytes include frame headers. Messages bind only once a receiver is slow: when bytes
// were left over after its stream was flushed. What is gathered within one turn says nothing about a receiver.
struct QueueLimits {
  std::size_t bytes_max;
  std::size_t messages_max;
};

struct SwitchOptions {
  // The largest length word, which is 4 more than the largest message [MaxPacket].
  std::uint32_t packet_bytes_max = kPacketBytesMaxDefault;

  // Virtual connections that a client may have, those that servers opened included; its own dials are refused above,
  // servers' are not. 0: no limit [ClientMaxConn].
  std::uint32_t client_virtual_max = 16;

  // A whole frame must come within this time after the last one. 0: no limit [ClientIdleTimeout, ServerIdleTimeout].
  // Time for which a client is paused does not count.
  Duration client_idle_timeout = std::chrono::seconds(30);
  Duration server_idle_timeout = std::chrono::seconds(30);
  // From a server's connection to the end of its authentication, however the bytes trickle. The original's, where it is
  // fixed. 0: no limit.
  Duration handshake_timeout = std::chrono::seconds(5);

  // Per process.
  std::size_t clients_max = 100'000;
  std::size_t servers_max = 10'000;
  std::size_t handshakes_max = 10'000;  // servers that have not authenticated yet
  std::size_t virtual_max = 1'000'000;  // virtual connections

  SlowPolicy slow_policy = SlowPolicy::close;
  QueueLimits virtual_queue{1u << 20, 1024};     // of each direction of a virtual connection
  QueueLimits client_queue{4u << 20, 1024};      // [ClientSendChanSize]
  QueueLimits server_queue{64u << 20, 102'400};  // [ServerSendChanSize]
  // Commands (answers to dials and pings, Close) may use this on top of a connection's bytes_max. One who does not take
  // even those is cut.
  std::size_t command_reserve_bytes = 64u << 10;
  // Unsent bytes of all connections. Each loop has an even share. Where it is used up, the slow client with the most
  // unsent bytes is cut, or else the slow server; if nobody is slow, the frame's virtual connection closes.
  std::size_t process_bytes_max = std::size_t{1} << 30;
  // Frames from one loop to another that have not left. What comes on top closes its virtual connection.
  std::size_t mail_bytes_max = 64u << 20;
  // Dials of one server that no loop has answered yet. A server above is cut.
  std::size_t server_dials_max = 4096;

  // Whether the former holder of a server id is closed when another server takes the id. The original keeps it.
  bool close_replaced_server = false;

  // How often slow receivers are looked at whom nothing else makes looked at.
  Duration slow_poll_interval = std::chrono::milliseconds(20);

  // Errors (`invalid_argument`) name the option, its value and what it may be.
  Result<void> validate() const;
};

}  // namespace wayport::link
