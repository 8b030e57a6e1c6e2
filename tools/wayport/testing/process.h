// Programs under test, as base/testing/process.h has them.
#pragma once

#include "wayport/base/testing/process.h"

namespace wayport::tools::testing {

using wayport::testing::Finished;
using wayport::testing::Process;
using wayport::testing::ProcessOptions;
using wayport::testing::run;
using wayport::testing::runfile;

}  // namespace wayport::tools::testing
