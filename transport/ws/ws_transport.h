// The "ws" and "wss" layers: websocket (RFC 6455) over any other transport. ws://host:port/path is over tcp,
// wss://host:port/path over tls over tcp, ws+unix:///run/app.sock and ws+tls+... over what they name. Parameters:
// ws_options.h; how messages, ends and errors map: spec/ws.md.
//
// Thread-safe.
#pragma once

#include <memory>

#include "wayport/transport/transports.h"
#include "wayport/transport/ws/ws_counters.h"
#include "wayport/transport/ws/ws_random.h"

namespace wayport::transport {

class WsTransport final : public Transport {
 public:
  // `random` draws mask keys; null: OpenSSL's generator. It outlives this and its streams, which share the ownership of
  // the counters. One object serves both schemes.
  explicit WsTransport(ws::RandomSource* random = nullptr);

  const WsCounters& counters() const noexcept { return *counters_; }

  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override;
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override;

 private:
  ws::RandomSource& random_;
  const std::shared_ptr<WsCounters> counters_ = std::make_shared<WsCounters>();
};

}  // namespace wayport::transport
