// Signatures of tokens: MACs by cpp-jwt, public keys by OpenSSL, because cpp-jwt reads the PEM text again for each signature.
// Internal to framing/jwt.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string_view>

namespace wayport::framing {

// The algorithms of spec/route 3.4; there is no `none`.
enum class JwtAlgorithm : std::uint8_t { hs256, hs384, hs512, rs256, rs384, rs512, es256, es384, es512 };

using JwtPublicKey = std::shared_ptr<EVP_PKEY>;

// Whether `signature` (decoded) of `signed_part` was made with `secret`, by an HS algorithm. Compared in constant time. Anything
// that goes wrong is a no.
bool jwt_mac_holds(JwtAlgorithm algorithm, std::string_view secret, std::string_view signed_part,
                   std::string_view signature) noexcept;
// The same for RS and ES algorithms; `key` is of the algorithm's kind. ES: `signature` is r and s, of equal length (RFC 7518 3.4).
// Any number of threads may use one key.
bool jwt_signature_holds(JwtAlgorithm algorithm, const JwtPublicKey& key, std::string_view signed_part,
                         std::string_view signature) noexcept;

}  // namespace wayport::framing
