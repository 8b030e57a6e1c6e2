// Key agreement in snet's 64-bit group (spec/snet.md, section 2): p = 2^64 - 59, g = 5.
//
// Not security: the group is small enough to be solved, and nobody is authenticated. Own arithmetic rather than
// OpenSSL's BIGNUM, because every number fits a register: 2^64 is 59 modulo p, so a product is folded twice and reduced,
// in the same steps whatever the exponent. Pure.
#pragma once

#include <cstdint>

#include "wayport/base/result.h"
#include "wayport/transport/snet/crypto.h"

namespace wayport::transport::snet {

inline constexpr std::uint64_t kDhPrime = 0xffff'ffff'ffff'ffc5;
inline constexpr std::uint64_t kDhGenerator = 5;

// base^exponent mod p, below p for every input.
std::uint64_t dh64_power(std::uint64_t base, std::uint64_t exponent) noexcept;

// Public keys that make the secret a constant, or that no honest peer sends: 0, 1, p - 1, and p or more.
constexpr bool dh64_is_weak(std::uint64_t public_key) noexcept { return public_key <= 1 || public_key >= kDhPrime - 1; }

// Errors: invalid_argument for private key 0, which has no public key.
Result<std::uint64_t> dh64_public(std::uint64_t private_key);
// Errors: invalid_argument for private key 0; malformed for a weak public key, which the original accepts (but for 0).
Result<std::uint64_t> dh64_secret(std::uint64_t private_key, std::uint64_t peer_public);

struct KeyPair {
  std::uint64_t private_key;
  std::uint64_t public_key;
};
// Draws until the public key is not weak (once, practically always).
KeyPair dh64_draw(RandomSource& random);

Key key_of(std::uint64_t secret) noexcept;

}  // namespace wayport::transport::snet
