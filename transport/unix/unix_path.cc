#include "wayport/transport/unix/unix_path.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "wayport/base/bytes.h"
#include "wayport/transport/sockets.h"

namespace wayport::transport {
namespace {

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Held while it lives. No lock where the directory cannot be read, or somebody keeps it: then the small race remains.
Fd lock_directory(const std::string& path) {
  Fd directory(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) {
    // Whoever can read the directory can hold its lock, so it is asked for, not waited for without end.
    constexpr int kTries = 20;
    constexpr int kPauseMs = 10;
    for (int i = 0; i < kTries && ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0; ++i) ::poll(nullptr, 0, kPauseMs);
  }
  return directory;
}

Result<bool> answers(const SocketAddress& where) {
  WAYPORT_TRY_ASSIGN(const Fd probe, open_stream_socket(AF_UNIX));
  sockaddr_storage address{};
  const socklen_t size = where.store(address);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) return true;
  return errno != ECONNREFUSED && errno != ENOENT;  // a full backlog, for instance, is life
}

std::unexpected<Error> in_the_way(const std::string& path, std::string_view why) {
  return fail(ErrorCode::refused, "cannot listen on " + escape(path) + ": " + std::string(why));
}

Result<void> remove_dead_socket(const std::string& path, const SocketAddress& where) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return fail(system_error(errno, "look at " + escape(path)));
  }
  if (!S_ISSOCK(status.st_mode)) return in_the_way(path, "there is a file that is no socket");
  if (status.st_uid != ::geteuid()) return in_the_way(path, "there is a socket of another user");
  WAYPORT_TRY_ASSIGN(const bool alive, answers(where));
  if (alive) return in_the_way(path, "another process listens there");
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(system_error(errno, "unlink " + escape(path)));
  return {};
}

// The umask may have taken bits away. By descriptor, so that no link put there meanwhile is followed.
Result<void> set_mode(const std::string& path, mode_t mode) {
  const Fd file(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0) return fail(system_error(errno, "look at " + escape(path)));
  if ((status.st_mode & 07777) == mode) return {};
  if (!S_ISSOCK(status.st_mode)) return in_the_way(path, "the socket was replaced while it was made");
  const std::string name = "/proc/self/fd/" + std::to_string(file.get());
  if (::chmod(name.c_str(), mode) != 0) return fail(system_error(errno, "set the mode of " + escape(path)));
  return {};
}

Result<void> bind_to(int fd, const SocketAddress& where) {
  sockaddr_storage address{};
  const socklen_t size = where.store(address);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return {};
  if (errno == EADDRINUSE) return in_the_way(where.to_string(), "another process listens there");
  return fail(system_error(errno, "bind " + escape(where.to_string())));
}

Result<void> start_listening(int fd, const SocketAddress& where, int backlog) {
  if (::listen(fd, backlog) == 0) return {};
  return fail(system_error(errno, "listen on " + escape(where.to_string())));
}

}  // namespace

std::optional<FileIdentity> socket_file(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return std::nullopt;
  return FileIdentity{status.st_dev, status.st_ino};
}

Result<Fd> listen_on_path(const std::string& path, mode_t mode, int backlog) {
  WAYPORT_TRY_ASSIGN(const SocketAddress where, SocketAddress::from_unix(path));
  const Fd lock = lock_directory(path);
  WAYPORT_TRY(remove_dead_socket(path, where));
  WAYPORT_TRY_ASSIGN(Fd fd, open_stream_socket(AF_UNIX));
  // Before bind() this is the mode that the file is born with (less the umask); until listen() nobody can connect.
  if (::fchmod(fd.get(), mode) != 0) return fail(system_error(errno, "set the mode of a socket"));
  WAYPORT_TRY(bind_to(fd.get(), where));
  const std::optional<FileIdentity> made = socket_file(path);
  Result<void> ready = set_mode(path, mode);
  if (ready) ready = start_listening(fd.get(), where, backlog);
  if (!ready) {
    if (made) unlink_if_same(path, *made);
    return fail(ready.error());
  }
  return fd;
}

Result<Fd> listen_on_abstract(const std::string& name, int backlog) {
  WAYPORT_TRY_ASSIGN(const SocketAddress where, SocketAddress::from_unix(name));
  WAYPORT_TRY_ASSIGN(Fd fd, open_stream_socket(AF_UNIX));
  WAYPORT_TRY(bind_to(fd.get(), where));
  WAYPORT_TRY(start_listening(fd.get(), where, backlog));
  return fd;
}

void unlink_if_same(const std::string& path, const FileIdentity& identity) noexcept {
  if (socket_file(path) == identity) ::unlink(path.c_str());
}

}  // namespace wayport::transport
