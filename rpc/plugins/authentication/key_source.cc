#include "wayport/rpc/plugins/authentication/key_source.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "wayport/base/bytes.h"
#include "wayport/base/socket.h"

namespace wayport::rpc {
namespace {

Result<void> check_private(const std::string& path, const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::invalid_argument, "key file " + path + " is no regular file");
  if (status.st_uid != geteuid() && status.st_uid != 0) {
    return fail(ErrorCode::refused, "key file " + path + " belongs to user " + std::to_string(status.st_uid) +
                                        ", neither to this one nor to root");
  }
  if ((status.st_mode & 077) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(status.st_mode & 07777));
    return fail(ErrorCode::refused,
                "key file " + path + " has mode " + mode + ", so that others may see its secrets: chmod 600 " + path);
  }
  if (static_cast<std::size_t>(status.st_size) > kKeyFileBytesMax) {
    return fail(ErrorCode::too_large, "key file " + path + " has " + std::to_string(status.st_size) +
                                          " bytes; allowed are " + std::to_string(kKeyFileBytesMax));
  }
  return {};
}

}  // namespace

Result<SecretKeys> secret_keys_from_file(const std::string& path) {
  // Not blocking: a FIFO must not hang the start.
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return fail(system_error(errno, "cannot open key file " + path));
  struct stat status{};
  if (fstat(file.get(), &status) != 0) return fail(system_error(errno, "cannot look at key file " + path));
  WAYPORT_TRY(check_private(path, status));
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(system_error(errno, "cannot read key file " + path));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  Result<SecretKeys> keys = SecretKeys::parse(std::string_view(text).substr(0, size), path);
  OPENSSL_cleanse(text.data(), text.size());
  return keys;
}

Result<SecretKeys> secret_keys_from_environment(const std::string& variable) {
  const char* text = std::getenv(variable.c_str());
  if (text == nullptr) return fail(ErrorCode::not_found, "the environment has no variable " + variable + " with keys");
  return SecretKeys::parse(text, "$" + variable);
}

}  // namespace wayport::rpc
