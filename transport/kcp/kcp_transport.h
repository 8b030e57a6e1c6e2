// The "kcp" scheme: streams over KCP, on UDP (kcp://host:port?crypt=aes-128-gcm&key=HEX&fec=10,3); kcp_address.h has the
// parameters, spec/kcp.md the wire. Below other layers it is written tls+kcp://, snet+kcp://, link+kcp://; where the
// layer above has a `key` of its own, kcp's is given by key_file, password or password_file.
//
// KCP is not told that a peer begins or ends: a dial succeeds at once, a listener sees a connection with its first
// bytes, and an end is heard of only with extension=1 on both sides. What must be secret is tls+kcp://; aes-*-gcm
// authenticates, the other ciphers do not.
//
//                 +- loop: KcpTable -- sessions -- streams
//   one socket ---+- loop: KcpTable -- sessions -- streams      a datagram's address chooses the loop
//
// A listener's socket lives as long as the last of its sessions; one with ListenOptions::inherited_fd reads from its
// take_back() on (kcp_listener.h). Threads: as transports.h says; statistics() from any.
#pragma once

#include <memory>

#include "wayport/base/log.h"
#include "wayport/transport/kcp/kcp_driver.h"
#include "wayport/transport/resolver.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

class KcpTransport final : public Transport {
 public:
  // `log` is told of ciphers that should not be chosen. Outlives this.
  explicit KcpTransport(Log* log = nullptr, ResolverOptions resolver = {});
  ~KcpTransport() override;

  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override;
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override;

  // Everything that its sessions and sockets have counted (kcp_counters.h), summed over all loops.
  kcp::KcpStatistics::Values statistics() const { return statistics_->read(); }

 private:
  Log* const log_;
  const ResolverOptions resolver_;
  const std::shared_ptr<kcp::KcpStatistics> statistics_;
  const std::unique_ptr<kcp::LoopShares> shares_;
};

}  // namespace wayport::transport
