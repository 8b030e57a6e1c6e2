#include "wayport/transport/snet/dh64.h"

namespace wayport::transport::snet {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t kFold = 59;  // 2^64 mod p

std::uint64_t multiply(std::uint64_t a, std::uint64_t b) noexcept {
  Wide value = static_cast<Wide>(a) * b;
  value = static_cast<Wide>(static_cast<std::uint64_t>(value)) + (value >> 64) * kFold;  // below 2^70
  value = static_cast<Wide>(static_cast<std::uint64_t>(value)) + (value >> 64) * kFold;  // below 2^64 + 59 * 64
  value = static_cast<Wide>(static_cast<std::uint64_t>(value)) + (value >> 64) * kFold;  // below 2^64
  const auto folded = static_cast<std::uint64_t>(value);
  const std::uint64_t too_large = 0 - static_cast<std::uint64_t>(folded >= kDhPrime);
  return folded - (kDhPrime & too_large);
}

}  // namespace

std::uint64_t dh64_power(std::uint64_t base, std::uint64_t exponent) noexcept {
  std::uint64_t result = 1;
  for (int bit = 63; bit >= 0; --bit) {
    result = multiply(result, result);
    const std::uint64_t with_base = multiply(result, base);
    const std::uint64_t set = 0 - ((exponent >> bit) & 1);
    result = (with_base & set) | (result & ~set);
  }
  return result;
}

Result<std::uint64_t> dh64_public(std::uint64_t private_key) {
  if (private_key == 0) return fail(ErrorCode::invalid_argument, "snet key agreement: the private key is 0");
  return dh64_power(kDhGenerator, private_key);
}

Result<std::uint64_t> dh64_secret(std::uint64_t private_key, std::uint64_t peer_public) {
  if (private_key == 0) return fail(ErrorCode::invalid_argument, "snet key agreement: the private key is 0");
  if (dh64_is_weak(peer_public)) {
    return fail(ErrorCode::malformed,
                "snet key agreement: the peer's public key is weak: " + std::to_string(peer_public));
  }
  return dh64_power(peer_public, private_key);
}

KeyPair dh64_draw(RandomSource& random) {
  for (;;) {
    const std::uint64_t private_key = draw_u64(random);
    const std::uint64_t public_key = dh64_power(kDhGenerator, private_key);
    if (private_key != 0 && !dh64_is_weak(public_key)) return {private_key, public_key};
  }
}

Key key_of(std::uint64_t secret) noexcept {
  Key key;
  store_le(key.data(), secret);
  return key;
}

}  // namespace wayport::transport::snet
