// How a server proves to the gateway that it knows the key (spec/link.md 4):
//
//     gateway -> server    challenge            8 bytes, random
//     server  -> gateway   MD5 | server id      16 bytes, u32 little endian
//
// MD5 is over the challenge followed by the key, both as they are; the empty key is hashed like any other. Success is
// silent, and frames may follow in the same segment. The scheme is the original's: MD5 without mutual authentication,
// the id not covered. Whoever can, wraps the server side in TLS.
//
// Pure; any thread. The caller supplies random bytes for the challenge, and the time limit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"

namespace wayport::link {

inline constexpr std::size_t kChallengeBytes = 8;
inline constexpr std::size_t kAuthDigestBytes = 16;
inline constexpr std::size_t kAuthResponseBytes = kAuthDigestBytes + 4;

using Challenge = std::array<std::byte, kChallengeBytes>;
using AuthDigest = std::array<std::byte, kAuthDigestBytes>;
using AuthResponse = std::array<std::byte, kAuthResponseBytes>;

// Error `unsupported`: this system's OpenSSL refuses MD5 (a FIPS configuration); such a machine cannot take part.
Result<AuthDigest> auth_digest(const Challenge& challenge, Bytes key);

// The server's answer.
Result<AuthResponse> encode_auth_response(const Challenge& challenge, Bytes key, std::uint32_t server_id);

// The gateway's check; gives the server id. The digests are compared in a time that does not depend on where they
// differ. `refused`: another key. `malformed`: `response` has not exactly kAuthResponseBytes.
Result<std::uint32_t> check_auth_response(const Challenge& challenge, Bytes key, Bytes response);

}  // namespace wayport::link
