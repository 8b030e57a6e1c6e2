// What bounds an endpoint of the link protocol, and when it believes that its gateway is gone. Plain data.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/framing/link/packet.h"

namespace wayport::link {

struct EndpointOptions {
  // The original endpoints refuse to ping less often.
  static constexpr Duration kPingIntervalMax = std::chrono::seconds(1800);

  // What gives way when something does not fit its bound. The names are the gateway's.
  enum class Slow : std::uint8_t {
    // The virtual connection; all others go on.
    close,
    // Receiving: a client whose only virtual connection is not read stops reading from the gateway at half of a bound,
    // and goes on at a quarter. With a second one, with a dial under way, and for servers this is `close`, since nobody
    // waits for somebody else's reader. Sending: the message is refused (`overloaded`), and nothing else happens.
    pause,
    // The physical connection, with everything on it.
    cut,
  };
  // Bytes include the eight of each frame's header. Memory comes in blocks of 4 KiB and 64 KiB (base/chain.h): a virtual
  // connection with something unread takes one of them at least, so virtual_max bounds it, too.
  struct Limits {
    std::size_t bytes_max;
    std::size_t messages_max;
  };

  // MaxPacket of the gateway: the largest length word, 4 more than the largest message (13 to 1 GiB).
  std::uint32_t packet_bytes_max = kPacketBytesMaxDefault;

  // A connection on which nothing was sent, or nothing came, for so long is pinged. 0: never.
  Duration ping_interval = std::chrono::seconds(10);
  // Nothing came for so long after a ping: the gateway does not answer.
  Duration ping_timeout = std::chrono::seconds(10);
  // ClientIdleTimeout or ServerIdleTimeout of the gateway, as far as known; ping_interval has to be shorter. 0: it has
  // none, or the application sends often enough by itself.
  Duration gateway_idle_timeout = std::chrono::seconds(30);
  // After Stream::reconnect_now() (a dialed snet) the gateway may be silent for so long.
  Duration reconnect_timeout = std::chrono::seconds(60);
  // A server: from the start until the gateway has shown that it takes our answer to its challenge. 0: no limit.
  Duration authentication_timeout = std::chrono::seconds(5);

  // Virtual connections, with those that have ended and were not dropped, and dials without an answer. A connection that
  // comes on top is closed at once, a dial fails.
  std::size_t virtual_max = 100'000;
  std::size_t dials_max = 4'096;    // dials without an answer, given up ones included; more fail. The gateway's bound
  std::size_t closing_max = 4'096;  // closed ids kept until the gateway's Close, so that late data is dropped quietly
  // Commands that the gateway does not take (answers to its stray frames, pings, dials): the connection is cut above.
  std::size_t command_bytes_max = 1u << 20;

  // Received and not read: of one virtual connection, and of all. Binds where reading is off.
  Limits virtual_receive{1u << 20, 1024};
  Limits receive{64u << 20, 102'400};
  Slow receive_policy = Slow::close;
  // Sent and not taken by the stream below: of one virtual connection, and of all. Binds while that stream is under
  // pressure; what is gathered within a turn says nothing about the gateway.
  Limits virtual_send{1u << 20, 1024};
  Limits send{64u << 20, 102'400};
  Slow send_policy = Slow::close;

  // Errors (`invalid_argument`) name the option, its value and what it may be.
  Result<void> validate() const;
};

std::string_view to_string(EndpointOptions::Slow policy) noexcept;
Result<EndpointOptions::Slow> parse_endpoint_policy(std::string_view name);

}  // namespace wayport::link
