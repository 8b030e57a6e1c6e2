// One gateway process from its settings to its end: log, loops, gateway, admin listener, control by signals, restart.
// What main() calls, and those who put a gateway into a program of their own.
#pragma once

#include <functional>
#include <string>

#include "wayport/base/log.h"
#include "wayport/base/result.h"
#include "wayport/gateway/link/link_gateway.h"
#include "wayport/gateway/program/commands.h"
#include "wayport/gateway/program/reloader.h"
#include "wayport/gateway/program/settings.h"
#include "wayport/gateway/program/split_log.h"
#include "wayport/gateway/route/resolver_registry.h"
#include "wayport/gateway/route/route_gateway.h"
#include "wayport/transport/graceful_process.h"

namespace wayport::gateway {

inline constexpr const char* kVersion = "wayport-gateway 0.1.0";
inline constexpr const char* kKeyVariable = "WAYPORT_SERVER_AUTH_KEY";

// The key of servers, from wherever the settings say: itself, its file (at most 4096 bytes; one line end at its end
// does not count), or else the environment's WAYPORT_SERVER_AUTH_KEY (nullptr: unset).
Result<void> resolve_key(Settings& settings, const char* from_environment);
Result<SplitLogOptions> log_options(const Settings& settings);

// What runs in this process; nullptr: not that one.
struct ProgramGateways {
  link::LinkGateway* link = nullptr;
  route::RouteGateway* route = nullptr;
};

struct ProgramHooks {
  // Adds commands for SIGUSR1 (Control); called once, before signals are taken.
  std::function<Result<void>(Commands& commands, ProgramGateways gateways)> add_commands{};
  // That routes may name; nullptr: default_resolvers().
  const route::ResolverRegistry* resolvers = nullptr;
  // What SIGHUP does (reloader.h). Without read_settings it ends the process, as the original.
  ReloadOptions reload{};
};

// Returns when the process is to end. 0: it was told to, or replaced. 1: it could not start, and `why` says so, or its
// connections did not end in time. REQUIRES: settings.validate(), and what resolve_key() does. Not on a loop thread.
int run_gateway(const Settings& settings, transport::ProcessStart& start, Log& log, std::string& why,
                const ProgramHooks& hooks = {});

}  // namespace wayport::gateway
