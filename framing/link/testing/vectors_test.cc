#include "wayport/framing/link/testing/vectors.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <set>
#include <string>

#include "wayport/base/bytes.h"

namespace wayport::link::testing {
namespace {

TEST(LinkVectors, AreAllThere) {
  const LinkVectors& all = link_vectors();
  EXPECT_EQ(all.frames.size(), 24u);
  EXPECT_EQ(all.auths.size(), 24u);
  EXPECT_EQ(all.transcripts.size(), 11u);
  EXPECT_EQ(all.behaviours.size(), 59u);
  std::set<std::string> names;
  for (const Behaviour& behaviour : all.behaviours) names.insert(behaviour.name);
  EXPECT_EQ(names.size(), 59u);
}

TEST(LinkVectors, GeneratedFramesHaveTheRecordedHash) {
  std::size_t generated = 0;
  for (const FrameVector& vector : link_vectors().frames) {
    if (vector.sha256.empty()) continue;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(vector.bytes.data()), vector.bytes.size(), digest);
    EXPECT_EQ(to_hex(as_bytes(std::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)))), vector.sha256)
        << vector.name;
    ++generated;
  }
  EXPECT_EQ(generated, 2u);
}

TEST(LinkVectors, BehavioursGiveTheirFields) {
  const Behaviour& behaviour = link_vectors().behaviour("close-twice");
  EXPECT_EQ(behaviour.text("sender_state"), "open");
  EXPECT_EQ(behaviour.frames("sent").size(), 1u);
  EXPECT_EQ(behaviour.frames("sender_received").size(), 1u);
  EXPECT_TRUE(behaviour.has("log"));
  EXPECT_EQ(link_vectors().behaviour("max-conn-0-unlimited").flags.size(), 2u);
}

}  // namespace
}  // namespace wayport::link::testing
