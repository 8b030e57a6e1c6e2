// What the two sides of the shared-secret exchange prove to each other; the README beside this gives the exchange. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "wayport/base/bytes.h"

namespace wayport::rpc {

inline constexpr std::size_t kAuthNonceBytes = 32;
inline constexpr std::size_t kAuthProofBytes = 32;
using AuthNonce = std::array<std::byte, kAuthNonceBytes>;
using AuthProof = std::array<std::byte, kAuthProofBytes>;

// What both sides have seen.
struct AuthTranscript {
  std::string_view context;  // configured on both sides
  std::string_view key_id;
  std::string_view server;  // whom the client means to reach: a TLS server name, an address, or empty
  Bytes client_nonce;
  Bytes server_nonce;
};

enum class AuthRole : unsigned char { client, server };

// HMAC-SHA-256(secret, F("wayport-auth-1") F(role) F(context) F(key_id) F(server) F(client_nonce) F(server_nonce)), where F(x)
// is the length of x as u32, big endian, then x, and role is "client" or "server".
//
// A proof says: somebody who has the key took part in this exchange, now, in this role, for this context, with a client that
// meant to reach `server`. The role makes one side's proof useless as the other's (reflection), the nonces make it useless
// later (replay), the context elsewhere. It does not say that this somebody is at the other end of the connection: whoever
// passes all packets on unchanged (relay) is believed, unless the server compares `server` with its own names, or TLS below
// has verified the server. The names do not help against somebody who sits on the way to the right address; TLS does.
AuthProof auth_proof(std::string_view secret, AuthRole role, const AuthTranscript& transcript);
// In constant time for proofs of the right length.
bool auth_proof_holds(std::string_view secret, AuthRole role, const AuthTranscript& transcript, Bytes proof);

}  // namespace wayport::rpc
