#include "wayport/transport/incoming_gate.h"

#include <mutex>

namespace wayport::transport {

void IncomingGate::open(OnIncoming on_incoming) {
  const std::unique_lock lock(mutex_);
  on_incoming_ = std::make_shared<OnIncoming>(std::move(on_incoming));
}

bool IncomingGate::deliver(std::unique_ptr<Incoming> incoming) {
  if (Loop::current() == &home_) {
    // close() runs on this thread too, perhaps inside the call: no lock, and the function is kept alive.
    const std::shared_ptr<OnIncoming> on_incoming = on_incoming_;
    if (!on_incoming) return false;
    (*on_incoming)(std::move(incoming));
    return true;
  }
  const std::shared_lock lock(mutex_);
  if (!on_incoming_) return false;
  (*on_incoming_)(std::move(incoming));
  return true;
}

void IncomingGate::close() {
  std::shared_ptr<OnIncoming> dropped;
  const std::unique_lock lock(mutex_);
  dropped.swap(on_incoming_);
}

}  // namespace wayport::transport
