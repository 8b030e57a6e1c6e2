#include "wayport/transport/link/endpoint_options.h"

#include <string>

#include "wayport/base/bytes.h"

namespace wayport::link {
namespace {

constexpr std::uint32_t kPacketBytesMin = kFrameLengthMin + kCommandMessageBytesMax;
constexpr std::uint32_t kPacketBytesMaxMax = 1u << 30;

Result<void> check(const EndpointOptions::Limits& limits, std::size_t frame_bytes_max, const std::string& name) {
  if (limits.messages_max == 0) return fail(ErrorCode::invalid_argument, name + ".messages_max 0: must be at least 1");
  if (limits.bytes_max < frame_bytes_max) {
    return fail(ErrorCode::invalid_argument, name + ".bytes_max " + std::to_string(limits.bytes_max) +
                                                 ": must hold the largest frame, " + std::to_string(frame_bytes_max));
  }
  return {};
}

}  // namespace

Result<void> EndpointOptions::validate() const {
  const auto bad = [](const std::string& what) { return fail(ErrorCode::invalid_argument, what); };
  if (packet_bytes_max < kPacketBytesMin || packet_bytes_max > kPacketBytesMaxMax) {
    return bad("packet_bytes_max " + std::to_string(packet_bytes_max) + ": must be " + std::to_string(kPacketBytesMin) +
               " (the longest command) to " + std::to_string(kPacketBytesMaxMax));
  }
  if (ping_interval < Duration::zero() || ping_interval > kPingIntervalMax) {
    return bad("ping_interval " + format_duration(ping_interval) + ": must be 0 (never) to " +
               format_duration(kPingIntervalMax));
  }
  if (gateway_idle_timeout > Duration::zero() &&
      (ping_interval == Duration::zero() || ping_interval >= gateway_idle_timeout)) {
    return bad("ping_interval " + format_duration(ping_interval) +
               ": must be shorter than the gateway's idle time-out, gateway_idle_timeout " +
               format_duration(gateway_idle_timeout) + " (0 if it has none), or the gateway closes what is idle");
  }
  if (ping_interval > Duration::zero() && ping_timeout <= Duration::zero()) {
    return bad("ping_timeout " + format_duration(ping_timeout) + ": must be more than 0");
  }
  if (virtual_max == 0) return bad("virtual_max 0: must be at least 1");
  if (dials_max == 0) return bad("dials_max 0: must be at least 1");
  if (command_bytes_max < 64) return bad("command_bytes_max: must be at least 64");
  const std::size_t frame = kLengthBytes + std::size_t{packet_bytes_max};
  WAYPORT_TRY(check(virtual_receive, frame, "virtual_receive"));
  WAYPORT_TRY(check(receive, frame, "receive"));
  WAYPORT_TRY(check(virtual_send, frame, "virtual_send"));
  return check(send, frame, "send");
}

std::string_view to_string(EndpointOptions::Slow policy) noexcept {
  switch (policy) {
    case EndpointOptions::Slow::close:
      return "close";
    case EndpointOptions::Slow::pause:
      return "pause";
    case EndpointOptions::Slow::cut:
      return "cut";
  }
  return "?";
}

Result<EndpointOptions::Slow> parse_endpoint_policy(std::string_view name) {
  for (const auto policy : {EndpointOptions::Slow::close, EndpointOptions::Slow::pause, EndpointOptions::Slow::cut}) {
    if (name == to_string(policy)) return policy;
  }
  return fail(ErrorCode::invalid_argument, "\"" + escape(name) + "\" is no policy: close, pause or cut");
}

}  // namespace wayport::link
