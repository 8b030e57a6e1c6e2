#include "wayport/framing/flatbuffer.h"

#include <gtest/gtest.h>

#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/framing/test_flatbuffers_generated.h"

namespace wayport::framing {

// Tight bounds of its own, to be met in a test.
template <>
inline constexpr FlatBufferLimits kFlatBufferLimits<test::Bounded>{.bytes_max = 4096, .tables_max = 10, .depth_max = 5};

namespace {

using Buffer = FlatBuffer<test::Node>;

flatbuffers::FlatBufferBuilder small() {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(test::CreateNodeDirect(builder, "root", 42));
  return builder;
}
std::string text_of(const flatbuffers::FlatBufferBuilder& builder) {
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}
// `depth` tables within each other.
std::string chain_of(int depth) {
  flatbuffers::FlatBufferBuilder builder;
  flatbuffers::Offset<test::Bounded> node = 0;
  for (int i = 0; i < depth; ++i) node = test::CreateBounded(builder, node);
  builder.Finish(node);
  return text_of(builder);
}
// A root with `count` children.
std::string family_of(int count) {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<test::Bounded>> children;
  for (int i = 0; i < count; ++i) children.push_back(test::CreateBounded(builder));
  builder.Finish(test::CreateBoundedDirect(builder, 0, &children));
  return text_of(builder);
}
ErrorCode refusal(const Result<void>& result) { return result ? ErrorCode::internal : result.error().code; }

TEST(FlatBuffer, EmptyHasNoRoot) {
  const Buffer buffer;
  EXPECT_FALSE(buffer);
  EXPECT_EQ(buffer.get(), nullptr);
  EXPECT_TRUE(buffer.bytes().empty());
}

TEST(FlatBuffer, TakesWhatWasBuiltHere) {
  const Buffer buffer(small());
  ASSERT_TRUE(buffer);
  EXPECT_EQ(buffer->value(), 42);
  EXPECT_EQ(buffer->name()->str(), "root");
}

TEST(FlatBuffer, AssignCopiesAndVerifies) {
  Buffer buffer;
  {
    std::string bytes = text_of(small());
    ASSERT_TRUE(buffer.assign(as_bytes(bytes)));
    std::fill(bytes.begin(), bytes.end(), '\xff');
  }
  EXPECT_EQ(buffer->value(), 42);
}

TEST(FlatBuffer, AFailedAssignLeavesWhatWasThere) {
  Buffer buffer(small());
  EXPECT_EQ(refusal(buffer.assign(as_bytes("no flatbuffer at all"))), ErrorCode::malformed);
  EXPECT_EQ(refusal(buffer.assign({})), ErrorCode::malformed);
  EXPECT_EQ(buffer->value(), 42);
}

TEST(FlatBuffer, RefusesEveryTruncation) {
  const std::string whole = text_of(small());
  Buffer buffer;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    // The end may be padding of the last string; then it is good without it.
    if (buffer.assign(as_bytes(cut))) {
      EXPECT_EQ(buffer->value(), 42) << size;
    }
  }
  EXPECT_FALSE(buffer.assign(as_bytes(whole).first(whole.size() / 2)));
}

TEST(FlatBuffer, ViewsAlignedBytesAndCopiesOthers) {
  const flatbuffers::FlatBufferBuilder builder = small();
  alignas(16) std::byte storage[256];
  const Bytes built =
      as_bytes(std::string_view(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()));
  for (const std::size_t shift : {0u, 1u, 4u}) {
    std::copy(built.begin(), built.end(), storage + shift);
    const Bytes bytes(storage + shift, built.size());
    const Result<Buffer> buffer = Buffer::view(bytes);
    ASSERT_TRUE(buffer);
    EXPECT_EQ((*buffer)->value(), 42);
    EXPECT_EQ(buffer->bytes().data() == bytes.data(), shift == 0);
  }
  EXPECT_FALSE(Buffer::view(as_bytes("no flatbuffer at all")));
}

TEST(FlatBuffer, MovesWithItsBytes) {
  Buffer one;
  ASSERT_TRUE(one.assign(as_bytes(text_of(small()))));
  Buffer two(std::move(one));
  EXPECT_FALSE(one);
  EXPECT_EQ(two->value(), 42);
  one = std::move(two);
  EXPECT_EQ(one->value(), 42);
  EXPECT_FALSE(two);
}

TEST(FlatBuffer, HoldsItsLimitsExactly) {
  FlatBuffer<test::Bounded> buffer;
  EXPECT_TRUE(buffer.assign(as_bytes(chain_of(5))));
  EXPECT_EQ(refusal(buffer.assign(as_bytes(chain_of(6)))), ErrorCode::malformed);
  EXPECT_TRUE(buffer.assign(as_bytes(family_of(9))));
  EXPECT_EQ(refusal(buffer.assign(as_bytes(family_of(10)))), ErrorCode::malformed);
  std::string padded = chain_of(1);
  padded.resize(4096);
  EXPECT_TRUE(buffer.assign(as_bytes(padded)));
  padded.resize(4097);
  EXPECT_EQ(refusal(buffer.assign(as_bytes(padded))), ErrorCode::too_large);
  EXPECT_EQ(refusal([&]() -> Result<void> {
              WAYPORT_TRY(FlatBuffer<test::Bounded>::view(as_bytes(padded)));
              return {};
            }()),
            ErrorCode::too_large);
}

TEST(FlatBuffer, NestedBuffersAreNotLookedIntoUntilViewed) {
  flatbuffers::FlatBufferBuilder builder;
  const std::vector<std::uint8_t> garbage(40, 0xff);
  builder.Finish(test::CreateNodeDirect(builder, "root", 1, nullptr, nullptr, 0, &garbage));
  const Buffer buffer(std::move(builder));
  Buffer copy;
  ASSERT_TRUE(copy.assign(buffer.bytes()));
  const auto* nested = copy->nested();
  EXPECT_FALSE(Buffer::view({reinterpret_cast<const std::byte*>(nested->data()), nested->size()}));
}

}  // namespace
}  // namespace wayport::framing
