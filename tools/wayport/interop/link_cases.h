// Roles `link-server` and `link-client` of integration/CONTRACT.md.
#pragma once

#include <cstdint>
#include <functional>

#include "wayport/base/runtime.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/interop/environment.h"

namespace wayport::tools::interop {

// Serves until `interrupt` is raised. `on_ready`: the gateway has taken the server. `leave_out_each`: as in link_peer.h. Throws
// Failure. `link-key`: tries to be taken with a wrong key, and returns when it was refused.
void run_link_server(Runtime& runtime, const Settings& settings, std::uint32_t leave_out_each, Interrupt& interrupt,
                     const std::function<void()>& on_ready);

// Bounded by Settings::timeout. Throws Failure.
void run_link_case(Runtime& runtime, const Settings& settings);

}  // namespace wayport::tools::interop
