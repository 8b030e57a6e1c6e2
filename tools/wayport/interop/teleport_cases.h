// Roles `server` and `client` of integration/CONTRACT.md.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "wayport/base/runtime.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/interop/environment.h"

namespace wayport::tools::interop {

// `limit`: the largest packet that the server takes.
inline constexpr std::size_t kLimitBytes = 65'536;

// Serves until `interrupt` is raised. `on_ready` gets the addresses that were bound. Throws Failure.
void run_teleport_server(Runtime& runtime, const Settings& settings, bool wrong_status, Interrupt& interrupt,
                         const std::function<void(const std::vector<std::string>& addresses)>& on_ready);

// Dials, and does what the case says. Bounded by Settings::timeout. Throws Failure.
void run_teleport_case(Runtime& runtime, const Settings& settings);

}  // namespace wayport::tools::interop
