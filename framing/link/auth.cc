#include "wayport/framing/link/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <string>

namespace wayport::link {

Result<AuthDigest> auth_digest(const Challenge& challenge, Bytes key) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  AuthDigest digest{};
  if (!context || EVP_DigestInit_ex(context.get(), EVP_md5(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), challenge.data(), challenge.size()) != 1 ||
      EVP_DigestUpdate(context.get(), key.data(), key.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr) != 1) {
    return fail(ErrorCode::unsupported,
                "OpenSSL refuses MD5, which link servers authenticate with; is it configured for FIPS only?");
  }
  return digest;
}

Result<AuthResponse> encode_auth_response(const Challenge& challenge, Bytes key, std::uint32_t server_id) {
  WAYPORT_TRY_ASSIGN(const AuthDigest digest, auth_digest(challenge, key));
  AuthResponse response;
  std::ranges::copy(digest, response.begin());
  store_le(response.data() + kAuthDigestBytes, server_id);
  return response;
}

Result<std::uint32_t> check_auth_response(const Challenge& challenge, Bytes key, Bytes response) {
  if (response.size() != kAuthResponseBytes) {
    return fail(ErrorCode::malformed, "a server's answer to the challenge has " + std::to_string(response.size()) +
                                          " bytes instead of " + std::to_string(kAuthResponseBytes));
  }
  WAYPORT_TRY_ASSIGN(const AuthDigest digest, auth_digest(challenge, key));
  const auto server_id = load_le<std::uint32_t>(response.data() + kAuthDigestBytes);
  if (CRYPTO_memcmp(digest.data(), response.data(), kAuthDigestBytes) != 0) {
    return fail(ErrorCode::refused, "server " + std::to_string(server_id) +
                                        " has another key than this gateway (ServerAuthKey); compare the two");
  }
  return server_id;
}

}  // namespace wayport::link
