// The "route" layer: a backend behind a route gateway, as a stream (spec/route.md). For dialing only.
//
//   route+tcp://gateway:9000/10.1.2.3:9090          route+kcp://..., route+tls://..., route+ws://..., route+wss://...
//   route+tls://gateway:9000?token_file=F           the backend that a token names
//
//      dial the layer below -> say which backend -> wait for the answer -> the backend's bytes
//
// Over byte streams the backend is named in a frame and the answer is a length and the success message, or "error".
// Over a websocket it is named in the header `server-identify`, and the answer is the first message; the gateway puts
// the length of each message we send, u32 little endian, in front of it on the way to the backend (route_stream.h says
// what makes a message).
//
// DialOptions::timeout covers all of it. A gateway never says why it refuses; the errors say what we asked for, and
// of whom. `refused`: the gateway said "error", or closed a websocket without an answer. `peer_closed`: the end came
// before the answer. `too_large`: an answer over `success`. Parameters: route_options.h.
//
// Thread-safe.
#pragma once

#include <memory>

#include "wayport/transport/route/route_counters.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

class RouteTransport final : public Transport {
 public:
  // Dials share the ownership of the counters.
  const RouteCounters& counters() const noexcept { return *counters_; }

  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override;
  // unsupported: a backend listens on a plain address.
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override;

 private:
  const std::shared_ptr<RouteCounters> counters_ = std::make_shared<RouteCounters>();
};

}  // namespace wayport::transport
