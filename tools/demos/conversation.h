// The steps of the demo over one transport.
#pragma once

#include <string>

#include "wayport/base/log.h"
#include "wayport/tools/demos/report.h"

namespace wayport::tools {

struct Stack {
  std::string name;    // "tcp"
  std::string listen;  // two addresses
  std::string listen_small;
  std::string dial_parameters;  // what a caller adds to a bound address: "?ca=..."
};

// `log` gets what the server has to say.
void converse(Report& report, Log& log, const Stack& stack);

}  // namespace wayport::tools
