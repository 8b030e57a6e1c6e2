// `wayport load`: calls under load, each with exactly one known outcome, for tests that break things meanwhile.
//
//   wayport load serve tcp://:9000                                   remembers every call that it executes
//   wayport load run --clients 10 --time 30s tcp://a:9000 tcp://b:9000
//
// A call carries who made it and its number; the server answers with the same. Clients keep a session pool each
// (rpc/pool): it dials again by itself, and repeats what is proven not to have been executed. Both print a line
// "RESULT {...}" at their end: what one side calls replied and the other executed tells what was lost and what was done twice.
// Of clients also `dials` and `dials_failed`: a call waits for a session, so it does not show that one was refused.
#pragma once

#include "wayport/base/runtime.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/load/load_options.h"

namespace wayport::tools {

// Until `interrupt`. kExitFailure: it cannot listen, or executed a call twice.
int load_serve(Runtime& runtime, const LoadServeOptions& options, Console& console, Interrupt& interrupt);
// kExitFailure: a call without outcome, or a reply that is not what was sent. Calls that failed with a status are no failure
// of the command: whoever reads RESULT knows what may fail.
int load_run(Runtime& runtime, const LoadRunOptions& options, Console& console, Interrupt& interrupt);

}  // namespace wayport::tools
