// Counts what goes through operator new, to prove that a path allocates nothing. Linking it replaces the global
// operators.
#pragma once

#include <cstdint>

namespace wayport::framing::testing {

// Calls of operator new by this thread so far.
std::uint64_t allocation_count() noexcept;

}  // namespace wayport::framing::testing
