// IncomingGate: the way from listeners to the user's OnIncoming, which may run on several loops, and the promise of
// ~Listener that no callback starts after it returns.
//
// Shared by a listener and what it has under way on other loops. deliver() from any loop's thread; close() on the home
// loop, also from inside a callback there. close() waits for callbacks that run on other threads; one that waits for
// the home loop in turn would deadlock.
#pragma once

#include <memory>
#include <shared_mutex>

#include "wayport/transport/transports.h"

namespace wayport::transport {

class IncomingGate {
 public:
  explicit IncomingGate(const Loop& home) noexcept : home_(home) {}

  void open(OnIncoming on_incoming);  // once, on the home loop, before the first deliver()
  // False: closed; `incoming` was dropped, which rejects it.
  bool deliver(std::unique_ptr<Incoming> incoming);
  // The user's function is destroyed, unless it is running on this very thread: then when it returns.
  void close();

 private:
  const Loop& home_;
  std::shared_mutex mutex_;
  std::shared_ptr<OnIncoming> on_incoming_;
};

}  // namespace wayport::transport
