// How a connection becomes a session of a Peer. Internal to rpc; on the connection's loop.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "wayport/rpc/peer_state.h"
#include "wayport/transport/transports.h"

namespace wayport::rpc {

// The text of an address that tells sessions apart: without scheme.
std::string default_id(const SocketAddress& address);

// A connection that becomes a session.
struct Arrival {
  std::unique_ptr<transport::Stream> stream;
  std::shared_ptr<const SessionOptions> options;
  std::string id;
  bool chosen = false;  // the id, by the application
  bool accepted = false;
  std::shared_ptr<void> ticket{};              // an AcceptTicket
  std::unique_ptr<SessionTable::Hold> hold{};  // a close waits
};

// Makes the session and starts it. `handshake` had the stream before, or null.
Session adopt(const std::shared_ptr<LoopState>& state, Arrival arrival, PreSession* handshake = nullptr);

// Runs the hooks that come before the session, then makes it. `dial` hears how it went; accepted connections have none.
boost::asio::awaitable<void> greet(std::shared_ptr<LoopState> state, Arrival arrival,
                                   std::shared_ptr<PendingDial> dial);

// An accepted connection: guards, then the handshake of plugins if there is one, then a session.
void accept_from(const std::shared_ptr<LoopState>& state, transport::Incoming& incoming,
                 const std::shared_ptr<const SessionOptions>& options);

}  // namespace wayport::rpc
