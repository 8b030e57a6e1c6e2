// The command line of `wayport`: what may be said, and what the help says of it.
#pragma once

#include <optional>
#include <ostream>

#include "wayport/tools/wayport/options.h"

namespace wayport::tools {

struct Parsed {
  std::optional<Invocation> invocation;
  int exit_code = 0;  // without an invocation: help and version were printed to `out` (0), an error to `err` (2)
};

Parsed parse_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace wayport::tools
