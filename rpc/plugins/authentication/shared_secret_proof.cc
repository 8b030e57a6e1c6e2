#include "wayport/rpc/plugins/authentication/shared_secret_proof.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <string>

#include "wayport/base/result.h"

namespace wayport::rpc {
namespace {

void add_field(std::string& to, std::string_view field) {
  std::array<std::byte, 4> size;
  store_be<std::uint32_t>(size.data(), static_cast<std::uint32_t>(field.size()));
  to.append(as_text(size)).append(field);
}

}  // namespace

AuthProof auth_proof(std::string_view secret, AuthRole role, const AuthTranscript& transcript) {
  std::string text;
  add_field(text, "wayport-auth-1");
  add_field(text, role == AuthRole::client ? "client" : "server");
  add_field(text, transcript.context);
  add_field(text, transcript.key_id);
  add_field(text, transcript.server);
  add_field(text, as_text(transcript.client_nonce));
  add_field(text, as_text(transcript.server_nonce));
  AuthProof proof{};
  const unsigned char* made = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                                   reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                                   reinterpret_cast<unsigned char*>(proof.data()), nullptr);
  WAYPORT_ASSERT(made != nullptr, "OpenSSL has HMAC-SHA-256 in every configuration");
  return proof;
}

bool auth_proof_holds(std::string_view secret, AuthRole role, const AuthTranscript& transcript, Bytes proof) {
  const AuthProof expected = auth_proof(secret, role, transcript);
  return proof.size() == expected.size() && CRYPTO_memcmp(expected.data(), proof.data(), expected.size()) == 0;
}

}  // namespace wayport::rpc
