// `wayport listen`: dials, stays, prints every push and answers pulls as serve does.
#pragma once

#include "wayport/base/runtime.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/options.h"

namespace wayport::tools {

// Until `interrupt` (0), or until the session ends (1, with the reason on console.err).
int listen(Runtime& runtime, const ListenOptions& options, Console& console, Interrupt& interrupt);

}  // namespace wayport::tools
