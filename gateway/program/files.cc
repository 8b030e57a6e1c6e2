#include "wayport/gateway/program/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::gateway {
namespace {

constexpr int kSafe = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
constexpr std::size_t kPidBytesMax = 32;

std::string quoted(const std::string& path) { return '"' + escape(path) + '"'; }

Result<Fd> open_regular(const std::string& path, int flags) {
  Fd file(::open(path.c_str(), flags | kSafe, 0644));
  if (!file) {
    Error error = system_error(errno, quoted(path));
    if (errno == ELOOP) error.detail += ": it is a symbolic link, which is not followed here";
    return fail(std::move(error));
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail(system_error(errno, quoted(path)));
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::refused, quoted(path) + " is no regular file");
  return file;
}

Result<void> write_all(int fd, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail(system_error(errno, "writing " + quoted(path)));
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  return {};
}

}  // namespace

Result<Fd> open_output(const std::string& path) {
  WAYPORT_TRY_ASSIGN(Fd file, open_regular(path, O_WRONLY | O_CREAT | O_NOFOLLOW));
  // Only now that it is known to be a plain file.
  if (::ftruncate(file.get(), 0) != 0) return fail(system_error(errno, "emptying " + quoted(path)));
  return file;
}

Result<void> write_file(const std::string& path, std::string_view text) {
  WAYPORT_TRY_ASSIGN(const Fd file, open_output(path));
  return write_all(file.get(), path, text);
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max, Links links) {
  WAYPORT_TRY_ASSIGN(const Fd file, open_regular(path, O_RDONLY | (links == Links::refuse ? O_NOFOLLOW : 0)));
  std::string text;
  std::array<char, 4096> piece;
  for (;;) {
    const ssize_t size = ::read(file.get(), piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail(system_error(errno, "reading " + quoted(path)));
    if (size == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(size));
    if (text.size() > bytes_max) {
      return fail(ErrorCode::too_large, quoted(path) + " has more than " + std::to_string(bytes_max) + " bytes");
    }
  }
}

Result<PidFile> PidFile::prepare(std::string path, pid_t own_pid) {
  if (path.empty() || own_pid == 1) return PidFile({}, own_pid, false);
  const bool existed = ::access(path.c_str(), F_OK) == 0;
  // Not emptied yet: it is the predecessor's until this process is ready.
  WAYPORT_TRY(open_regular(path, O_WRONLY | O_CREAT | O_NOFOLLOW));
  return PidFile(std::move(path), own_pid, !existed);
}

PidFile::PidFile(PidFile&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      own_pid_(other.own_pid_),
      created_(other.created_),
      written_(other.written_) {}

Result<void> PidFile::write() {
  if (path_.empty()) return {};
  WAYPORT_TRY(write_file(path_, std::to_string(own_pid_)));
  written_ = true;
  return {};
}

PidFile::~PidFile() {
  if (path_.empty() || (!written_ && !created_)) return;
  const Result<std::string> text = read_file(path_, kPidBytesMax);
  if (text && *text == (written_ ? std::to_string(own_pid_) : std::string())) ::unlink(path_.c_str());
}

}  // namespace wayport::gateway
