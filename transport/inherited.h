// InheritedSockets: the listening sockets that this process was started with: from a service manager (systemd's socket
// activation, sd_listen_fds(3)) or from the process that it replaces (base/restart.h).
//
//   auto inherited = InheritedSockets::from_environment();         // first in main()
//   peer_options.listen_options.inherited = &*inherited;           // each address takes the socket that is its own
//   for (const std::string& what : inherited->unused()) warn(what);
//
// An address takes the first socket, not taken before, that listens where it says (getsockname): tcp by address and
// port, kcp by the same of a datagram socket, unix by path or abstract name; port 0 takes any port. Listen on addresses with a port before those without.
//
// Used by one thread at a time; outlives the listeners that were given sockets by it.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/transport/address.h"

namespace wayport::transport {

class InheritedSockets {
 public:
  static constexpr int kFirst = 3;              // the first descriptor
  static constexpr std::size_t kMax = 1024;     // sockets; more are refused
  static constexpr std::size_t kNameMax = 255;  // bytes of one name
  // The name of a socket that a wayport process made: its heir unlinks the file of a unix socket at its end. Sockets of
  // other names belong to a service manager, which keeps the file.
  static constexpr std::string_view kOwnName = "wayport-own";

  InheritedSockets() = default;  // none
  // LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES, which are unset; the descriptors become close-on-exec and belong to the
  // result. None if LISTEN_FDS is unset or LISTEN_PID names another process. invalid_argument: the variables contradict
  // themselves, or a descriptor is not there.
  static Result<InheritedSockets> from_environment();
  // What the three variables (nullptr: unset) say to process `own_pid`: a name for each socket.
  static Result<std::vector<std::string>> parse(const char* fds, const char* pid, const char* names, pid_t own_pid);

  struct Taken {
    int fd;  // the taker's from now on
    bool keep_file;
  };
  // nullopt: none listens there.
  std::optional<Taken> take(const Address& address);
  // The name of a socket that was taken; kOwnName for any other.
  std::string name_of(int fd) const;
  // What nobody has taken, one line each, for people.
  std::vector<std::string> unused() const;
  void close_unused() { waiting_.clear(); }
  bool empty() const noexcept { return waiting_.empty(); }

 private:
  struct Waiting {
    Fd fd;
    std::string name;
  };
  std::vector<Waiting> waiting_;
  std::map<int, std::string> taken_;
};

}  // namespace wayport::transport
