// What a websocket client's request says about the backend it means (spec/ws.md 2). Internal to gateway/route.
//
//   path            fixed by the route, whatever the client names
//   header          server-identify: HOST:PORT
//   sub-protocol    identify.BASE64URL, for browsers; the listener agreed to that entry
//   query           ?server-identify=HOST%3APORT, percent-decoded
//
// The first place that has one counts, also if what it has is bad. Pure; any thread.
#pragma once

#include <string>

#include "wayport/base/result.h"
#include "wayport/gateway/route/options.h"
#include "wayport/transport/stream.h"

namespace wayport::route {

// malformed, too_large: the answer is RouteError::bad_request. No part of an identify is in an error: it may be a secret.
Result<std::string> identify_of(const transport::HttpRequest& request, const WebsocketRouteOptions& options,
                                std::size_t identify_bytes_max);

}  // namespace wayport::route
