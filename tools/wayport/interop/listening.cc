#include "wayport/tools/wayport/interop/listening.h"

#include <chrono>
#include <thread>

#include "wayport/tools/wayport/interop/environment.h"
#include "wayport/transport/default_transports.h"

namespace wayport::tools::interop {

ListeningTransports::ListeningTransports(Log& log)
    : link_(std::make_shared<transport::LinkTransport>(&log)), all_(transport::default_transports(&log)) {
  all_.add("link", link_);
}

Result<void> ListeningTransports::wait_until_accepting(const transport::Address& address, Duration timeout,
                                                       const Interrupt& interrupt) const {
  if (!has_layer(address, "link")) return {};
  const auto due = std::chrono::steady_clock::now() + timeout;
  while (link_->counters().server_connections.load() == 0 && !interrupt.raised()) {
    if (std::chrono::steady_clock::now() >= due) {
      return fail(ErrorCode::timed_out, "no gateway has taken us within " + format_duration(timeout));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return {};
}

}  // namespace wayport::tools::interop
