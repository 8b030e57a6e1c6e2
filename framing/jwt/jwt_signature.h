// Signatures of tokens, by cpp-jwt. Internal to framing/jwt.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace wayport::framing {

// The algorithms of spec/route 3.4; there is no `none`.
enum class JwtAlgorithm : std::uint8_t { hs256, hs384, hs512, rs256, rs384, rs512, es256, es384, es512 };

// Whether `signature` (decoded; `signature_text` is the same in base64url) of `signed_part` was made with `key`: the secret of
// HS algorithms, the PEM text of a public key of the others. Anything that goes wrong is a no. HMACs are compared in
// constant time.
bool jwt_signature_holds(JwtAlgorithm algorithm, std::string_view key, std::string_view signed_part,
                         std::string_view signature, std::string_view signature_text) noexcept;

}  // namespace wayport::framing
