// Tokens of spec/vectors/route.json, and what they do not cover, made here. The clock of the vectors stands.
#include "wayport/framing/jwt/jwt_verify.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <fstream>
#include <jwt/jwt.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/framing/base64.h"

namespace wayport::framing {
namespace {

using nlohmann::json;
using std::chrono::seconds;

const std::chrono::sys_seconds kNow{seconds(1'800'000'000)};
const std::string kSecret = "wayport-test-secret-0123456789abcdef";

const json& vectors() {
  static const json all = json::parse(std::ifstream("spec/vectors/route.json"));
  return all;
}

std::string base64url(std::string_view bytes) {
  std::string text(base64_size(bytes.size()), '\0');
  write_base64(text.data(), as_bytes(bytes));
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

// Signed with HS256, whatever the header says.
std::string token(std::string_view header, std::string_view payload, const std::string& secret = kSecret) {
  const std::string part = base64url(header) + "." + base64url(payload);
  return part + "." + base64url(jwt::HMACSign<jwt::algo::HS256>::sign(secret, part).first);
}
std::string with_claims(std::string_view payload) { return token(R"({"alg":"HS256"})", payload); }

JwtKey hmac(std::string id = {}, JwtAlgorithm algorithm = JwtAlgorithm::hs256, const std::string& secret = kSecret) {
  return *JwtKey::secret(std::move(id), algorithm, secret);
}
JwtKey pem(JwtAlgorithm algorithm, const char* key) {
  return *JwtKey::public_key({}, algorithm, vectors()["keys"][key].get<std::string>());
}
JwtVerifier verifier(std::vector<JwtKey> keys = {hmac()}, JwtOptions options = {.leeway = seconds(0)}) {
  return *JwtVerifier::make(std::move(keys), std::move(options));
}
ErrorCode code_of(const Result<JwtClaims>& claims) {
  EXPECT_FALSE(claims.has_value());
  return claims ? ErrorCode::internal : claims.error().code;
}

TEST(JwtVerify, JudgesEveryTokenOfTheVectorsAsTheySay) {
  const JwtVerifier all =
      verifier({hmac(), hmac({}, JwtAlgorithm::hs384), hmac({}, JwtAlgorithm::hs512),
                pem(JwtAlgorithm::rs256, "rsa_public_pem"), pem(JwtAlgorithm::rs384, "rsa_public_pem"),
                pem(JwtAlgorithm::rs512, "rsa_public_pem"), pem(JwtAlgorithm::es256, "ec_p256_public_pem")});
  const JwtVerifier without_expiry = verifier({hmac()}, {.leeway = seconds(0), .require_expiry = false});
  std::size_t accepted = 0;
  for (const json& vector : vectors()["jwt"]) {
    const auto name = vector["name"].get<std::string>();
    SCOPED_TRACE(name);
    const Result<JwtClaims> claims = all.verify(vector["token"].get<std::string>(), kNow);
    // These are refused for what they name, which is the gateway's business.
    const bool target_only = name.starts_with("port-") || name.starts_with("host-") || name.starts_with("metadata-");
    const bool accept = vector["accept"] == json(true) || target_only;
    EXPECT_EQ(claims.has_value(), accept) << (claims ? "" : claims.error().to_string());
    accepted += claims.has_value();
    if (vector["accept"] == json(true) && claims) {
      EXPECT_EQ(claims->text("host"), "127.0.0.1");
      EXPECT_EQ(claims->integer("port"), 9000);
    }
    if (vector["accept"] == json("policy")) {
      EXPECT_TRUE(without_expiry.verify(vector["token"].get<std::string>(), kNow).has_value());
    }
    if (name == "port-string" || name == "port-fraction") EXPECT_EQ(claims->integer("port"), std::nullopt);
    if (name == "host-number") EXPECT_EQ(claims->text("host"), std::nullopt);
    if (name == "host-missing") EXPECT_FALSE(claims->has("host"));
  }
  EXPECT_EQ(vectors()["jwt"].size(), 28u);
  EXPECT_EQ(accepted, 14u);
}

TEST(JwtVerify, APublicKeyIsNoSecretAndASecretNoPublicKey) {
  const auto rsa = vectors()["keys"]["rsa_public_pem"].get<std::string>();
  EXPECT_FALSE(JwtKey::secret("a", JwtAlgorithm::hs256, rsa).has_value());
  EXPECT_FALSE(JwtKey::secret("a", JwtAlgorithm::rs256, kSecret).has_value());
  EXPECT_FALSE(JwtKey::public_key("a", JwtAlgorithm::hs256, rsa).has_value());
  EXPECT_FALSE(JwtKey::public_key("a", JwtAlgorithm::es256, rsa).has_value());
  EXPECT_FALSE(
      JwtKey::public_key("a", JwtAlgorithm::rs256, vectors()["keys"]["ec_p256_public_pem"].get<std::string>()));
  EXPECT_FALSE(
      JwtKey::public_key("a", JwtAlgorithm::es384, vectors()["keys"]["ec_p256_public_pem"].get<std::string>()));
  EXPECT_FALSE(JwtKey::public_key("a", JwtAlgorithm::rs256, "no key").has_value());
  const json* confused = nullptr;
  for (const json& vector : vectors()["jwt"]) {
    if (vector["name"] == "alg-confusion-hs256-signed-with-public-key") confused = &vector;
  }
  ASSERT_NE(confused, nullptr);
  EXPECT_EQ(
      code_of(
          verifier({pem(JwtAlgorithm::rs256, "rsa_public_pem")}).verify((*confused)["token"].get<std::string>(), kNow)),
      ErrorCode::unsupported);
}

TEST(JwtVerify, WeakKeysAreRefused) {
  EXPECT_TRUE(JwtKey::secret("a", JwtAlgorithm::hs512, std::string(32, 'k')).has_value());
  const auto weak = JwtKey::secret("a", JwtAlgorithm::hs512, std::string(31, 'k'));
  ASSERT_FALSE(weak.has_value());
  EXPECT_NE(weak.error().detail.find("31 bytes"), std::string::npos);
  for (const auto& [bits, good] : {std::pair(2048, true), std::pair(2040, false)}) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(static_cast<unsigned>(bits)),
                                                                  &EVP_PKEY_free);
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), &BIO_free_all);
    ASSERT_EQ(PEM_write_bio_PUBKEY(out.get(), key.get()), 1);
    char* data = nullptr;
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(out.get(), &data));
    EXPECT_EQ(JwtKey::public_key("a", JwtAlgorithm::rs256, {data, size}).has_value(), good) << bits;
  }
}

TEST(JwtVerify, ExpiryAndNotBeforeCountToTheSecondWithLeeway) {
  const JwtVerifier strict = verifier();
  const JwtVerifier lenient = verifier({hmac()}, {.leeway = seconds(30)});
  const std::string expires_now = with_claims(R"({"exp":1800000000})");
  const std::string expires_next = with_claims(R"({"exp":1800000001})");
  EXPECT_FALSE(strict.verify(expires_now, kNow).has_value());
  EXPECT_TRUE(strict.verify(expires_next, kNow).has_value());
  EXPECT_TRUE(lenient.verify(expires_now, kNow + seconds(29)).has_value());
  EXPECT_FALSE(lenient.verify(expires_now, kNow + seconds(30)).has_value());
  for (const char* name : {"nbf", "iat"}) {
    const std::string later = with_claims(std::string(R"({"exp":1800001000,")") + name + R"(":1800000030})");
    EXPECT_FALSE(strict.verify(later, kNow + seconds(29)).has_value()) << name;
    EXPECT_TRUE(strict.verify(later, kNow + seconds(30)).has_value()) << name;
    EXPECT_FALSE(lenient.verify(later, kNow - seconds(1)).has_value()) << name;
    EXPECT_TRUE(lenient.verify(later, kNow).has_value()) << name;
  }
  EXPECT_FALSE(JwtVerifier::make({hmac()}, {.leeway = seconds(31)}).has_value());
  EXPECT_EQ(strict.verify(expires_next, kNow)->expires(), kNow + seconds(1));
  for (const char* odd : {R"("1800000600")", "-1", "1e300", "null", "true", "[1800000600]"}) {
    EXPECT_EQ(code_of(strict.verify(with_claims(std::string(R"({"exp":)") + odd + "}"), kNow)), ErrorCode::malformed)
        << odd;
  }
}

TEST(JwtVerify, IssuerAndAudienceMustBeTheConfiguredOnes) {
  const JwtVerifier both = verifier({hmac()}, {.leeway = seconds(0), .issuer = "me", .audience = "orders"});
  const auto accepts = [&](std::string_view rest) {
    return both.verify(with_claims(R"({"exp":1800000600)" + std::string(rest) + "}"), kNow).has_value();
  };
  EXPECT_TRUE(accepts(R"(,"iss":"me","aud":"orders")"));
  EXPECT_TRUE(accepts(R"(,"iss":"me","aud":["x","orders"])"));
  EXPECT_FALSE(accepts(R"(,"iss":"me")"));
  EXPECT_FALSE(accepts(R"(,"aud":"orders")"));
  EXPECT_FALSE(accepts(R"(,"iss":"you","aud":"orders")"));
  EXPECT_FALSE(accepts(R"(,"iss":["me"],"aud":"orders")"));
  EXPECT_FALSE(accepts(R"(,"iss":"me","aud":["x"])"));
  EXPECT_FALSE(accepts(R"(,"iss":"me","aud":{"orders":1})"));
}

TEST(JwtVerify, KidSelectsTheKeyAndNothingElse) {
  const std::string other(32, 'o');
  const JwtVerifier two = verifier({hmac("old"), hmac("new", JwtAlgorithm::hs256, other)});
  const std::string payload = R"({"exp":1800000600})";
  EXPECT_EQ(two.verify(token(R"({"alg":"HS256","kid":"old"})", payload), kNow)->key_id(), "old");
  EXPECT_EQ(two.verify(token(R"({"alg":"HS256","kid":"new"})", payload, other), kNow)->key_id(), "new");
  EXPECT_EQ(code_of(two.verify(token(R"({"alg":"HS256","kid":"old"})", payload, other), kNow)), ErrorCode::refused);
  EXPECT_EQ(code_of(two.verify(token(R"({"alg":"HS256","kid":"older"})", payload), kNow)), ErrorCode::not_found);
  EXPECT_EQ(code_of(two.verify(token(R"({"alg":"HS256","kid":""})", payload), kNow)), ErrorCode::not_found);
  EXPECT_EQ(code_of(two.verify(token(R"({"alg":"HS384","kid":"old"})", payload), kNow)), ErrorCode::unsupported);
  EXPECT_EQ(code_of(two.verify(token(R"({"alg":"HS256","kid":7})", payload), kNow)), ErrorCode::malformed);
  EXPECT_FALSE(JwtVerifier::make({hmac("a"), hmac("a")}).has_value());
  EXPECT_FALSE(JwtVerifier::make({}).has_value());
}

// Whoever sends tokens makes us check one signature, not one per key.
TEST(JwtVerify, ATokenWithoutKidIsOnlyForAnAlgorithmWithOneKey) {
  const std::string other(32, 'o');
  const std::string without = token(R"({"alg":"HS256"})", R"({"exp":1800000600})");
  EXPECT_EQ(verifier({hmac("old")}).verify(without, kNow)->key_id(), "old");
  EXPECT_EQ(verifier({hmac("old"), hmac("new", JwtAlgorithm::hs384, other)}).verify(without, kNow)->key_id(), "old");
  const Result<JwtClaims> several =
      verifier({hmac("old"), hmac("new", JwtAlgorithm::hs256, other)}).verify(without, kNow);
  EXPECT_EQ(code_of(several), ErrorCode::not_found);
  EXPECT_NE(several.error().detail.find("has no `kid`"), std::string::npos) << several.error().detail;
  // A key without id beside another one could never be chosen.
  EXPECT_FALSE(JwtVerifier::make({hmac(), hmac("new", JwtAlgorithm::hs256, other)}).has_value());
  EXPECT_FALSE(JwtVerifier::make({hmac("old"), hmac()}).has_value());
  EXPECT_FALSE(JwtVerifier::make({hmac(), hmac()}).has_value());
  EXPECT_TRUE(JwtVerifier::make({hmac(), hmac({}, JwtAlgorithm::hs384)}).has_value());
}

TEST(JwtVerify, TheNumberOfKeysIsBoundedAndKidFindsTheLastOne) {
  std::vector<JwtKey> keys;
  for (std::size_t i = 0; i < kJwtKeysMax; ++i) {
    keys.push_back(hmac("k" + std::to_string(i), JwtAlgorithm::hs256, std::string(32, static_cast<char>('0' + i))));
  }
  const std::string last(32, static_cast<char>('0' + kJwtKeysMax - 1));
  EXPECT_EQ(
      verifier(keys).verify(token(R"({"alg":"HS256","kid":"k63"})", R"({"exp":1800000600})", last), kNow)->key_id(),
      "k63");
  keys.push_back(hmac("more"));
  EXPECT_FALSE(JwtVerifier::make(keys).has_value());
}

// Signatures of every elliptic curve, made by OpenSSL and cpp-jwt: r and s with leading zeros now and then.
TEST(JwtVerify, EveryCurveVerifiesWhatItSignedAndNothingElse) {
  const auto check = [](JwtAlgorithm algorithm, const char* curve, auto sign) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen(curve), &EVP_PKEY_free);
    const auto text = [&](auto write) {
      const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), &BIO_free_all);
      EXPECT_EQ(write(out.get()), 1);
      char* data = nullptr;
      const auto size = static_cast<std::size_t>(BIO_get_mem_data(out.get(), &data));
      return std::string(data, size);
    };
    const std::string secret =
        text([&](BIO* out) { return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
    const std::string open = text([&](BIO* out) { return PEM_write_bio_PUBKEY(out, key.get()); });
    const JwtVerifier one = verifier({*JwtKey::public_key("k", algorithm, open)});
    const std::string part = base64url(R"({"alg":")" + std::string(to_string(algorithm)) + R"(","kid":"k"})") + "." +
                             base64url(R"({"exp":1800000600})");
    for (int i = 0; i < 24; ++i) {
      const std::string signature = sign(secret, part);
      EXPECT_TRUE(one.verify(part + "." + base64url(signature), kNow).has_value());
      std::string wrong = signature;
      wrong[static_cast<std::size_t>(i)] ^= 1;
      EXPECT_EQ(code_of(one.verify(part + "." + base64url(wrong), kNow)), ErrorCode::refused);
      EXPECT_EQ(code_of(one.verify(part + "." + base64url(signature.substr(1)), kNow)), ErrorCode::refused);
    }
    EXPECT_EQ(code_of(one.verify(part + ".AAAA", kNow)), ErrorCode::refused);
    EXPECT_FALSE(one.verify(part + "." + base64url(std::string(sign(secret, part).size(), '\0')), kNow).has_value());
    EXPECT_EQ(ERR_peek_error(), 0u);
  };
  check(JwtAlgorithm::es256, "P-256", [](const std::string& key, const std::string& part) {
    return jwt::PEMSign<jwt::algo::ES256>::sign(key, part).first;
  });
  check(JwtAlgorithm::es384, "P-384", [](const std::string& key, const std::string& part) {
    return jwt::PEMSign<jwt::algo::ES384>::sign(key, part).first;
  });
  check(JwtAlgorithm::es512, "P-521", [](const std::string& key, const std::string& part) {
    return jwt::PEMSign<jwt::algo::ES512>::sign(key, part).first;
  });
}

TEST(JwtVerify, WhatAHeaderMayNotSayIsRefused) {
  const JwtVerifier strict = verifier();
  const std::string payload = R"({"exp":1800000600})";
  EXPECT_TRUE(
      strict.verify(token(R"({"alg":"HS256","typ":"jwt","jku":"http://evil","jwk":{},"x5u":1})", payload), kNow));
  for (const char* header : {R"({"alg":"HS256","crit":["exp"]})", R"({"alg":"none"})", R"({"alg":"hs256"})",
                             R"({"alg":"HS256","typ":"JOSE"})", R"({"alg":"HS256","typ":1})", R"({"alg":1})", R"({})",
                             R"(["HS256"])", R"("HS256")", R"({"alg":"HS256",})", R"({"alg":"none","alg":"HS256"})",
                             R"({"alg":"HS256"} )"
                             "\xff"}) {
    EXPECT_FALSE(strict.verify(token(header, payload), kNow).has_value()) << header;
  }
}

TEST(JwtVerify, APayloadIsOneObjectWithoutDuplicates) {
  const JwtVerifier strict = verifier();
  EXPECT_TRUE(strict.verify(with_claims(R"({"exp":1800000600,"a":{"b":1},"c":{"b":1}})"), kNow).has_value());
  for (const char* payload : {R"({"exp":1,"exp":1800000600})", R"({"exp":1800000600,"a":{"b":1,"b":2}})",
                              "[1800000600]", "", "null", R"({"exp":1800000600)", R"({"exp":1800000600}{})"}) {
    EXPECT_FALSE(strict.verify(with_claims(payload), kNow).has_value()) << payload;
  }
  const auto nested = [](int depth) {
    return with_claims(R"({"exp":1800000600,"a":)" + std::string(static_cast<std::size_t>(depth), '[') +
                       std::string(static_cast<std::size_t>(depth), ']') + "}");
  };
  EXPECT_TRUE(strict.verify(nested(16), kNow).has_value());
  EXPECT_FALSE(strict.verify(nested(17), kNow).has_value());
}

TEST(JwtVerify, ADateThatIsCenturiesAwayIsRefusedLikeOthers) {
  const JwtVerifier strict = verifier();
  EXPECT_EQ(code_of(strict.verify(with_claims(R"({"exp":253402300799,"nbf":253402300799})"), kNow)),
            ErrorCode::refused);
  EXPECT_EQ(code_of(strict.verify(with_claims(R"({"exp":0})"), kNow + std::chrono::seconds(200'000'000'000))),
            ErrorCode::refused);
}

TEST(JwtVerify, NothingHidesBehindANul) {
  const JwtVerifier strict = verifier();
  const std::string header = R"({"alg":"HS256"})", payload = R"({"exp":1800000600})";
  const std::string nul(1, '\0');
  ASSERT_TRUE(strict.verify(token(header, payload), kNow).has_value());
  EXPECT_EQ(code_of(strict.verify(token(header, payload + nul), kNow)), ErrorCode::malformed);
  EXPECT_EQ(code_of(strict.verify(token(header, payload + nul + R"({"exp":1})"), kNow)), ErrorCode::malformed);
  EXPECT_EQ(code_of(strict.verify(token(header + nul + R"({"alg":"none"})", payload), kNow)), ErrorCode::malformed);
}

TEST(JwtVerify, OneChangedCharacterAnywhereIsRefused) {
  const JwtVerifier strict = verifier();
  const std::string good = with_claims(R"({"exp":1800000600,"sub":"me"})");
  ASSERT_TRUE(strict.verify(good, kNow).has_value());
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'A', 'b', '-', '_', '.', '=', '+', '\n', '\0'}) {
      std::string bad = good;
      if (bad[i] == c) continue;
      bad[i] = c;
      EXPECT_FALSE(strict.verify(bad, kNow).has_value()) << i << " " << c;
    }
    EXPECT_FALSE(strict.verify(good.substr(0, i), kNow).has_value()) << i;
  }
}

TEST(JwtVerify, SizeIsBounded) {
  const std::string good = with_claims(R"({"exp":1800000600})");
  EXPECT_TRUE(
      verifier({hmac()}, {.leeway = seconds(0), .token_bytes_max = good.size()}).verify(good, kNow).has_value());
  EXPECT_EQ(code_of(verifier({hmac()}, {.leeway = seconds(0), .token_bytes_max = good.size() - 1}).verify(good, kNow)),
            ErrorCode::too_large);
}

TEST(JwtVerify, ErrorsShowNoTokenAndLeaveNothingToOpenSsl) {
  const JwtVerifier strict =
      verifier({pem(JwtAlgorithm::rs256, "rsa_public_pem"), pem(JwtAlgorithm::es256, "ec_p256_public_pem")});
  for (const json& vector : vectors()["jwt"]) {
    const auto text = vector["token"].get<std::string>();
    const Result<JwtClaims> claims = strict.verify(text, kNow);
    EXPECT_EQ(ERR_peek_error(), 0u) << vector["name"];
    if (!claims) EXPECT_EQ(claims.error().to_string().find(text.substr(text.rfind('.') + 1) + "-"), std::string::npos);
    if (!claims) EXPECT_EQ(claims.error().to_string().find(text.substr(0, 20)), std::string::npos);
  }
}

}  // namespace
}  // namespace wayport::framing
