#include "wayport/base/service_manager.h"

#include <sys/time.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>

#include "wayport/base/bytes.h"

namespace wayport {
namespace {

constexpr const char* kVariable = "NOTIFY_SOCKET";

Result<std::string> status_line(std::string_view text) {
  if (text.find('\n') != std::string_view::npos) {
    return fail(ErrorCode::invalid_argument, "a status is one line: \"" + escape(text) + "\"");
  }
  return "STATUS=" + std::string(text);
}

}  // namespace

Result<ServiceManager> ServiceManager::from_environment() {
  const char* const socket = std::getenv(kVariable);
  if (!socket || *socket == '\0') return ServiceManager();
  Result<ServiceManager> manager = at(socket);
  if (!manager) manager.error().detail = std::string(kVariable) + ": " + manager.error().detail;
  return manager;
}

Result<ServiceManager> ServiceManager::at(std::string_view socket) {
  if (socket.size() < 2 || (socket[0] != '/' && socket[0] != '@')) {
    return fail(ErrorCode::invalid_argument,
                "\"" + escape(socket) + "\" is no unix socket: an absolute path, or @name of the abstract name space");
  }
  ServiceManager manager;
  WAYPORT_TRY_ASSIGN(manager.address_, SocketAddress::from_unix(socket));
  return manager;
}

Result<void> ServiceManager::ready(std::string_view text) const {
  if (text.empty()) return send("READY=1");
  WAYPORT_TRY_ASSIGN(const std::string line, status_line(text));
  return send("READY=1\n" + line);
}

Result<void> ServiceManager::reloading() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto micros =
      static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
  return send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(micros));
}

Result<void> ServiceManager::stopping() const { return send("STOPPING=1"); }

Result<void> ServiceManager::status(std::string_view text) const {
  WAYPORT_TRY_ASSIGN(const std::string line, status_line(text));
  return send(line);
}

Result<void> ServiceManager::main_pid(pid_t pid) const { return send("MAINPID=" + std::to_string(pid) + "\nREADY=1"); }

Result<void> ServiceManager::send(std::string_view message) const {
  if (!*this) return {};
  const std::string where = "service manager at " + escape(address_.to_string());
  if (message.size() > kMessageBytesMax) {
    return fail(ErrorCode::too_large, where + ": a message has at most " + std::to_string(kMessageBytesMax) +
                                          " bytes, not " + std::to_string(message.size()));
  }
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(system_error(errno, where + ": socket"));
  const timeval patience{std::chrono::duration_cast<std::chrono::seconds>(kPatience).count(), 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0) {
    return fail(system_error(errno, where + ": SO_SNDTIMEO"));
  }
  sockaddr_storage to{};
  const socklen_t size = address_.store(to);
  ssize_t sent = 0;
  do {
    sent =
        ::sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), size);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return fail(system_error(errno, where + ": sendto"));
  return {};
}

}  // namespace wayport
