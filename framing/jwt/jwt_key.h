// A key that tokens may be signed with. Its algorithm is fixed here and never chosen by a token (spec/route 3.4): a public
// key can therefore not be used as an HMAC secret.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/framing/jwt/jwt_signature.h"

namespace wayport::framing {

std::string_view to_string(JwtAlgorithm algorithm) noexcept;  // "HS256"
// Exactly as in a token's header, letter case included; not_found lists the names.
Result<JwtAlgorithm> parse_jwt_algorithm(std::string_view name);

inline constexpr std::size_t kJwtSecretBytesMin = 32;
inline constexpr int kJwtRsaBitsMin = 2048;
inline constexpr int kJwtRsaBitsMax = 16384;  // a larger one only costs time

class JwtKey {
 public:
  // HS256, HS384, HS512. `id` is what `kid` selects; empty: for tokens without one, and the only key of its algorithm then
  // (JwtVerifier::make). invalid_argument: another
  // algorithm, fewer than kJwtSecretBytesMin bytes, or text that looks like a PEM file.
  static Result<JwtKey> secret(std::string id, JwtAlgorithm algorithm, std::string_view bytes);
  // RS256 ... ES512, from the PEM text of a public key ("BEGIN PUBLIC KEY"), which is read here, once. invalid_argument: no
  // such key, of another kind or curve than the algorithm's, RSA of fewer than kJwtRsaBitsMin bits.
  static Result<JwtKey> public_key(std::string id, JwtAlgorithm algorithm, std::string_view pem);

  const std::string& id() const noexcept { return id_; }
  JwtAlgorithm algorithm() const noexcept { return algorithm_; }
  std::size_t signature_bytes() const noexcept { return signature_bytes_; }  // of every signature by it

 private:
  friend class JwtVerifier;
  JwtKey(std::string id, JwtAlgorithm algorithm, std::size_t signature_bytes)
      : id_(std::move(id)), algorithm_(algorithm), signature_bytes_(signature_bytes) {}
  bool holds(std::string_view signed_part, std::string_view signature) const noexcept;

  std::string id_;
  JwtAlgorithm algorithm_;
  std::size_t signature_bytes_;
  std::shared_ptr<const std::string> secret_;  // HS; wiped with its last owner
  JwtPublicKey public_key_;                    // RS, ES
};

}  // namespace wayport::framing
