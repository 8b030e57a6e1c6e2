// TLS over one transport: a layer needs something below it.
#include "round_trip.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/tls/tls_transport.h"

int main() {
  const wayport::transport::TestAuthority authority;
  const wayport::transport::TestDirectory files;
  const auto issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
  consumer::Transports all;
  all.add("tcp", std::make_shared<wayport::transport::TcpTransport>());
  all.add("tls", std::make_shared<wayport::transport::TlsTransport>());
  const std::string identity =
      "?cert=" + files.write("cert.pem", issued.cert_pem) + "&key=" + files.write("key.pem", issued.key_pem);
  return consumer::round_trip(all, "tls://127.0.0.1:0" + identity,
                              "?ca=" + files.write("ca.pem", authority.cert_pem()));
}
