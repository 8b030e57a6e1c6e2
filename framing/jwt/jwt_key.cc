#include "wayport/framing/jwt/jwt_key.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <array>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::framing {
namespace {

struct Known {
  std::string_view name;
  std::size_t signature_bytes;  // RS: as the key's modulus
  const char* curve;            // ES
};
constexpr std::array<Known, 9> kKnown{{{"HS256", 32, nullptr},
                                       {"HS384", 48, nullptr},
                                       {"HS512", 64, nullptr},
                                       {"RS256", 0, nullptr},
                                       {"RS384", 0, nullptr},
                                       {"RS512", 0, nullptr},
                                       {"ES256", 64, "prime256v1"},
                                       {"ES384", 96, "secp384r1"},
                                       {"ES512", 132, "secp521r1"}}};

const Known& known(JwtAlgorithm algorithm) { return kKnown[static_cast<std::size_t>(algorithm)]; }
bool symmetric(JwtAlgorithm algorithm) { return algorithm <= JwtAlgorithm::hs512; }
bool elliptic(JwtAlgorithm algorithm) { return algorithm >= JwtAlgorithm::es256; }

std::shared_ptr<const std::string> keep(std::string_view material) {
  return {new std::string(material), [](std::string* text) {
            OPENSSL_cleanse(text->data(), text->size());
            delete text;
          }};
}

std::unexpected<Error> refuse(std::string_view id, JwtAlgorithm algorithm, std::string why) {
  const std::string named = id.empty() ? "without id" : escape(id);
  return fail(ErrorCode::invalid_argument,
              "token key " + named + " (" + std::string(to_string(algorithm)) + "): " + std::move(why));
}

}  // namespace

std::string_view to_string(JwtAlgorithm algorithm) noexcept { return known(algorithm).name; }

Result<JwtAlgorithm> parse_jwt_algorithm(std::string_view name) {
  for (std::size_t i = 0; i < kKnown.size(); ++i) {
    if (kKnown[i].name == name) return static_cast<JwtAlgorithm>(i);
  }
  return fail(ErrorCode::not_found, "algorithm " + escape(name, 32) +
                                        " is none of HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512");
}

Result<JwtKey> JwtKey::secret(std::string id, JwtAlgorithm algorithm, std::string_view bytes) {
  if (!symmetric(algorithm)) return refuse(id, algorithm, "this algorithm takes a public key, not a secret");
  if (bytes.find("-----BEGIN") != std::string_view::npos) {
    return refuse(id, algorithm, "the secret is a PEM file; a public key is no secret, choose RS or ES for it");
  }
  if (bytes.size() < kJwtSecretBytesMin) {
    return refuse(id, algorithm,
                  "the secret has " + std::to_string(bytes.size()) + " bytes; it needs " +
                      std::to_string(kJwtSecretBytesMin) + " or more");
  }
  JwtKey key(std::move(id), algorithm, known(algorithm).signature_bytes);
  key.secret_ = keep(bytes);
  return key;
}

Result<JwtKey> JwtKey::public_key(std::string id, JwtAlgorithm algorithm, std::string_view pem) {
  if (symmetric(algorithm)) return refuse(id, algorithm, "this algorithm takes a secret, not a public key");
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> source(
      BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<std::size_t>(pem.size(), 1 << 20))), &BIO_free_all);
  const JwtPublicKey key(source ? PEM_read_bio_PUBKEY(source.get(), nullptr, nullptr, nullptr) : nullptr,
                         &EVP_PKEY_free);
  ERR_clear_error();
  if (!key) return refuse(id, algorithm, "no public key in PEM form (BEGIN PUBLIC KEY) was given");
  if (!elliptic(algorithm)) {
    if (EVP_PKEY_get_id(key.get()) != EVP_PKEY_RSA) return refuse(id, algorithm, "the key is no RSA key");
    const int bits = EVP_PKEY_get_bits(key.get());
    if (bits < kJwtRsaBitsMin || bits > kJwtRsaBitsMax) {
      return refuse(id, algorithm,
                    "the RSA key has " + std::to_string(bits) + " bits; allowed are " + std::to_string(kJwtRsaBitsMin) +
                        " to " + std::to_string(kJwtRsaBitsMax));
    }
    JwtKey made(std::move(id), algorithm, static_cast<std::size_t>(EVP_PKEY_get_size(key.get())));
    made.public_key_ = key;
    return made;
  }
  char curve[64] = {};
  std::size_t size = 0;
  if (EVP_PKEY_get_id(key.get()) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(key.get(), curve, sizeof(curve), &size) != 1 ||
      std::string_view(curve) != known(algorithm).curve) {
    ERR_clear_error();
    return refuse(id, algorithm, std::string("the key is not on the curve ") + known(algorithm).curve);
  }
  JwtKey made(std::move(id), algorithm, known(algorithm).signature_bytes);
  made.public_key_ = key;
  return made;
}

bool JwtKey::holds(std::string_view signed_part, std::string_view signature) const noexcept {
  if (signature.size() != signature_bytes_) return false;
  return secret_ ? jwt_mac_holds(algorithm_, *secret_, signed_part, signature)
                 : jwt_signature_holds(algorithm_, public_key_, signed_part, signature);
}

}  // namespace wayport::framing
