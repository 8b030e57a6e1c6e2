// `wayport decode teleport`: packets in files and captures, one line each.
#pragma once

#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/options.h"

namespace wayport::tools {

// 1 if anything did not decode; where and why is among the lines.
int decode(const DecodeOptions& options, Console& console);

}  // namespace wayport::tools
