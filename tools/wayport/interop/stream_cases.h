// Roles `stream-server` and `stream-client` of integration/CONTRACT.md.
#pragma once

#include <functional>
#include <string>

#include "wayport/base/runtime.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/interop/environment.h"

namespace wayport::tools::interop {

// Echoes until `interrupt` is raised. `on_ready` gets the address that was bound. Throws Failure.
void run_stream_server(Runtime& runtime, const Settings& settings, Interrupt& interrupt,
                       const std::function<void(const std::string& address)>& on_ready);

// Bounded by Settings::timeout. Throws Failure.
void run_stream_case(Runtime& runtime, const Settings& settings);

}  // namespace wayport::tools::interop
