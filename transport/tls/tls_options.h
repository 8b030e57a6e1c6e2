// What a tls address says. Parameters that are not of TLS belong to the layer below.
//
// Dialing:
//   ca=FILE       trust these certificates instead of the system's
//   name=NAME     expect this name (or IP address) in the certificate, and ask for it (SNI), instead of the host
//   cert=FILE     client certificate and chain, PEM; key=FILE its key (default: the same file)
//   alpn=h2,foo   protocols to offer, best first
//   insecure=1    verify nothing. Every such dial is logged as a warning.
// Listening:
//   cert=FILE     server certificate and chain, PEM; key=FILE its key (default: the same file). Both may be repeated, in
//                 pairs: the first is the default, others answer clients that ask for a name they are made for (SNI)
//   ca=FILE       ask clients for certificates signed by these, and require one; optional_client=1 only asks
//   alpn=h2,foo   protocols to agree to, best first; a client that offers only others is refused
//   reload=5s     how often, at most, new handshakes look whether the files have changed (0: never)
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "wayport/base/time.h"
#include "wayport/transport/address.h"

namespace wayport::transport {

struct TlsOptions {
  struct Certificate {
    std::string cert;
    std::string key;
  };
  std::vector<Certificate> certificates;  // clients: none or one; servers: at least one
  std::string ca;                         // empty: clients trust the system's, servers ask nobody
  std::string name;                       // clients; the host by default
  std::string alpn;                       // wire form: length-prefixed names; empty: none
  bool insecure = false;
  bool optional_client = false;
  Duration reload = std::chrono::seconds(5);

  static Result<TlsOptions> for_dial(const Address& address);
  static Result<TlsOptions> for_listen(const Address& address);
  // The address of the layer below; tcp, if none is named.
  static Address below(const Address& address);

  std::vector<std::string> files() const;
};

}  // namespace wayport::transport
