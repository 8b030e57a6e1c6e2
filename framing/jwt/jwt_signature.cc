#include "wayport/framing/jwt/jwt_signature.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <jwt/jwt.hpp>
#include <string>

namespace wayport::framing {
namespace {

jwt::string_view view(std::string_view text) { return {text.data(), text.size()}; }
const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

// cpp-jwt's own verification compares with an ordinary memcmp.
template <class Hash>
bool mac_holds(std::string_view key, std::string_view signed_part, std::string_view signature) {
  const auto [mac, error] = jwt::HMACSign<Hash>::sign(view(key), view(signed_part));
  return !error && !mac.empty() && mac.size() == signature.size() &&
         CRYPTO_memcmp(mac.data(), signature.data(), mac.size()) == 0;
}

const EVP_MD* digest(JwtAlgorithm algorithm) {
  switch (algorithm) {
    case JwtAlgorithm::rs256:
    case JwtAlgorithm::es256:
      return EVP_sha256();
    case JwtAlgorithm::rs384:
    case JwtAlgorithm::es384:
      return EVP_sha384();
    case JwtAlgorithm::rs512:
    case JwtAlgorithm::es512:
      return EVP_sha512();
    default:
      return nullptr;
  }
}

// r and s as OpenSSL wants them, in DER; empty: none.
std::string der_of(std::string_view signature) {
  const std::size_t half = signature.size() / 2;
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(ECDSA_SIG_new(), &ECDSA_SIG_free);
  BIGNUM* const r = BN_bin2bn(bytes(signature), static_cast<int>(half), nullptr);
  BIGNUM* const s = BN_bin2bn(bytes(signature.substr(half)), static_cast<int>(half), nullptr);
  if (!pair || !r || !s || ECDSA_SIG_set0(pair.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  unsigned char* encoded = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &encoded);
  if (size <= 0) return {};
  std::string der(reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(size));
  OPENSSL_free(encoded);
  return der;
}

bool public_holds(JwtAlgorithm algorithm, const JwtPublicKey& key, std::string_view part, std::string_view signature) {
  const EVP_MD* const hash = digest(algorithm);
  if (!hash || !key) return false;
  std::string der;
  if (algorithm >= JwtAlgorithm::es256) {
    der = der_of(signature);
    signature = der;
  }
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  return context && !signature.empty() && EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(part), part.size()) == 1;
}

// A refused signature must not look like an error of the next TLS call on this thread.
template <class Check>
bool quietly(const Check& check) noexcept {
  bool good = false;
  try {
    good = check();
  } catch (...) {
  }
  ERR_clear_error();
  return good;
}

}  // namespace

bool jwt_mac_holds(JwtAlgorithm algorithm, std::string_view secret, std::string_view signed_part,
                   std::string_view signature) noexcept {
  return quietly([&] {
    switch (algorithm) {
      case JwtAlgorithm::hs256:
        return mac_holds<jwt::algo::HS256>(secret, signed_part, signature);
      case JwtAlgorithm::hs384:
        return mac_holds<jwt::algo::HS384>(secret, signed_part, signature);
      case JwtAlgorithm::hs512:
        return mac_holds<jwt::algo::HS512>(secret, signed_part, signature);
      default:
        return false;
    }
  });
}

bool jwt_signature_holds(JwtAlgorithm algorithm, const JwtPublicKey& key, std::string_view signed_part,
                         std::string_view signature) noexcept {
  return quietly([&] { return public_holds(algorithm, key, signed_part, signature); });
}

}  // namespace wayport::framing
