// The four built-in codecs, each on the types that it can and cannot carry.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec_flatbuffers.h"
#include "wayport/framing/codec_json.h"
#include "wayport/framing/codec_protobuf.h"
#include "wayport/framing/codec_string.h"
#include "wayport/framing/flatbuffer.h"
#include "wayport/framing/test_flatbuffers_generated.h"
#include "wayport/framing/test_messages.pb.h"
#include "wayport/framing/test_messages_v2.pb.h"
#include "wayport/framing/testing/allocation_count.h"
#include "wayport/framing/testing/vectors.h"

namespace wayport::framing {
namespace {

using ::testing::HasSubstr;
using Buffer = FlatBuffer<test::Node>;

template <class T>
Result<std::string> encode(const Codec& codec, const T& value) {
  Chain to;
  WAYPORT_TRY(codec.encode({&body_ops<T>(), &value}, to));
  return to.to_string();
}
template <class T>
Result<void> decode(const Codec& codec, std::string_view from, T& value) {
  return codec.decode(as_bytes(from), {&body_ops<T>(), &value});
}
template <class T>
void expect_unsupported(const Codec& codec, T value, std::string_view type) {
  const Result<std::string> encoded = encode(codec, value);
  ASSERT_FALSE(encoded);
  EXPECT_EQ(encoded.error().code, ErrorCode::unsupported);
  EXPECT_THAT(encoded.error().detail,
              HasSubstr("codec " + std::string(codec.name()) + " cannot send " + std::string(type)));
  const Result<void> decoded = decode(codec, "x", value);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, ErrorCode::unsupported);
  EXPECT_THAT(decoded.error().detail,
              HasSubstr("codec " + std::string(codec.name()) + " cannot fill " + std::string(type)));
}

test::Sum sum_of(int a, int b) {
  test::Sum sum;
  sum.set_a(a);
  sum.set_b(b);
  return sum;
}
Buffer node() {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(test::CreateNodeDirect(builder, "root", 42));
  return Buffer(std::move(builder));
}

TEST(JsonCodec, CarriesTextMessagesAndValues) {
  const JsonCodec codec;
  EXPECT_EQ(*encode(codec, std::string("<hi>")), R"("\u003chi\u003e")");
  EXPECT_EQ(*encode(codec, std::vector<int>{1, 2}), "[1,2]");
  EXPECT_EQ(*encode(codec, sum_of(3, 4)), R"({"a":3,"b":4})");
  std::string text;
  ASSERT_TRUE(decode(codec, R"( "h\u0069" )", text));
  EXPECT_EQ(text, "hi");
  test::Sum sum;
  ASSERT_TRUE(decode(codec, R"({"A":3,"b":4,"c":5})", sum));
  EXPECT_EQ(sum.a() + sum.b(), 7);
}

TEST(JsonCodec, ErrorsNameThePlace) {
  const JsonCodec codec;
  std::vector<int> numbers;
  const Result<void> decoded = decode(codec, "[1,true]", numbers);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().detail, "json: value[1] must be a whole number from -2147483648 to 2147483647, got true");
  EXPECT_THAT(decode(codec, "[1", numbers).error().detail, HasSubstr("expected at byte 2"));
}

TEST(JsonCodec, GoldenBodiesComeOutAsTheyWentIn) {
  const JsonCodec codec;
  std::size_t count = 0;
  for (const testing::PacketVector& vector : testing::teleport_vectors().packets) {
    if (vector.body_codec != 'j' || vector.body_form != testing::PacketVector::BodyForm::plain) continue;
    SCOPED_TRACE(vector.name);
    boost::json::value value;
    ASSERT_TRUE(decode(codec, vector.body, value));
    EXPECT_EQ(*encode(codec, value), vector.body);
    ++count;
  }
  EXPECT_EQ(count, 33u);
}

TEST(ProtobufCodec, CarriesMessages) {
  const ProtobufCodec codec;
  EXPECT_EQ(to_hex(as_bytes(*encode(codec, sum_of(10, 2)))), "080a1002");
  EXPECT_EQ(*encode(codec, sum_of(0, 0)), "");
  test::Sum sum = sum_of(1, 1);
  ASSERT_TRUE(decode(codec, "\x08\x0a", sum));
  EXPECT_EQ(sum.a(), 10);
  EXPECT_EQ(sum.b(), 0);
  const Result<void> decoded = decode(codec, "\x08", sum);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, ErrorCode::malformed);
  EXPECT_THAT(decoded.error().detail, HasSubstr("1 bytes are no wayport::framing::test::Sum"));
}

TEST(ProtobufCodec, RefusesMessagesWithoutTheirRequiredFields) {
  const ProtobufCodec codec;
  test::Strict strict;
  EXPECT_EQ(encode(codec, strict).error().code, ErrorCode::invalid_argument);
  strict.set_needed(1);
  EXPECT_EQ(*encode(codec, strict), "\x08\x01");
  EXPECT_EQ(decode(codec, "\x10\x01", strict).error().code, ErrorCode::malformed);
}

TEST(ProtobufCodec, GoldenBodiesComeOutAsTheyWentIn) {
  const ProtobufCodec codec;
  std::size_t count = 0;
  for (const testing::PacketVector& vector : testing::teleport_vectors().packets) {
    if (vector.body_codec != 'p' || vector.body.empty()) continue;
    SCOPED_TRACE(vector.name);
    test::Sum sum;
    ASSERT_TRUE(decode(codec, vector.body, sum));
    EXPECT_EQ(*encode(codec, sum), vector.body);
    ++count;
  }
  EXPECT_EQ(count, 28u);
}

TEST(StringCodec, CarriesBytesAsTheyAre) {
  const StringCodec codec;
  const std::string bytes("a\0\xff", 3);
  EXPECT_EQ(*encode(codec, bytes), bytes);
  EXPECT_EQ(*encode(codec, std::string_view(bytes)), bytes);
  EXPECT_EQ(*encode(codec, as_bytes(bytes)), bytes);
  std::string text = "old";
  ASSERT_TRUE(decode(codec, bytes, text));
  EXPECT_EQ(text, bytes);
}

TEST(FlatbuffersCodec, CarriesVerifiedBuffers) {
  const FlatbuffersCodec codec;
  const std::string bytes = *encode(codec, node());
  Buffer buffer;
  ASSERT_TRUE(decode(codec, bytes, buffer));
  EXPECT_EQ(buffer->value(), 42);
  EXPECT_EQ(decode(codec, bytes.substr(0, 10), buffer).error().code, ErrorCode::malformed);
}

TEST(Codecs, RefuseTypesThatTheyCannotCarry) {
  expect_unsupported(JsonCodec(), node(), "wayport::framing::FlatBuffer");
  expect_unsupported(ProtobufCodec(), std::string("x"), "std::");
  expect_unsupported(StringCodec(), 5, "int");
  expect_unsupported(StringCodec(), sum_of(1, 2), "wayport::framing::test::Sum");
  expect_unsupported(FlatbuffersCodec(), std::string("x"), "std::");
  std::string_view view;
  EXPECT_EQ(decode(StringCodec(), "x", view).error().code, ErrorCode::unsupported);
  EXPECT_EQ(StringCodec().encode({}, *std::make_unique<Chain>()).error().code, ErrorCode::unsupported);
}

TEST(Codecs, AMessageIntoAReusedTargetAllocatesNothing) {
  const ProtobufCodec codec;
  const test::Sum sum = sum_of(3, 4);
  test::Sum read;
  std::uint64_t before = 0;
  for (int round = 0; round < 3; ++round) {
    before = testing::allocation_count();
    Chain to;
    ASSERT_TRUE(codec.encode({&body_ops<test::Sum>(), &sum}, to));
    ASSERT_TRUE(codec.decode(to.front(), {&body_ops<test::Sum>(), &read}));
  }
  EXPECT_EQ(testing::allocation_count(), before);
  EXPECT_EQ(read.a(), 3);
}

TEST(Codecs, TextIntoAReusedStringAllocatesNothing) {
  const StringCodec codec;
  const std::string text(500, 'x');
  std::string read;
  std::uint64_t before = 0;
  for (int round = 0; round < 3; ++round) {
    before = testing::allocation_count();
    Chain to;
    ASSERT_TRUE(codec.encode({&body_ops<std::string>(), &text}, to));
    ASSERT_TRUE(codec.decode(to.front(), {&body_ops<std::string>(), &read}));
  }
  EXPECT_EQ(testing::allocation_count(), before);
}

}  // namespace
}  // namespace wayport::framing
