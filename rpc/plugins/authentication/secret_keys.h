// SecretKeys: shared secrets by id. Several at once make rotation possible: add the new one at the servers, move the clients,
// take the old one away.
//
//   2026-10        = base64:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=
//   2026-11@alice  = hex:00112233...            # the key 2026-11 proves the identity alice
//   # a comment
//
// One key per line: id, "=", secret; the identity is the id unless "@identity" follows it. Ids and identities are 1 to 64 of
// A-Z a-z 0-9 . _ -; a secret is base64:, hex:, or text as it stands. Secrets are wiped from memory with their last copy.
// Errors show neither side of a line, only its number: what stands on the left may be a secret without an id. Core: no I/O;
// files and the environment are read by key_source.h.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"

namespace wayport::rpc {

inline constexpr std::size_t kSecretBytesMin = 32;  // as many as the MAC has
inline constexpr std::size_t kSecretBytesMax = 1024;
inline constexpr std::size_t kSecretKeysMax = 1024;

class SecretKeys {
 public:
  struct Key {
    std::string id;
    std::string identity;
    std::shared_ptr<const std::string> secret;
  };

  // `source` names the text in errors, which have line numbers. invalid_argument: a line that is none, and what add() refuses.
  static Result<SecretKeys> parse(std::string_view text, std::string_view source);
  // invalid_argument: a bad or duplicate id, fewer than kSecretBytesMin bytes, more than kSecretBytesMax, a byte repeated
  // throughout, kSecretKeysMax reached.
  Result<void> add(std::string_view id, std::string_view secret, std::string_view identity = {});

  const Key* find(std::string_view id) const noexcept;  // nullptr: none
  const std::vector<Key>& all() const noexcept { return keys_; }
  bool empty() const noexcept { return keys_.empty(); }

 private:
  std::vector<Key> keys_;
};

}  // namespace wayport::rpc
