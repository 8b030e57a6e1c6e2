// `wayport route explain --config FILE IDENTIFY`: which backend would a client of a route gateway get that says this, and
// by which rule. Reads the gateway's file; dials nothing.
#pragma once

#include "wayport/base/runtime.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/options.h"

namespace wayport::tools {

// The addresses of a name decide, and --lookup was not given.
inline constexpr int kExitDepends = 3;

// One explanation for each route of the file, or of the one that is named. kExitSuccess: each of them would dial;
// kExitFailure: one would not, and says why; kExitDepends: none would not, but of one it depends on addresses that were
// not looked up; kExitUsage: the file, its resolver or the route's name is wrong.
int explain_route(Runtime& runtime, const RouteExplainOptions& options, Console& console);

}  // namespace wayport::tools
