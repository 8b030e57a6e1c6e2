// Tokens: whatever comes, the verdict is the same twice, and nothing is believed but what the key really signed.
//
// Input: one byte of choices, then the token.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/framing/jwt/jwt_verify.h"

namespace wayport::framing {
namespace {

constexpr std::string_view kSecret = "wayport-test-secret-0123456789abcdef";
constexpr std::string_view kRsa =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmyKh4soo5hmcQXZLLqcw\n"
    "Xb4KOtV9JpFfYMbte1CvnVxjqwOsFAZBH+s3NKGdtWzeeOCp6/jAti9Ho0eFW5Bb\n"
    "vO0qSYq3+WeAxzc5xJ5GKB6B4YnqUHs9NGnEixkiqZOQYBbmsQ5lN+/25BGL0Vxu\n"
    "75vaVFcBYURXCRXb79LiOgEuOkjCq2+gGPZRs3HW6JWsRZQdgp2WYJkafk8Z5tKr\n"
    "urr/OVn0WOjI/Rj9t+R8lsEoJP4tfFjmrEQ1JxEW0BFA9Z1hlHsPIQG6iLJJoW/k\n"
    "HtSX+7Yzv8K7pD3w8dN4ZEo/N3okU/rM2C/wDAPCK/7USt5WBE8BBbAAv3JSkfQM\n"
    "dQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kEc =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEoc9CzEq8lQkmdLXIi2piArwdwBx6\n"
    "4XmomxVWEaHro9VQxO2GmYBs9wGDXdSWbnMo46ynOeavsM4YiTspFOrOLg==\n"
    "-----END PUBLIC KEY-----\n";

JwtVerifier make(JwtOptions options) {
  return *JwtVerifier::make(
      {*JwtKey::secret("", JwtAlgorithm::hs256, kSecret), *JwtKey::secret("384", JwtAlgorithm::hs384, kSecret),
       *JwtKey::secret("512", JwtAlgorithm::hs512, kSecret), *JwtKey::public_key("rsa", JwtAlgorithm::rs256, kRsa),
       *JwtKey::public_key("ec", JwtAlgorithm::es256, kEc)},
      std::move(options));
}

// Each member comes by its own kind, and by no other.
void check_claims(const JwtClaims& claims) {
  for (const char* const name : {"sub", "aud", "exp", "iat", "host", "port", "admin", "roles", "none of these"}) {
    const auto text = claims.text(name);
    const auto integer = claims.integer(name);
    const auto boolean = claims.boolean(name);
    const int kinds = (text ? 1 : 0) + (integer ? 1 : 0) + (boolean ? 1 : 0);
    WAYPORT_ASSERT(kinds <= (claims.has(name) ? 1 : 0), "a member has one kind, if it is there");
    if (text) WAYPORT_ASSERT(claims.texts(name) == std::vector<std::string>{*text}, "one text is a list of one");
    if (integer || boolean) WAYPORT_ASSERT(claims.texts(name).empty(), "a number is no text");
  }
  const std::string& key = claims.key_id();
  WAYPORT_ASSERT(key.empty() || key == "384" || key == "512" || key == "rsa" || key == "ec",
                 "a key that is configured");
}

}  // namespace
}  // namespace wayport::framing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::framing;
  static const JwtVerifier strict = make({});
  static const JwtVerifier loose = make({.leeway = std::chrono::seconds(30), .require_expiry = false});
  static const JwtVerifier here = make({.issuer = "wayport", .audience = "gate"});
  if (size == 0) return 0;
  const std::string_view token(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::chrono::sys_seconds now{std::chrono::seconds((data[0] & 1) != 0 ? 1'800'000'000 : 1'900'000'000)};
  const auto claims = strict.verify(token, now);
  const auto again = strict.verify(token, now);
  const auto easier = loose.verify(token, now);
  WAYPORT_ASSERT(claims.has_value() == again.has_value(), "the same token gets the same verdict");
  if (!claims) {
    WAYPORT_ASSERT(claims.error().to_string() == again.error().to_string(), "for the same reason");
    return 0;
  }
  WAYPORT_ASSERT(easier.has_value(), "fewer demands accept no less");
  WAYPORT_ASSERT(claims->expires() && *claims->expires() + std::chrono::seconds(10) > now,
                 "what has expired is refused");
  WAYPORT_ASSERT(token.size() <= 4096 && claims->payload().starts_with("{"), "a bounded object");
  check_claims(*claims);
  const auto ours = here.verify(token, now);
  const auto audience = claims->texts("aud");
  WAYPORT_ASSERT(
      ours.has_value() == (claims->text("iss") == "wayport" && std::ranges::find(audience, "gate") != audience.end()),
      "a token for somebody else, or of somebody else, is refused");
  // A changed signature is refused, whichever bit it is.
  std::string changed(token);
  const std::size_t at = changed.rfind('.') + 1 + data[0] % (changed.size() - changed.rfind('.') - 2);
  changed[at] = changed[at] == 'A' ? 'B' : 'A';
  WAYPORT_ASSERT(!strict.verify(changed, now).has_value(), "another signature is refused");
  return 0;
}
