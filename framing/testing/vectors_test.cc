#include "wayport/framing/testing/vectors.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <set>

#include "wayport/base/bytes.h"

namespace wayport::framing::testing {
namespace {

TEST(Vectors, AreAllThereAndHaveDistinctNames) {
  const TeleportVectors& vectors = teleport_vectors();
  std::printf("vectors: %zu packets, %zu defect streams, %zu malformed\n", vectors.packets.size(),
              vectors.defect_streams.size(), vectors.malformed.size());
  EXPECT_EQ(vectors.packets.size(), 349u);
  EXPECT_EQ(vectors.defect_streams.size(), 3u);
  EXPECT_EQ(vectors.malformed.size(), 90u);
  std::set<std::string> names;
  for (const auto& vector : vectors.packets) names.insert(vector.name);
  for (const auto& vector : vectors.defect_streams) names.insert(vector.name);
  for (const auto& vector : vectors.malformed) names.insert(vector.name);
  EXPECT_EQ(names.size(), 442u);
}

TEST(Vectors, LengthFieldsAgreeWithTheBytes) {
  for (const PacketVector& vector : teleport_vectors().packets) {
    SCOPED_TRACE(vector.name);
    ASSERT_EQ(vector.bytes.size(), vector.header_length + vector.body_length + 8);
    const std::byte* bytes = as_bytes(vector.bytes).data();
    EXPECT_EQ(load_be<std::uint32_t>(bytes), vector.header_length);
    EXPECT_EQ(load_be<std::uint32_t>(bytes + 4 + vector.header_length), vector.body_length);
    EXPECT_EQ(static_cast<std::uint8_t>(vector.bytes[4]), vector.header_codec);
    EXPECT_EQ(vector.body_codec == 0, vector.body_length == 0);
    EXPECT_EQ(vector.wire_body().size() + (vector.body_length != 0 ? 1 : 0), vector.body_length);
  }
}

TEST(Vectors, GeneratedInputsHaveTheirRecordedSize) {
  std::size_t generated = 0;
  for (const MalformedInput& input : teleport_vectors().malformed) {
    EXPECT_EQ(input.bytes().size(), input.total_bytes) << input.name;
    if (!input.generator.empty()) ++generated;
  }
  EXPECT_EQ(generated, 4u);
}

TEST(Vectors, AreFoundByName) {
  EXPECT_NE(teleport_vectors().packet("v2.5/seq_127.h_json/s2c/0"), nullptr);
  EXPECT_EQ(teleport_vectors().packet("no such"), nullptr);
  const MalformedInput* input = teleport_vectors().malformed_input("malformed/rt1s_idle_close");
  ASSERT_NE(input, nullptr);
  EXPECT_EQ(input->server_read_timeout, std::chrono::seconds(1));
}

}  // namespace
}  // namespace wayport::framing::testing
