// Names to addresses by c-ares, on the loop: no thread, no blocking call; one dead name server stalls nobody.
//
// A lookup reads /etc/hosts, /etc/nsswitch.conf and /etc/resolv.conf afresh, so changes count at once. "localhost" is
// the loopback without asking anyone (RFC 6761), also where there is no /etc/hosts. The result is in the order of
// RFC 6724 with the two families alternating (RFC 8305).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/base/socket.h"

namespace wayport::transport {

struct ResolverOptions {
  std::string servers;                               // "10.0.0.1:53,[::1]:5353"; empty: as the system says
  Duration query_timeout = std::chrono::seconds(2);  // per server, doubling per round
  int rounds = 3;
};

// A lookup in progress. Destroying it cancels; the callback is then never called.
class Lookup {
 public:
  virtual ~Lookup() = default;
};
using OnResolved = std::move_only_function<void(Result<std::vector<SocketAddress>>)>;

// At least one address, or not_found, timed_out, unreachable (no name server answers). Never from inside this call.
std::unique_ptr<Lookup> resolve(Loop& loop, const ResolverOptions& options, const std::string& name, std::uint16_t port,
                                OnResolved on_done);

// What is known without asking a name server: numeric addresses (with a zone), localhost, and for listeners /etc/hosts.
// Empty: unknown.
std::vector<SocketAddress> resolve_literally(const std::string& name, std::uint16_t port);
std::vector<SocketAddress> resolve_from_hosts_file(const std::string& name, std::uint16_t port);

// The order of attempts: the families alternate, beginning with that of the first (RFC 8305, section 4).
std::vector<SocketAddress> interleave_families(std::vector<SocketAddress> addresses);

}  // namespace wayport::transport
