// The "tcp" scheme. Parameters: tcp_options.h. IPv4 and IPv6; a listener on [::], or without a host, takes both.
#pragma once

#include "wayport/transport/resolver.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

class TcpTransport final : public Transport {
 public:
  explicit TcpTransport(ResolverOptions resolver = {}) : resolver_(std::move(resolver)) {}

  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override;
  // A name is looked up in /etc/hosts only: listening does not wait for name servers.
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override;

 private:
  ResolverOptions resolver_;
};

}  // namespace wayport::transport
