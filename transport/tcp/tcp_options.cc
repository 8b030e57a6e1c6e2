#include "wayport/transport/tcp/tcp_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "wayport/transport/parameters.h"
#include "wayport/transport/sockets.h"

namespace wayport::transport {
namespace {

Result<TcpOptions> read_common(const Address& address) {
  TcpOptions options;
  WAYPORT_TRY_ASSIGN(const auto nodelay, bool_parameter(address, "nodelay"));
  WAYPORT_TRY_ASSIGN(const auto keepalive, duration_parameter(address, "keepalive"));
  WAYPORT_TRY_ASSIGN(options.sndbuf, bytes_parameter(address, "sndbuf"));
  WAYPORT_TRY_ASSIGN(options.rcvbuf, bytes_parameter(address, "rcvbuf"));
  options.nodelay = nodelay.value_or(options.nodelay);
  options.keepalive = keepalive.value_or(options.keepalive);
  if (const std::string* name = address.parameter("congestion")) options.congestion = *name;
  constexpr auto kKernelMax = static_cast<std::size_t>(std::numeric_limits<int>::max() / 2);
  if (options.sndbuf > kKernelMax) return bad_parameter(address, "sndbuf", "is more than the kernel takes");
  if (options.rcvbuf > kKernelMax) return bad_parameter(address, "rcvbuf", "is more than the kernel takes");
  if (options.keepalive > std::chrono::seconds(32767)) {
    return bad_parameter(address, "keepalive", "is more than 32767s, the kernel's limit");
  }
  return options;
}

}  // namespace

Result<TcpOptions> TcpOptions::for_dial(const Address& address) {
  WAYPORT_TRY(address.check_parameters({"nodelay", "keepalive", "congestion", "sndbuf", "rcvbuf"}));
  return read_common(address);
}

Result<TcpOptions> TcpOptions::for_listen(const Address& address) {
  WAYPORT_TRY(
      address.check_parameters({"nodelay", "keepalive", "congestion", "sndbuf", "rcvbuf", "reuse_port", "v6only"}));
  WAYPORT_TRY_ASSIGN(TcpOptions options, read_common(address));
  WAYPORT_TRY_ASSIGN(const auto reuse_port, bool_parameter(address, "reuse_port"));
  WAYPORT_TRY_ASSIGN(const auto v6only, bool_parameter(address, "v6only"));
  options.reuse_port = reuse_port.value_or(false);
  options.v6only = v6only.value_or(false);
  return options;
}

Result<void> TcpOptions::apply(int fd) const {
  if (nodelay) WAYPORT_TRY(set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1, "nodelay"));
  if (keepalive > Duration::zero()) {
    const int seconds = std::max(1, static_cast<int>(std::chrono::ceil<std::chrono::seconds>(keepalive).count()));
    WAYPORT_TRY(set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "keepalive"));
    WAYPORT_TRY(set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds, "keepalive"));
    WAYPORT_TRY(set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, seconds / 3), "keepalive"));
    WAYPORT_TRY(set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3, "keepalive"));
  }
  if (sndbuf) WAYPORT_TRY(set_option(fd, SOL_SOCKET, SO_SNDBUF, static_cast<int>(*sndbuf), "sndbuf"));
  if (rcvbuf) WAYPORT_TRY(set_option(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(*rcvbuf), "rcvbuf"));
  if (!congestion.empty() && ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion.data(),
                                          static_cast<socklen_t>(congestion.size())) != 0) {
    return fail(system_error(errno, "congestion=" + congestion));
  }
  return {};
}

}  // namespace wayport::transport
