// The command line of the original, `fastway`, as Settings: every flag of it with its real default, and a few of ours
// (README.md has the table). Pure; not thread-safe.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/gateway/program/go_flags.h"
#include "wayport/gateway/program/settings.h"

namespace wayport::gateway {

struct FlagSettings {
  bool help = false;  // was asked for; nothing else is set
  Settings settings;
  // Values that are to be blanked where the process list shows them.
  std::vector<GoFlags::Place> secrets;
};

// `arguments` are those behind `fastway`. Errors (invalid_argument) name the flag, its value and what it may be.
Result<FlagSettings> read_flags(std::span<const std::string> arguments);
// What `fastway -h` prints: each flag with its default.
std::string flag_usage();

}  // namespace wayport::gateway
