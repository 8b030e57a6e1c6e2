// ServiceManager: tells systemd, or whatever plays it, how the service is doing: the protocol of sd_notify(3), one
// datagram per message to the socket that NOTIFY_SOCKET names.
//
// Without that variable there is nobody to tell: every call succeeds and does nothing, so programs need no special
// case. Copyable; any thread. A call may wait for the manager's queue, at most kPatience.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/base/time.h"

namespace wayport {

class ServiceManager {
 public:
  static constexpr std::size_t kMessageBytesMax = 4096;  // what systemd reads of one message
  static constexpr Duration kPatience = std::chrono::seconds(1);

  ServiceManager() = default;  // nobody to tell
  // From NOTIFY_SOCKET, which stays set. invalid_argument: it names something that is no unix socket.
  static Result<ServiceManager> from_environment();
  // "/path" or "@abstract".
  static Result<ServiceManager> at(std::string_view socket);
  explicit operator bool() const noexcept { return address_.family() != AF_UNSPEC; }

  // --- errors: io, refused, not_found (nobody listens there), too_large, invalid_argument (a line end in a text) ---
  Result<void> ready(std::string_view status = {}) const;  // READY=1: started, or done reloading
  Result<void> reloading() const;                          // RELOADING=1 with the time; ready() follows
  Result<void> stopping() const;                           // STOPPING=1
  Result<void> status(std::string_view text) const;        // STATUS=: one line for people
  // MAINPID= and READY=1 in one message: `pid` is the service from now on, and it is ready. Only the main process may
  // say so under NotifyAccess=main, so the old one does.
  Result<void> main_pid(pid_t pid) const;
  // Lines of KEY=value as they are.
  Result<void> send(std::string_view message) const;

 private:
  SocketAddress address_;
};

}  // namespace wayport
