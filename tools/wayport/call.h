// `wayport call` and `wayport push`: one request on a session of its own.
#pragma once

#include "wayport/base/runtime.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/options.h"

namespace wayport::tools {

// Prints the reply's body, inflated and otherwise as it came; or "error: CODE TEXT" to console.err, and returns 1. With
// `json` either is one JSON object on console.out.
int call(Runtime& runtime, const CallOptions& options, Console& console);

// Succeeds when the peer has taken every byte and ended its side in order: there is no answer that would tell more, not
// even whether it understood them.
int push(Runtime& runtime, const PushOptions& options, Console& console);

}  // namespace wayport::tools
