// The one place where exceptions of an application's callbacks end: logged, never through the loop.
#pragma once

#include <exception>
#include <utility>

#include "wayport/base/log.h"

namespace wayport::rpc {

// Runs `callback`. `what` names it for the log.
template <class F>
void guarded(Log& log, const char* what, F&& callback) noexcept {
  try {
    std::forward<F>(callback)();
  } catch (const std::exception& error) {
    log.write(LogLevel::error, "a callback threw", {{"callback", what}, {"what", error.what()}});
  } catch (...) {
    log.write(LogLevel::error, "a callback threw", {{"callback", what}, {"what", "not derived from std::exception"}});
  }
}

}  // namespace wayport::rpc
