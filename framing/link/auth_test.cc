#include "wayport/framing/link/auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/framing/link/testing/vectors.h"

namespace wayport::link {
namespace {

using testing::AuthVector;
using testing::Behaviour;
using testing::link_vectors;

Challenge challenge_of(std::string_view bytes) {
  Challenge challenge;
  std::ranges::copy(as_bytes(bytes), challenge.begin());
  return challenge;
}

TEST(LinkAuth, AnswersEveryRecordedChallengeWithTheRecordedBytes) {
  ASSERT_EQ(link_vectors().auths.size(), 24u);
  for (const AuthVector& vector : link_vectors().auths) {
    SCOPED_TRACE(vector.name);
    const Challenge challenge = challenge_of(vector.challenge);
    const Result<AuthResponse> response = encode_auth_response(challenge, as_bytes(vector.key), vector.server_id);
    ASSERT_TRUE(response) << response.error().to_string();
    EXPECT_EQ(as_text(*response), vector.bytes);
    EXPECT_EQ(as_text(auth_digest(challenge, as_bytes(vector.key)).value()), vector.digest);
    EXPECT_EQ(check_auth_response(challenge, as_bytes(vector.key), as_bytes(vector.bytes)).value(), vector.server_id);
  }
}

TEST(LinkAuth, RefusesAnyOtherBitOfTheDigestAndAnyIdIsPartOfNone) {
  const AuthVector& vector = link_vectors().auths[5];
  const Challenge challenge = challenge_of(vector.challenge);
  for (std::size_t bit = 0; bit < kAuthDigestBytes * 8; ++bit) {
    std::string forged = vector.bytes;
    forged[bit / 8] = static_cast<char>(forged[bit / 8] ^ (1 << bit % 8));
    const Result<std::uint32_t> checked = check_auth_response(challenge, as_bytes(vector.key), as_bytes(forged));
    ASSERT_FALSE(checked) << bit;
    EXPECT_EQ(checked.error().code, ErrorCode::refused);
  }
  // The id is not covered: a property of the format, not of this code.
  std::string other_id = vector.bytes;
  other_id[16] = '\x7f';
  EXPECT_TRUE(check_auth_response(challenge, as_bytes(vector.key), as_bytes(other_id)));
}

TEST(LinkAuth, RefusesAnswersOfAnotherLength) {
  const AuthVector& vector = link_vectors().auths[0];
  const Challenge challenge = challenge_of(vector.challenge);
  for (std::size_t size = 0; size < kAuthResponseBytes; ++size) {
    const auto checked = check_auth_response(challenge, as_bytes(vector.key), as_bytes(vector.bytes).first(size));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::malformed);
  }
  EXPECT_FALSE(check_auth_response(challenge, as_bytes(vector.key), as_bytes(vector.bytes + "x")));
}

// auth-wrong-key, auth-key-before-challenge: closed by the original.
TEST(LinkAuth, RefusesWhatTheOriginalRefused) {
  for (const char* name : {"auth-wrong-key", "auth-key-before-challenge"}) {
    SCOPED_TRACE(name);
    const Behaviour& recorded = link_vectors().behaviour(name);
    EXPECT_EQ(recorded.text("state"), "eof");
    const Challenge challenge = challenge_of(recorded.frames("challenge")[0]);
    const std::string key = recorded.frames("key_hex")[0];
    const Result<std::uint32_t> checked =
        check_auth_response(challenge, as_bytes(key), as_bytes(recorded.frames("response")[0]));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::refused);
    EXPECT_THAT(checked.error().detail, ::testing::HasSubstr("ServerAuthKey"));
    // The right answer differs only in its order of hashing, or its key.
    EXPECT_TRUE(
        check_auth_response(challenge, as_bytes(key), encode_auth_response(challenge, as_bytes(key), 1).value()));
  }
}

}  // namespace
}  // namespace wayport::link
