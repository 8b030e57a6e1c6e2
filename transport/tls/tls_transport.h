// The "tls" layer: tls://host:port is TLS over tcp, tls+unix:///path over a unix socket, and so on down. Parameters:
// tls_options.h. TLS 1.2 and 1.3, no renegotiation; clients resume sessions.
//
// Thread-safe; dials on all loops share contexts and sessions.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "wayport/base/log.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

class TlsContextFiles;

class TlsTransport final : public Transport {
 public:
  static constexpr std::size_t kContextsMax = 256;  // different sets of files and flags that are dialed with

  // `log` is told of dials that verify nothing; null: nobody is. It outlives this.
  explicit TlsTransport(Log* log = nullptr);
  ~TlsTransport() override;

  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override;
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override;

 private:
  struct ClientContexts;

  Log& log_;
  const std::unique_ptr<ClientContexts> contexts_;
};

}  // namespace wayport::transport
