// Close codes of websocket (RFC 6455, 7.4) and what they mean to a Stream: spec/ws.md has the table.
#pragma once

#include <cstdint>
#include <string_view>

#include "wayport/base/result.h"

namespace wayport::transport::ws {

enum class CloseCode : std::uint16_t {
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported_data = 1003,
  no_status = 1005,  // never on the wire: the Close frame was empty
  invalid_data = 1007,
  policy_violation = 1008,
  too_big = 1009,
  missing_extension = 1010,
  internal_error = 1011,
  service_restart = 1012,
  try_again_later = 1013,
  bad_gateway = 1014,
};

// May be sent in a Close frame: 1000 to 1014 but the reserved ones, and 3000 to 4999.
bool is_wire_code(std::uint16_t code) noexcept;
// The peer's end in order: nothing went wrong (1000, 1001, none).
bool is_orderly(CloseCode code) noexcept;
// The code that tells the peer of our reason. The text that goes with it is to_string(code of the error): details are
// not the peer's business.
CloseCode close_code_of(ErrorCode code) noexcept;
// What a peer's code means here; its text, escaped, is in the detail. `who`: the peer's address.
CloseReason reason_of(CloseCode code, std::string_view text, std::string_view who);

}  // namespace wayport::transport::ws
