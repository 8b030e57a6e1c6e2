#include "wayport/framing/body_ops.h"

#include <gtest/gtest.h>

#include "wayport/framing/flatbuffer.h"
#include "wayport/framing/test_flatbuffers_generated.h"
#include "wayport/framing/test_messages.pb.h"

namespace wayport::framing {
namespace {

struct Undescribed {};
struct Point {
  int x = 0;
};
BOOST_DESCRIBE_STRUCT(Point, (), (x))

// Looks like a message, without any protobuf header.
struct Lookalike {
  std::size_t ByteSizeLong() const { return 2; }
  bool SerializeToArray(void* to, int size) const {
    std::memcpy(to, "hi", static_cast<std::size_t>(size));
    return true;
  }
  bool ParseFromArray(const void*, int size) {
    parsed = size;
    return size == 2;
  }
  int parsed = 0;
};

struct Facets {
  bool text = false;
  bool assign_text = false;
  bool protobuf = false;
  bool to_json = false;
  bool from_json = false;
  bool flatbuffer = false;
  bool raw = false;
  friend bool operator==(const Facets&, const Facets&) = default;
};
template <class T>
Facets facets() {
  const BodyOps& ops = body_ops<T>();
  EXPECT_EQ(*ops.type, typeid(T));
  EXPECT_EQ(ops.protobuf_size == nullptr, ops.protobuf_write == nullptr);
  EXPECT_EQ(ops.protobuf_size == nullptr, ops.protobuf_parse == nullptr);
  EXPECT_EQ(ops.flatbuffer == nullptr, ops.assign_flatbuffer == nullptr);
  return {ops.text != nullptr,      ops.assign_text != nullptr, ops.protobuf_size != nullptr, ops.to_json != nullptr,
          ops.from_json != nullptr, ops.flatbuffer != nullptr,  ops.assign_raw != nullptr};
}

TEST(BodyOps, FindsTheFacetsOfEachType) {
  EXPECT_EQ(facets<std::string>(), (Facets{.text = true, .assign_text = true, .to_json = true, .from_json = true}));
  EXPECT_EQ(facets<std::string_view>(), (Facets{.text = true, .to_json = true}));
  EXPECT_EQ(facets<std::vector<std::byte>>(),
            (Facets{.text = true, .assign_text = true, .to_json = true, .from_json = true}));
  EXPECT_EQ(facets<Bytes>(), (Facets{.text = true, .to_json = true}));
  EXPECT_EQ(facets<int>(), (Facets{.to_json = true, .from_json = true}));
  EXPECT_EQ(facets<Point>(), (Facets{.to_json = true, .from_json = true}));
  EXPECT_EQ(facets<test::Sum>(), (Facets{.protobuf = true, .to_json = true, .from_json = true}));
  EXPECT_EQ(facets<Lookalike>(), (Facets{.protobuf = true}));
  EXPECT_EQ(facets<FlatBuffer<test::Node>>(), (Facets{.flatbuffer = true}));
  EXPECT_EQ(facets<RawBody>(), (Facets{.raw = true}));
  EXPECT_EQ(facets<NoBody>(), (Facets{.raw = true}));
  EXPECT_EQ(facets<std::monostate>(), (Facets{.raw = true}));
}

TEST(BodyOps, SaysAtCompileTimeWhatCanBeSentAndReceived) {
  static_assert(SendableBody<std::string_view> && !ReceivableBody<std::string_view>);
  static_assert(SendableBody<Bytes> && !ReceivableBody<Bytes>);
  static_assert(SendableBody<Point> && ReceivableBody<Point>);
  static_assert(SendableBody<FlatBuffer<test::Node>> && ReceivableBody<FlatBuffer<test::Node>>);
  static_assert(!SendableBody<Undescribed> && !ReceivableBody<Undescribed>);
  static_assert(kIsNoBody<NoBody> && kIsNoBody<std::monostate> && !kIsNoBody<int>);
}

TEST(BodyOps, IsOneObjectPerType) {
  EXPECT_EQ(&body_ops<int>(), &body_ops<int>());
  EXPECT_NE(&body_ops<int>(), &body_ops<unsigned>());
}

TEST(BodyOps, TextIsReadAndAssignedAsItIs) {
  std::string text = "old";
  ASSERT_TRUE(body_ops<std::string>().assign_text(&text, as_bytes("new")));
  EXPECT_EQ(as_text(body_ops<std::string>().text(&text)), "new");
  std::vector<std::byte> bytes;
  ASSERT_TRUE(body_ops<std::vector<std::byte>>().assign_text(&bytes, as_bytes("new")));
  EXPECT_EQ(as_text(body_ops<std::vector<std::byte>>().text(&bytes)), "new");
}

TEST(BodyOps, WhatLooksLikeAMessageIsOne) {
  Lookalike message;
  const BodyOps& ops = body_ops<Lookalike>();
  ASSERT_EQ(ops.protobuf_size(&message), 2u);
  std::byte to[2];
  ASSERT_TRUE(ops.protobuf_write(&message, MutableBytes(to)));
  EXPECT_EQ(as_text(to), "hi");
  EXPECT_TRUE(ops.protobuf_parse(&message, Bytes(to)));
  EXPECT_FALSE(ops.protobuf_parse(&message, {}));
}

}  // namespace
}  // namespace wayport::framing
