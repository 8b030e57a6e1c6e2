// What is looked at before a gateway binds anything, and by --check: that which no line of the file shows by itself.
//
// Errors (invalid_argument) begin with the place in the file (Settings::route_places, else Settings::source) and name the
// key. Nothing is sent, and no port or file of the configuration is taken.
#pragma once

#include "wayport/base/log.h"
#include "wayport/base/result.h"
#include "wayport/gateway/program/settings.h"

namespace wayport::gateway {

// Whether every address could be listened on, as far as that can be told without binding it: its transport's
// parameters, certificates and keys are read by listening on another port of 127.0.0.1.
Result<void> check_addresses(const Settings& settings);
// Whether the backend_transport of every route can be dialed, as far as its parameters and their files tell.
Result<void> check_backends(const Settings& settings);
// Whether the resolver of every route can be made of its settings: keys and tables are read. Not on a loop thread.
Result<void> check_resolvers(const Settings& settings, Log& log);
// Whether the log's files can be opened, or made.
Result<void> check_logs(const Settings& settings);

}  // namespace wayport::gateway
