#include "wayport/framing/route/route_error.h"

namespace wayport::route {

std::string_view to_string(RouteError code) noexcept {
  switch (code) {
    case RouteError::bad_request:
      return "bad_request";
    case RouteError::unauthorized:
      return "unauthorized";
    case RouteError::forbidden:
      return "forbidden";
    case RouteError::resolve_failed:
      return "resolve_failed";
    case RouteError::dial_refused:
      return "dial_refused";
    case RouteError::dial_timeout:
      return "dial_timeout";
    case RouteError::dial_unreachable:
      return "dial_unreachable";
    case RouteError::overloaded:
      return "overloaded";
    case RouteError::internal:
      return "internal";
  }
  return "internal";
}

std::optional<RouteError> route_error_named(std::string_view name) noexcept {
  for (const RouteError code : kRouteErrors) {
    if (to_string(code) == name) return code;
  }
  return std::nullopt;
}

int http_status(RouteError code) noexcept {
  switch (code) {
    case RouteError::bad_request:
      return 400;
    case RouteError::unauthorized:
      return 401;
    case RouteError::forbidden:
      return 403;
    case RouteError::overloaded:
      return 503;
    case RouteError::dial_timeout:
      return 504;
    case RouteError::resolve_failed:
    case RouteError::dial_refused:
    case RouteError::dial_unreachable:
    case RouteError::internal:
      return 502;
  }
  return 502;
}

RouteError shown_to_clients(RouteError code) noexcept {
  return code == RouteError::unauthorized || code == RouteError::forbidden ? RouteError::dial_refused : code;
}

RouteError route_error_of_dial(const Error& error) noexcept {
  switch (error.code) {
    case ErrorCode::refused:
    case ErrorCode::peer_closed:
      return RouteError::dial_refused;
    case ErrorCode::timed_out:
      return RouteError::dial_timeout;
    case ErrorCode::unreachable:
      return RouteError::dial_unreachable;
    case ErrorCode::overloaded:
      return RouteError::overloaded;
    default:
      return RouteError::internal;
  }
}

}  // namespace wayport::route
