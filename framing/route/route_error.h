// RouteError: why a route gateway did not join a client to a backend (spec/route.md 3.5).
//
// For logs and counters. A TCP or KCP client only ever sees kErrorAnswer and a close; a WebSocket client that is refused
// before the upgrade sees an HTTP status. Toward clients a gateway shows shown_to_clients(code): who may not reach a
// backend shall not learn from the answer whether it exists.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "wayport/base/result.h"

namespace wayport::route {

enum class RouteError : std::uint8_t {
  bad_request,       // length or syntax of the identify
  unauthorized,      // token missing, malformed, wrong signature, expired, not yet valid
  forbidden,         // the allow list has no rule for the target
  resolve_failed,    // the backend's name has no address
  dial_refused,      // the backend, or its machine, said no
  dial_timeout,      // the backend did not answer in time
  dial_unreachable,  // no way to the backend's network
  overloaded,        // a limit of the gateway
  internal,          // anything else
};
inline constexpr std::array kRouteErrors{
    RouteError::bad_request,      RouteError::unauthorized, RouteError::forbidden,
    RouteError::resolve_failed,   RouteError::dial_refused, RouteError::dial_timeout,
    RouteError::dial_unreachable, RouteError::overloaded,   RouteError::internal,
};

// "bad_request", ...: also the label of counters.
std::string_view to_string(RouteError code) noexcept;
// nullopt: no such name.
std::optional<RouteError> route_error_named(std::string_view name) noexcept;

// The HTTP status that refuses a WebSocket upgrade: 400, 401, 403, 502, 503 or 504.
int http_status(RouteError code) noexcept;

// unauthorized and forbidden become dial_refused; every other code is itself.
RouteError shown_to_clients(RouteError code) noexcept;

// What a failed dial of a backend is. A failed resolution is to be told apart by the caller: it is resolve_failed.
RouteError route_error_of_dial(const Error& error) noexcept;

}  // namespace wayport::route
