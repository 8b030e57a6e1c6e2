// `wayport serve`: a peer with example routes on any number of addresses.
#pragma once

#include "wayport/base/runtime.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/options.h"

namespace wayport::tools {

// Prints "listening on ADDRESS" for each one when all are bound, serves until `interrupt`, then closes gracefully.
// Returns the exit code.
int serve(Runtime& runtime, const ServeOptions& options, Console& console, Interrupt& interrupt);

}  // namespace wayport::tools
