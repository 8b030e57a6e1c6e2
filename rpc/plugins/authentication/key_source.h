// Where secret keys come from: a file or the environment, so that they stand in no program and no command line.
#pragma once

#include <string>

#include "wayport/base/result.h"
#include "wayport/rpc/plugins/authentication/secret_keys.h"

namespace wayport::rpc {

inline constexpr std::size_t kKeyFileBytesMax = 1 << 20;

// A regular file that belongs to this user or to root, and that nobody else may read or write (mode 0600 or less): refused
// otherwise, with the chmod that mends it. At most kKeyFileBytesMax.
Result<SecretKeys> secret_keys_from_file(const std::string& path);
// The lines of a file in a variable. not_found: it is not set.
Result<SecretKeys> secret_keys_from_environment(const std::string& variable);

}  // namespace wayport::rpc
