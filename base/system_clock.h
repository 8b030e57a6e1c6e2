// The clock of a running program.
#pragma once

#include "wayport/base/time.h"

namespace wayport {

// CLOCK_MONOTONIC: goes on while wall-clock time is set, stands while the machine is suspended.
class SystemClock final : public Clock {
 public:
  TimePoint now() const noexcept override;
};

}  // namespace wayport
