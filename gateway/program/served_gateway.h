// ServedGateway: what the program needs of a gateway, whichever it is: to start it, to show it to operators, to end it.
#pragma once

#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/gateway/program/metrics_page.h"
#include "wayport/gateway/program/settings.h"
#include "wayport/transport/graceful_process.h"

namespace wayport::gateway {

// Not on a loop thread, unless it says otherwise (transport::Drainable does).
class ServedGateway : public transport::Drainable {
 public:
  virtual ~ServedGateway() = default;
  virtual Result<void> start() = 0;
  // New settings, from a file that was read again; connections go on. Errors leave everything as it was.
  virtual Result<void> reload(const Settings& settings) = 0;
  // From the first close on. Any thread.
  virtual bool closing() const noexcept = 0;
  // For the log, once it has started: a line for each listener.
  virtual std::vector<std::string> listening() const = 0;
  // On the runtime's first loop.
  virtual void add_metrics(MetricsPage& page) const = 0;
  // Text for people, a line each: connections and what they carry; and those who do not take what is sent, most first.
  virtual std::string dump_sessions() const = 0;
  virtual std::string dump_queues() const = 0;
};

}  // namespace wayport::gateway
