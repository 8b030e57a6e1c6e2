// A server's answer passes exactly if its first 16 bytes are the digest, and then gives the id behind them.
//
// Input: challenge (8 bytes), a key size and that many bytes of key, then the answer, or (fewer than 20 bytes) nothing.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"
#include "wayport/framing/link/auth.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport;
  Bytes input(reinterpret_cast<const std::byte*>(data), size);
  if (input.size() < link::kChallengeBytes + 1) return 0;
  link::Challenge challenge;
  std::ranges::copy(input.first(link::kChallengeBytes), challenge.begin());
  input = input.subspan(link::kChallengeBytes);
  const std::size_t key_bytes = std::min(static_cast<std::size_t>(input[0]), input.size() - 1);
  const Bytes key = input.subspan(1, key_bytes);
  const Bytes answer = input.subspan(1 + key_bytes);

  const auto digest = link::auth_digest(challenge, key);
  WAYPORT_ASSERT(digest.has_value(), "this OpenSSL has MD5");
  const bool right =
      answer.size() == link::kAuthResponseBytes && std::ranges::equal(answer.first(link::kAuthDigestBytes), *digest);
  const Result<std::uint32_t> checked = link::check_auth_response(challenge, key, answer);
  WAYPORT_ASSERT(checked.has_value() == right, "exactly the digest passes");

  const std::uint32_t id = answer.size() < 4 ? 0 : load_le<std::uint32_t>(answer.data());
  const Result<link::AuthResponse> own = link::encode_auth_response(challenge, key, id);
  WAYPORT_ASSERT(own && link::check_auth_response(challenge, key, *own).value_or(~id) == id,
                 "our own answer passes, with its id");
  if (right) {
    WAYPORT_ASSERT(*checked == load_le<std::uint32_t>(answer.data() + link::kAuthDigestBytes), "the id is what came");
  }
  return 0;
}
