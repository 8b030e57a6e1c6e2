#include "wayport/gateway/link/options.h"

#include <string>

namespace wayport::link {
namespace {

Result<void> check_queue(const char* name, const QueueLimits& limits, std::size_t frame_bytes_max) {
  if (limits.messages_max == 0) {
    return fail(ErrorCode::invalid_argument,
                std::string(name) + ".messages_max is 0: a receiver needs a queue; allow at least 1 message");
  }
  if (limits.bytes_max < frame_bytes_max) {
    return fail(ErrorCode::invalid_argument, std::string(name) + ".bytes_max is " + std::to_string(limits.bytes_max) +
                                                 ", too small for the largest frame; allow at least " +
                                                 std::to_string(frame_bytes_max) +
                                                 " (packet_bytes_max + 4), or lower packet_bytes_max");
  }
  return {};
}

Result<void> check_at_least(const char* name, std::size_t value, std::size_t least) {
  if (value >= least) return {};
  return fail(ErrorCode::invalid_argument,
              std::string(name) + " is " + std::to_string(value) + "; it has to be at least " + std::to_string(least));
}

Result<void> check_duration(const char* name, Duration value) {
  if (value >= Duration::zero()) return {};
  return fail(ErrorCode::invalid_argument,
              std::string(name) + " is " + format_duration(value) + "; it has to be positive, or 0 for no limit");
}

}  // namespace

std::string_view to_string(SlowPolicy policy) noexcept {
  switch (policy) {
    case SlowPolicy::close:
      return "close";
    case SlowPolicy::pause:
      return "pause";
    case SlowPolicy::cut:
      return "cut";
  }
  return "unknown";
}

Result<SlowPolicy> parse_slow_policy(std::string_view name) {
  for (const SlowPolicy policy : {SlowPolicy::close, SlowPolicy::pause, SlowPolicy::cut}) {
    if (name == to_string(policy)) return policy;
  }
  return fail(ErrorCode::invalid_argument,
              "unknown policy for slow receivers '" + escape(name, 64) + "'; it is one of close, pause, cut");
}

Result<void> SwitchOptions::validate() const {
  // The longest command that is sent, Accept or Connect, is 17 bytes with its length word.
  WAYPORT_TRY(check_at_least("packet_bytes_max", packet_bytes_max, kFrameLengthMin + kCommandMessageBytesMax));
  const std::size_t frame_bytes_max = kLengthBytes + std::size_t{packet_bytes_max};
  WAYPORT_TRY(check_queue("virtual_queue", virtual_queue, frame_bytes_max));
  WAYPORT_TRY(check_queue("client_queue", client_queue, frame_bytes_max));
  WAYPORT_TRY(check_queue("server_queue", server_queue, frame_bytes_max));
  WAYPORT_TRY(check_duration("client_idle_timeout", client_idle_timeout));
  WAYPORT_TRY(check_duration("server_idle_timeout", server_idle_timeout));
  WAYPORT_TRY(check_duration("handshake_timeout", handshake_timeout));
  WAYPORT_TRY(check_at_least("clients_max", clients_max, 1));
  WAYPORT_TRY(check_at_least("servers_max", servers_max, 1));
  WAYPORT_TRY(check_at_least("handshakes_max", handshakes_max, 1));
  WAYPORT_TRY(check_at_least("virtual_max", virtual_max, 1));
  WAYPORT_TRY(check_at_least("command_reserve_bytes", command_reserve_bytes, 1024));
  WAYPORT_TRY(check_at_least("process_bytes_max", process_bytes_max, frame_bytes_max));
  WAYPORT_TRY(check_at_least("mail_bytes_max", mail_bytes_max, frame_bytes_max));
  WAYPORT_TRY(check_at_least("server_dials_max", server_dials_max, 1));
  if (slow_poll_interval < std::chrono::milliseconds(1)) {
    return fail(ErrorCode::invalid_argument,
                "slow_poll_interval is " + format_duration(slow_poll_interval) + "; it has to be at least 1ms");
  }
  return {};
}

}  // namespace wayport::link
