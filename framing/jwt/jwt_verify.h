// JwtVerifier: whether a JSON Web Token (RFC 7519, compact form) may be believed, and what it says. Rules: spec/route 3.4.
//
//   auto key = JwtKey::public_key("2026-11", JwtAlgorithm::es256, pem);
//   auto verifier = JwtVerifier::make({*key}, {.issuer = "https://login.example", .audience = "orders"});
//   Result<JwtClaims> claims = verifier->verify(token, now);
//   if (claims) greet(claims->text("sub"));
//
// Not a client of key servers, and nothing that a token points to is fetched: `jku`, `x5u` and `jwk` are ignored. Pure: no
// I/O, no clock. Errors are for logs: they never contain the token, its signature or a secret; tell the peer only that it
// was refused.
//
// verify() may be called by any number of threads. Its cost is bounded by the token's size and the check of one signature by
// one key, which was read when it was made: anybody may send tokens, before any authentication.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/framing/jwt/jwt_key.h"

namespace wayport::framing {

inline constexpr std::chrono::seconds kJwtLeewayMax{30};
inline constexpr std::size_t kJwtKeysMax = 64;

struct JwtOptions {
  std::chrono::seconds leeway{10};  // that clocks may differ; at most kJwtLeewayMax
  bool require_expiry = true;       // tokens without `exp` are refused
  std::string issuer{};             // what `iss` must be; empty: not checked
  std::string audience{};           // what `aud` must be or contain; empty: not checked
  std::size_t token_bytes_max = 4096;
};

// What a verified token says. Cheap to copy.
class JwtClaims {
 public:
  // nullopt: absent, or of another type.
  std::optional<std::string> text(std::string_view name) const;
  std::optional<std::int64_t> integer(std::string_view name) const;  // whole numbers written without a fraction
  std::optional<bool> boolean(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;  // a string, or the strings of an array: as `aud`
  bool has(std::string_view name) const;
  const std::string& payload() const noexcept;  // the whole JSON object
  const std::string& key_id() const noexcept;   // of the key that signed it
  // From when on it is no longer valid (leeway not counted); nullopt: never.
  std::optional<std::chrono::sys_seconds> expires() const noexcept;

 private:
  friend class JwtVerifier;
  struct Content;
  explicit JwtClaims(std::shared_ptr<const Content> content) noexcept : content_(std::move(content)) {}
  std::shared_ptr<const Content> content_;
};

class JwtVerifier {
 public:
  // Where several keys have one algorithm, tokens need a `kid`. invalid_argument: no key, more than kJwtKeysMax, two with one
  // id, one without id beside others of its algorithm, a leeway over kJwtLeewayMax or below zero.
  static Result<JwtVerifier> make(std::vector<JwtKey> keys, JwtOptions options = {});

  // too_large, malformed (no token, or claims of the wrong type), unsupported (`crit`, an algorithm that no key has),
  // not_found (`kid`, or none where it is needed), refused (signature, times, issuer, audience).
  Result<JwtClaims> verify(std::string_view token, std::chrono::sys_seconds now) const;

 private:
  JwtVerifier(std::vector<JwtKey> keys, JwtOptions options) : keys_(std::move(keys)), options_(std::move(options)) {}
  // The only key that may have signed such a token.
  Result<const JwtKey*> choose(const std::optional<std::string>& key_id, JwtAlgorithm algorithm) const;
  Result<void> check_claims(const JwtClaims::Content& content, std::chrono::sys_seconds now) const;

  std::vector<JwtKey> keys_;
  JwtOptions options_;
};

}  // namespace wayport::framing
