// What both ways of authentication (shared_secret.h, jwt.h) leave with a session.
#pragma once

#include <string>
#include <string_view>

#include "wayport/rpc/session.h"
#include "wayport/rpc/session_store.h"

namespace wayport::rpc {

// In the session's store, as std::string: who the dialling side has proven to be. Set on the accepting side only.
inline constexpr std::string_view kAuthIdentityKey = "auth.identity";

// Longest identity; a longer one is refused.
inline constexpr std::size_t kAuthIdentityBytesMax = 256;

// Empty: the session was not authenticated. Any thread.
inline std::string authenticated_identity(const Session& session) {
  return session.store().get<std::string>(kAuthIdentityKey).value_or(std::string());
}

}  // namespace wayport::rpc
