// `wayport serve`: a peer with example routes on any number of addresses.
#pragma once

#include "wayport/base/runtime.h"
#include "wayport/rpc/graceful/graceful.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/options.h"

namespace wayport::tools {

// Prints "listening on ADDRESS" for each one when all are bound, and serves until a signal (wayport/rpc/graceful): SIGTERM
// and SIGINT drain and end, SIGUSR2 restarts. `start` is what this process was started with. Returns the exit code.
int serve(Runtime& runtime, const ServeOptions& options, Console& console, rpc::ProcessStart& start);

}  // namespace wayport::tools
