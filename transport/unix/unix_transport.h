// The "unix" scheme: unix:///path and unix://@abstract. Peers are known by the credentials that the kernel gives.
//
//   mode=0600   listeners on a path: permissions of the socket file (default 0600: only this user)
//
// A listener on a path unlinks the file when it goes, if it is still its own; not after inheritable_fds() was asked
// for, because then a successor goes on listening there. A successor (inherited_fd) owns the file in turn, from its
// take_back() on, which GracefulProcess asks for once it is ready: one that fails before leaves the file to the process
// that goes on serving. Never if keep_socket_file says that it is a service manager's.
#pragma once

#include "wayport/transport/transports.h"

namespace wayport::transport {

class UnixTransport final : public Transport {
 public:
  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override;
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override;
};

}  // namespace wayport::transport
