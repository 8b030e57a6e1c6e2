// The file of a listening unix socket: made so that nobody connects before its mode is right, and removed only by us.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "wayport/base/socket.h"

namespace wayport::transport {

// Which file it is, however often the path has changed hands.
struct FileIdentity {
  dev_t device;
  ino_t inode;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};
std::optional<FileIdentity> socket_file(const std::string& path);  // nullopt: no socket there

// Binds and listens. `path` is absolute. A socket file that is in the way is unlinked if it is ours (same user) and
// dead (connect is refused); anything else stays, and this fails with refused. The directory is locked meanwhile, so
// that two starting processes do not take each other's new socket for a dead one.
Result<Fd> listen_on_path(const std::string& path, mode_t mode, int backlog);
// "@name", in the abstract name space: no file, no mode.
Result<Fd> listen_on_abstract(const std::string& name, int backlog);

// Unlinks `path` if it is still that file.
void unlink_if_same(const std::string& path, const FileIdentity& identity) noexcept;

}  // namespace wayport::transport
