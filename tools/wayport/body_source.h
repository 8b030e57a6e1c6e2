// The body of a call from the command line: read, and checked before anything is dialled.
#pragma once

#include <cstddef>
#include <istream>
#include <optional>

#include "wayport/base/result.h"
#include "wayport/framing/body.h"
#include "wayport/tools/wayport/options.h"

namespace wayport::tools {

// What one session may have unsent, by default.
inline constexpr std::size_t kBodyBytesMax = 64 << 20;

// nullopt: no body. TEXT is taken as it is, @FILE and - (`in`) are read to their end. A json body must be JSON; raw
// bytes go out as they are, so they need a first byte and cannot be compressed. Errors: invalid_argument, too_large,
// not_found, io.
Result<std::optional<framing::RawBody>> load_body(const BodyOptions& options, std::istream& in);

}  // namespace wayport::tools
