// ListeningTransports: what a server listens with, and when it really accepts: a listener of a link does once its gateway
// has taken it, which it tells nobody.
#pragma once

#include <memory>

#include "wayport/base/log.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/transport/address.h"
#include "wayport/transport/link/link_transport.h"
#include "wayport/transport/transports.h"

namespace wayport::tools::interop {

class ListeningTransports {
 public:
  explicit ListeningTransports(Log& log);

  const transport::Transports& all() const noexcept { return all_; }
  // After the listener was started. Looks again every few milliseconds; returns early when `interrupt` was raised. Error:
  // timed_out.
  Result<void> wait_until_accepting(const transport::Address& address, Duration timeout,
                                    const Interrupt& interrupt) const;

 private:
  const std::shared_ptr<transport::LinkTransport> link_;
  transport::Transports all_;
};

}  // namespace wayport::tools::interop
