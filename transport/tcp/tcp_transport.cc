#include "wayport/transport/tcp/tcp_transport.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "wayport/transport/socket_listener.h"
#include "wayport/transport/sockets.h"
#include "wayport/transport/tcp/tcp_dial.h"
#include "wayport/transport/tcp/tcp_options.h"

namespace wayport::transport {
namespace {

Result<void> check_place(const Address& address) {
  if (address.layers().size() != 1) {
    return fail(ErrorCode::unsupported, "tcp has nothing below it: " + address.to_log());
  }
  if (!address.path().empty()) {
    return fail(ErrorCode::invalid_argument, "a tcp address has no path: " + address.to_log());
  }
  return {};
}

Result<TcpOptions> check_dial(const Address& address) {
  WAYPORT_TRY(check_place(address));
  if (address.host().empty()) return fail(ErrorCode::invalid_argument, "no host to dial: " + address.to_log());
  if (address.port() == 0) return fail(ErrorCode::invalid_argument, "no port to dial: " + address.to_log());
  return TcpOptions::for_dial(address);
}

// Where a listener binds, best first.
Result<std::vector<SocketAddress>> bind_addresses(const Address& address) {
  const std::uint16_t port = address.port();
  if (address.host().empty()) {
    std::vector<SocketAddress> any = resolve_literally("::", port);
    any.push_back(resolve_literally("0.0.0.0", port).front());
    return any;
  }
  std::vector<SocketAddress> found = resolve_literally(address.host(), port);
  if (found.empty()) found = resolve_from_hosts_file(address.host(), port);
  if (found.empty()) {
    return fail(ErrorCode::not_found, address.to_log() + ": a listener takes an IP address or a name from /etc/hosts");
  }
  return found;
}

Result<Fd> bind_and_listen(const SocketAddress& where, const TcpOptions& tcp, int backlog) {
  WAYPORT_TRY_ASSIGN(Fd fd, open_stream_socket(where.family()));
  WAYPORT_TRY(set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"));
  if (tcp.reuse_port) WAYPORT_TRY(set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1, "reuse_port"));
  if (where.family() == AF_INET6) {
    WAYPORT_TRY(set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, tcp.v6only ? 1 : 0, "v6only"));
  }
  WAYPORT_TRY(tcp.apply(fd.get()));
  sockaddr_storage address{};
  const socklen_t size = where.store(address);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    return fail(system_error(errno, "bind " + where.to_string()));
  }
  if (::listen(fd.get(), backlog) != 0) return fail(system_error(errno, "listen on " + where.to_string()));
  return fd;
}

Result<Fd> open_listening(const Address& address, const TcpOptions& tcp, const ListenOptions& options) {
  if (options.inherited_fd >= 0) {
    const std::uint16_t port = own_address(options.inherited_fd).port();
    if (address.port() != 0 && port != address.port()) {
      return fail(ErrorCode::invalid_argument, "inherited descriptor " + std::to_string(options.inherited_fd) +
                                                   " has port " + std::to_string(port) + ", not that of " +
                                                   address.to_log());
    }
    WAYPORT_TRY_ASSIGN(Fd fd, take_listening_socket(options.inherited_fd, {AF_INET, AF_INET6}));
    if (Result<void> set = tcp.apply(fd.get()); !set) {
      fd.release();
      return fail(set.error());
    }
    return fd;
  }
  WAYPORT_TRY_ASSIGN(const auto places, bind_addresses(address));
  Result<Fd> fd = fail(ErrorCode::internal, "nowhere to bind");
  for (const SocketAddress& place : places) {
    fd = bind_and_listen(place, tcp, options.backlog);
    if (fd) return fd;
    // Only a family that this machine does not have leads on to the next.
    const int why = fd.error().cause.value();
    if (why != EAFNOSUPPORT && why != EADDRNOTAVAIL) break;
  }
  return fd;
}

Result<PeerInfo> adopt(int fd, const SocketAddress& remote) {
  PeerInfo peer;
  peer.remote = remote;
  peer.local = own_address(fd);
  return peer;
}

}  // namespace

std::unique_ptr<Dial> TcpTransport::dial(const Transports&, Loop& loop, const Address& address,
                                         const DialOptions& options, OnDialed on_done) const {
  Result<TcpOptions> tcp = check_dial(address);
  if (!tcp) return failed_dial(loop, std::move(tcp.error()), std::move(on_done));
  return dial_tcp(loop, address, *tcp, options, resolver_, std::move(on_done));
}

Result<std::unique_ptr<Listener>> TcpTransport::listen(const Transports&, Loop& loop, const Address& address,
                                                       const ListenOptions& options) const {
  WAYPORT_TRY(check_place(address));
  WAYPORT_TRY_ASSIGN(const TcpOptions tcp, TcpOptions::for_listen(address));
  WAYPORT_TRY_ASSIGN(Fd fd, open_listening(address, tcp, options));
  Address bound = address;
  bound.set_port(own_address(fd.get()).port());
  return std::make_unique<SocketListener>(loop, std::move(fd), std::move(bound), options, adopt);
}

}  // namespace wayport::transport
