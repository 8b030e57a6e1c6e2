#include "wayport/transport/ws/close_code.h"

#include <string>

#include "wayport/base/bytes.h"

namespace wayport::transport::ws {
namespace {

ErrorCode error_code_of(CloseCode code) noexcept {
  switch (code) {
    case CloseCode::protocol_error:
    case CloseCode::invalid_data:
      return ErrorCode::malformed;
    case CloseCode::unsupported_data:
    case CloseCode::missing_extension:
      return ErrorCode::unsupported;
    case CloseCode::policy_violation:
      return ErrorCode::refused;
    case CloseCode::too_big:
      return ErrorCode::too_large;
    case CloseCode::internal_error:
      return ErrorCode::internal;
    case CloseCode::service_restart:
    case CloseCode::try_again_later:
      return ErrorCode::overloaded;
    case CloseCode::bad_gateway:
      return ErrorCode::unreachable;
    default:
      return ErrorCode::peer_closed;
  }
}

}  // namespace

bool is_wire_code(std::uint16_t code) noexcept {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

bool is_orderly(CloseCode code) noexcept {
  return code == CloseCode::normal || code == CloseCode::going_away || code == CloseCode::no_status;
}

CloseCode close_code_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::local_closed:
    case ErrorCode::peer_closed:
    case ErrorCode::canceled:
      return CloseCode::normal;
    case ErrorCode::malformed:
      return CloseCode::protocol_error;
    case ErrorCode::too_large:
      return CloseCode::too_big;
    case ErrorCode::overloaded:
      return CloseCode::try_again_later;
    case ErrorCode::unsupported:
      return CloseCode::unsupported_data;
    case ErrorCode::unreachable:
      return CloseCode::bad_gateway;
    case ErrorCode::timed_out:
    case ErrorCode::not_found:
    case ErrorCode::invalid_argument:
    case ErrorCode::refused:
      return CloseCode::policy_violation;
    case ErrorCode::io:
    case ErrorCode::internal:
      break;
  }
  return CloseCode::internal_error;
}

CloseReason reason_of(CloseCode code, std::string_view text, std::string_view who) {
  std::string detail = "websocket with " + std::string(who) + " was closed by the peer";
  if (code != CloseCode::no_status) detail += ", code " + std::to_string(static_cast<unsigned>(code));
  if (!text.empty()) detail += ": \"" + escape(text) + "\"";
  return CloseReason::peer(error_code_of(code), std::move(detail));
}

}  // namespace wayport::transport::ws
