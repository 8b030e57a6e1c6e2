// What tools/demo runs: two peers hold a conversation over tcp, unix and tls, and one through a link gateway; then
// clients of three transports reach one server through a route gateway.
// Exits 0 only if every step happened.
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "wayport/base/log_testing.h"
#include "wayport/tools/demos/conversation.h"
#include "wayport/tools/demos/report.h"
#include "wayport/tools/demos/through_gateway.h"
#include "wayport/tools/demos/through_route.h"
#include "wayport/transport/testing/certificates.h"

namespace wayport::tools {
namespace {

Stack tls_stack(const transport::TestDirectory& directory) {
  const transport::TestAuthority authority("wayport demo authority");
  const transport::IssuedCertificate issued =
      authority.issue({.common_name = "demo.wayport", .dns_names = {"localhost"}, .ip_addresses = {"127.0.0.1"}});
  const std::string listen = "tls://127.0.0.1:0?cert=" + directory.write("cert.pem", issued.cert_pem) +
                             "&key=" + directory.write("key.pem", issued.key_pem);
  return {"tls", listen, listen, "?ca=" + directory.write("ca.pem", authority.cert_pem())};
}

int demo() {
  Report report(std::cout);
  report.title("Two peers on this machine talk over real sockets, in the wire format of Teleport 2.5.");
  MemoryLog log(LogLevel::warning);
  const transport::TestDirectory directory;
  const std::string name = "unix://@wayport-demo-" + std::to_string(::getpid());
  const Stack stacks[] = {
      {"tcp", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0", ""},
      {"unix", name, name + "-small", ""},
      tls_stack(directory),
  };
  for (const Stack& stack : stacks) converse(report, log, stack);
  talk_through_gateway(report, log);
  talk_through_route(report, log);
  const bool good = report.summary();
  if (!good) {
    for (const std::string& line : log.lines()) std::cerr << "log: " << line << "\n";
  }
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace wayport::tools

int main() { return wayport::tools::demo(); }
