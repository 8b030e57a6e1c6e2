// The "snet" layer: streams that survive the loss of their connection (spec/snet.md). snet+tcp://host:port,
// snet+tls://host:port, snet over any other transport; snet:// alone is over tcp. Parameters: snet_options.h.
//
// A dialed stream dials again by itself. An accepted one waits for its client; its listener takes the client's new
// connection, on whatever loop, to the loop of the session. A session outlives its connection, not its listener: once
// that is gone, sessions end with their connections.
//
// Encryption (encrypt=1) is RC4 with a key from a 64-bit group: for old peers, and no protection. The log hears of it
// once. New deployments use snet+tls with encryption off.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <memory>

#include "wayport/base/log.h"
#include "wayport/transport/snet/crypto.h"
#include "wayport/transport/snet/snet_counters.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

class SnetTransport final : public Transport {
 public:
  // `random` draws keys, ids, challenges and jitter; null: OpenSSL's generator. `log` hears of broken and resumed
  // sessions; null: nobody does. Both outlive this, its listeners and its streams, which share the ownership of the
  // counters.
  explicit SnetTransport(Log* log = nullptr, snet::RandomSource* random = nullptr);

  const SnetCounters& counters() const noexcept { return *counters_; }

  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override;
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override;

 private:
  void warn_of_encryption(bool encrypt, const Address& address, Log& log) const;

  Log& log_;
  snet::RandomSource& random_;
  const std::shared_ptr<SnetCounters> counters_ = std::make_shared<SnetCounters>();
  mutable std::atomic<bool> warned_{false};
};

}  // namespace wayport::transport
