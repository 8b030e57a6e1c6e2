// Reloader: SIGHUP reads the configuration again and opens the log files anew. Connections go on; what cannot be read or
// is wrong changes nothing, and the log says why.
//
// The work is done on a thread of the runtime's workers, one at a time. A process that was started with SIGHUP ignored
// (nohup) goes on ignoring it.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/runtime.h"
#include "wayport/gateway/program/served_gateway.h"
#include "wayport/gateway/program/settings.h"

namespace wayport::gateway {

struct ReloadOptions {
  std::function<Result<Settings>()> read_settings{};
  std::function<Result<void>()> reopen_log{};  // empty: nothing to open
  std::string fixed{};                         // Settings::fixed of the start
};

class Reloader {
 public:
  // The gateways and the runtime outlive it.
  Reloader(Runtime& runtime, std::vector<ServedGateway*> gateways, ReloadOptions options);
  // Waits for a reload that runs. The signal then does nothing.
  ~Reloader();
  Reloader(const Reloader&) = delete;
  Reloader& operator=(const Reloader&) = delete;

  // Catches SIGHUP.
  Result<void> start();

 private:
  struct State;
  Loop& loop_;
  std::shared_ptr<State> state_;
};

}  // namespace wayport::gateway
