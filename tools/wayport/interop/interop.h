// `wayport interop`: an implementation of integration/CONTRACT.md. What to be stands in the INTEROP_* variables; role
// `gateway` is played by wayport-gateway.
#pragma once

#include <string_view>

#include "wayport/base/runtime.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/interop/environment.h"
#include "wayport/tools/wayport/options.h"

namespace wayport::tools::interop {

inline constexpr int kExitUnsupported = 127;

// Whether the role that is asked for is one that serves until it is told to end; a client may be killed.
bool is_served(const Lookup& lookup);

// A server serves until `interrupt`. Exit codes: those of the contract, kExitUsage for variables that are missing or no values.
int interop(Runtime& runtime, const InteropOptions& options, const Lookup& lookup, Console& console,
            Interrupt& interrupt);

}  // namespace wayport::tools::interop
