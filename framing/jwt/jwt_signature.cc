#include "wayport/framing/jwt/jwt_signature.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <jwt/jwt.hpp>

namespace wayport::framing {
namespace {

jwt::string_view view(std::string_view text) { return {text.data(), text.size()}; }

// cpp-jwt's own verification compares with an ordinary memcmp.
template <class Hash>
bool mac_holds(std::string_view key, std::string_view signed_part, std::string_view signature) {
  const auto [mac, error] = jwt::HMACSign<Hash>::sign(view(key), view(signed_part));
  return !error && !mac.empty() && mac.size() == signature.size() &&
         CRYPTO_memcmp(mac.data(), signature.data(), mac.size()) == 0;
}

template <class Hash>
bool public_holds(std::string_view pem, std::string_view signed_part, std::string_view signature_text) {
  const auto [holds, error] = jwt::PEMSign<Hash>::verify(view(pem), view(signed_part), view(signature_text));
  return holds && !error;
}

bool holds(JwtAlgorithm algorithm, std::string_view key, std::string_view part, std::string_view signature,
           std::string_view text) {
  switch (algorithm) {
    case JwtAlgorithm::hs256:
      return mac_holds<jwt::algo::HS256>(key, part, signature);
    case JwtAlgorithm::hs384:
      return mac_holds<jwt::algo::HS384>(key, part, signature);
    case JwtAlgorithm::hs512:
      return mac_holds<jwt::algo::HS512>(key, part, signature);
    case JwtAlgorithm::rs256:
      return public_holds<jwt::algo::RS256>(key, part, text);
    case JwtAlgorithm::rs384:
      return public_holds<jwt::algo::RS384>(key, part, text);
    case JwtAlgorithm::rs512:
      return public_holds<jwt::algo::RS512>(key, part, text);
    case JwtAlgorithm::es256:
      return public_holds<jwt::algo::ES256>(key, part, text);
    case JwtAlgorithm::es384:
      return public_holds<jwt::algo::ES384>(key, part, text);
    case JwtAlgorithm::es512:
      return public_holds<jwt::algo::ES512>(key, part, text);
  }
  return false;
}

}  // namespace

bool jwt_signature_holds(JwtAlgorithm algorithm, std::string_view key, std::string_view signed_part,
                         std::string_view signature, std::string_view signature_text) noexcept {
  bool good = false;
  try {
    good = holds(algorithm, key, signed_part, signature, signature_text);
  } catch (...) {
  }
  // A refused signature must not look like an error of the next TLS call on this thread.
  ERR_clear_error();
  return good;
}

}  // namespace wayport::framing
