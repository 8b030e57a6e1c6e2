#include "wayport/framing/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec_registry.h"

namespace wayport::framing {
namespace {

using ::testing::HasSubstr;

const CodecRegistry kCodecs;

PacketView packet_with(std::uint8_t codec, std::string_view body, std::int32_t gzip = 0) {
  PacketView packet;
  packet.header.gzip = gzip;
  packet.has_body_codec = true;
  packet.body_codec = codec;
  packet.body = as_bytes(body);
  return packet;
}
template <class T>
Result<void> decode(const PacketView& packet, T& target, std::size_t inflated_bytes_max = 0) {
  ProtocolContext context{kCodecs};
  context.limits.inflated_bytes_max = inflated_bytes_max;
  return decode_body(packet, context, {&body_ops<T>(), &target});
}
std::string compressed(std::string_view text) {
  Deflater deflater;
  Chain to;
  EXPECT_TRUE(deflater.compress(as_bytes(text), 5, to));
  return to.to_string();
}

TEST(DecodeBody, FindsTheCodecByItsId) {
  int number = 0;
  ASSERT_TRUE(decode(packet_with('j', "42"), number));
  EXPECT_EQ(number, 42);
  std::string text;
  ASSERT_TRUE(decode(packet_with('s', "42"), text));
  EXPECT_EQ(text, "42");
}

TEST(DecodeBody, InflatesFirst) {
  const std::string body = compressed("[1,2]");
  std::vector<int> numbers;
  ASSERT_TRUE(decode(packet_with('j', body, 5), numbers));
  EXPECT_EQ(numbers, (std::vector{1, 2}));
}

TEST(DecodeBody, AnAbsentOrEmptyBodyLeavesTheTargetWhateverTheCodec) {
  int number = 7;
  EXPECT_TRUE(decode(PacketView{}, number));
  EXPECT_TRUE(decode(packet_with('j', ""), number));
  EXPECT_TRUE(decode(packet_with('x', ""), number));
  EXPECT_TRUE(decode(packet_with('x', "", 5), number));
  EXPECT_EQ(number, 7);
}

TEST(DecodeBody, ACompressedNothingGoesToTheCodec) {
  // A body that Go's defect 6 lost must not look like one that was never sent.
  const std::string nothing = from_hex("1f8b08000000000000ff000000ffff").value();
  int number = 7;
  EXPECT_EQ(decode(packet_with('j', nothing, 5), number).error().code, ErrorCode::malformed);
  EXPECT_EQ(number, 7);
  std::string text = "before";
  ASSERT_TRUE(decode(packet_with('s', nothing, 5), text));
  EXPECT_EQ(text, "");
}

TEST(DecodeBody, UnknownCodecsAreNamed) {
  int number = 0;
  const Result<void> result = decode(packet_with('x', "1"), number);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::unsupported);
  EXPECT_EQ(result.error().detail, "no body codec with id 0x78 ('x')");
}

TEST(DecodeBody, ErrorsNameCodecTypeAndSize) {
  int number = 0;
  const Result<void> result = decode(packet_with('j', "\"x\""), number);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::malformed);
  EXPECT_THAT(result.error().detail, HasSubstr("json: value must be a whole number"));
  EXPECT_THAT(result.error().detail, HasSubstr("a body of 3 bytes for int"));
}

TEST(DecodeBody, InflatesUpToTheLimitAndNotBeyond) {
  const std::string body = compressed(std::string(1000, 'x'));
  std::string text;
  EXPECT_TRUE(decode(packet_with('s', body, 5), text, 1000));
  EXPECT_EQ(text.size(), 1000u);
  const Result<void> result = decode(packet_with('s', body, 5), text, 999);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::too_large);
  EXPECT_THAT(result.error().detail, HasSubstr("999"));
}

TEST(DecodeBody, ALargeInflatedBodyIsNotKept) {
  ProtocolContext context{kCodecs};
  const std::string body = compressed(std::string(4u << 20, 'x'));
  std::string text;
  ASSERT_TRUE(decode_body(packet_with('s', body, 5), context, {&body_ops<std::string>(), &text}));
  EXPECT_EQ(text.size(), 4u << 20);
  EXPECT_LT(context.inflated.capacity(), 1u << 20);
}

TEST(DecodeBody, RawBodiesAreNeitherInflatedNorLookedUp) {
  RawBody raw;
  ASSERT_TRUE(decode(packet_with('x', "as it is", 5), raw));
  EXPECT_EQ(raw, (RawBody{'x', "as it is"}));
  ASSERT_TRUE(decode(packet_with('x', "", 5), raw));
  EXPECT_EQ(raw, (RawBody{'x', ""}));
}

TEST(DecodeBody, WithoutTargetAnythingIsDropped) {
  NoBody none;
  EXPECT_TRUE(decode(packet_with('x', "whatever", 5), none));
  std::monostate nothing;
  EXPECT_TRUE(decode(packet_with('j', "{"), nothing));
  ProtocolContext context{kCodecs};
  EXPECT_TRUE(decode_body(packet_with('x', "whatever"), context, {}));
}

TEST(DecodeBody, CodecAndTypeMustFit) {
  std::vector<int> numbers;
  EXPECT_EQ(decode(packet_with('s', "x"), numbers).error().code, ErrorCode::unsupported);
  EXPECT_EQ(decode(packet_with('p', "x"), numbers).error().code, ErrorCode::unsupported);
  EXPECT_EQ(decode(packet_with('b', "x"), numbers).error().code, ErrorCode::unsupported);
}

TEST(PlainBody, IsTheBodyItselfUnlessCompressed) {
  ProtocolContext context{kCodecs};
  const PacketView plain = packet_with('s', "text");
  EXPECT_EQ(plain_body(plain, context)->data(), plain.body.data());
  const std::string body = compressed("text");
  const Result<Bytes> inflated = plain_body(packet_with('s', body, -1), context);
  ASSERT_TRUE(inflated);
  EXPECT_EQ(as_text(*inflated), "text");
}

}  // namespace
}  // namespace wayport::framing
