// How both sides of the Teleport cases set their sessions.
#pragma once

#include <chrono>

#include "wayport/base/time.h"
#include "wayport/rpc/options.h"
#include "wayport/tools/wayport/interop/environment.h"

namespace wayport::tools::interop {

// What kcp gives at the end of a session: it does not tell its end, so the other side would be waited for.
inline constexpr Duration kCloseTimeout = std::chrono::seconds(1);

inline rpc::SessionOptions session_options(const Settings& settings) {
  rpc::SessionOptions options;
  options.version = settings.version;
  options.header_codec = settings.header_codec;
  options.close_timeout = kCloseTimeout;
  return options;
}

}  // namespace wayport::tools::interop
