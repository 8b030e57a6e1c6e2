#include "wayport/framing/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <unordered_map>

#include "wayport/base/chain.h"
#include "wayport/framing/json_value.h"

namespace wayport::framing {

// In a named namespace, as a user's types are.
namespace json_test {

enum class Plain { zero, one };
BOOST_DEFINE_ENUM_CLASS(Color, red, green, blue)

struct Point {
  int x = 0;
  int y = 0;
  friend bool operator==(const Point&, const Point&) = default;
};
BOOST_DESCRIBE_STRUCT(Point, (), (x, y))

struct Named {
  std::string name{};
  friend bool operator==(const Named&, const Named&) = default;
};
BOOST_DESCRIBE_STRUCT(Named, (), (name))

struct Shape : Named {
  std::vector<Point> points{};
  std::optional<Point> center{};
  Color color = Color::red;
  std::map<std::string, double> sizes{};
  std::array<std::uint8_t, 3> rgb{};
  boost::json::value extra{};
  friend bool operator==(const Shape&, const Shape&) = default;
};
BOOST_DESCRIBE_STRUCT(Shape, (Named), (points, center, color, sizes, rgb, extra))

struct Tree {
  int value = 0;
  std::vector<Tree> branches{};
  std::unique_ptr<Tree> next{};
};
BOOST_DESCRIBE_STRUCT(Tree, (), (value, branches, next))

struct Undescribed {};

// A type with its own rule: "12s".
struct Seconds {
  int count = 0;
};

}  // namespace json_test

template <>
struct JsonTraits<json_test::Seconds> {
  static Result<void> to(const json_test::Seconds& from, boost::json::value& to) {
    return to_json(std::to_string(from.count) + "s", to);
  }
  static Result<void> from(const boost::json::value& from, json_test::Seconds& to) {
    const boost::json::string* const text = from.if_string();
    if (text == nullptr || !text->ends_with('s')) return json_mismatch("seconds", from);
    to.count = std::stoi(std::string(*text));
    return {};
  }
};

namespace {

using namespace json_test;

template <class T>
std::string text_of(const T& value) {
  boost::json::value converted;
  const Result<void> result = to_json(value, converted);
  if (!result) return "error:" + result.error().detail;
  Chain to;
  EXPECT_TRUE(write_json(converted, to));
  return to.to_string();
}
// `start` as it is after reading `text`.
template <class T>
T read(std::string_view text, T start = T{}) {
  boost::json::value value;
  EXPECT_TRUE(parse_json(text, value)) << text;
  const Result<void> result = from_json(value, start);
  EXPECT_TRUE(result) << text << (result ? "" : result.error().detail);
  return start;
}
template <class T>
std::string mismatch(std::string_view text) {
  boost::json::value value;
  EXPECT_TRUE(parse_json(text, value)) << text;
  T target{};
  const Result<void> result = from_json(value, target);
  if (result) return "read " + std::string(text);
  EXPECT_EQ(result.error().code, ErrorCode::malformed);
  return result.error().detail;
}
template <class T>
void expect_same(const T& value, std::string_view text) {
  EXPECT_EQ(text_of(value), text);
  EXPECT_EQ(read<T>(text), value) << text;
}

TEST(Json, ScalarsReadAndWrite) {
  expect_same(true, "true");
  expect_same(-5, "-5");
  expect_same(std::uint8_t{255}, "255");
  expect_same(std::int8_t{-128}, "-128");
  expect_same(std::numeric_limits<std::uint64_t>::max(), "18446744073709551615");
  expect_same(std::numeric_limits<std::int64_t>::min(), "-9223372036854775808");
  expect_same(0.1, "0.1");
  expect_same(1e21, "1e+21");
  expect_same(std::string("<é>"), R"("\u003cé\u003e")");
}

TEST(Json, FloatsPrintAsFewDigitsAsTheyHave) {
  expect_same(0.1f, "0.1");
  expect_same(16777216.0f, "16777216");
  expect_same(std::numeric_limits<float>::max(), "3.4028235e+38");
}

TEST(Json, NumbersAreRangeChecked) {
  EXPECT_EQ(mismatch<std::uint8_t>("256"), " must be a whole number from 0 to 255, got 256");
  EXPECT_EQ(mismatch<std::uint8_t>("-1"), " must be a whole number from 0 to 255, got -1");
  EXPECT_EQ(mismatch<std::int32_t>("2147483648"),
            " must be a whole number from -2147483648 to 2147483647, got 2147483648");
  EXPECT_NE(mismatch<std::int64_t>("9223372036854775808"), "");
  EXPECT_EQ(mismatch<int>("1.5"), " must be a whole number from -2147483648 to 2147483647, got 1.5");
  EXPECT_EQ(mismatch<int>("1.0").substr(0, 8), " must be");
  EXPECT_EQ(mismatch<float>("1e39").substr(0, 8), " must be");
  EXPECT_EQ(read<int>("-0"), 0);
  EXPECT_EQ(mismatch<unsigned>("-0").substr(0, 8), " must be");
  expect_same(-0.0, "-0");
  EXPECT_EQ(read<double>("5"), 5.0);
  EXPECT_EQ(read<float>("18446744073709551615"), 18446744073709551615.0f);
}

TEST(Json, KindsAreChecked) {
  EXPECT_EQ(mismatch<bool>("1"), " must be true or false, got 1");
  EXPECT_EQ(mismatch<int>("\"1\""), " must be a whole number from -2147483648 to 2147483647, got \"1\"");
  EXPECT_EQ(mismatch<double>("\"1\""), " must be a number, got \"1\"");
  EXPECT_EQ(mismatch<std::string>("5"), " must be a string, got 5");
  EXPECT_EQ(mismatch<std::vector<int>>("{}"), " must be an array, got an object");
  EXPECT_EQ(mismatch<Point>("[]"), " must be an object, got an array");
  EXPECT_EQ((mismatch<std::map<std::string, int>>("true")), " must be an object, got true");
}

TEST(Json, EnumsAreNumbersUnlessDescribed) {
  expect_same(Plain::one, "1");
  expect_same(Color::blue, "\"blue\"");
  EXPECT_EQ(read<Color>("1"), Color::green);
  EXPECT_EQ(text_of(static_cast<Color>(77)), "77");
  EXPECT_EQ(mismatch<Color>("\"pink\""), " must be the name of an enumerator, got \"pink\"");
  EXPECT_NE(mismatch<Plain>("\"one\"").find("whole number"), std::string::npos);
}

TEST(Json, ContainersReadAndWrite) {
  expect_same(std::vector<int>{1, 2}, "[1,2]");
  expect_same(std::vector<bool>{true, false}, "[true,false]");
  expect_same(std::deque<std::string>{"a"}, "[\"a\"]");
  expect_same(std::list<int>{}, "[]");
  expect_same(std::map<std::string, int>{{"a", 1}, {"b", 2}}, R"({"a":1,"b":2})");
  expect_same(std::unordered_map<std::string, std::vector<int>>{{"a", {1}}}, R"({"a":[1]})");
  expect_same(std::vector<std::byte>{std::byte{1}, std::byte{0xff}}, "\"Af8=\"");
  EXPECT_EQ(mismatch<std::vector<std::byte>>("\"A\""), " must be base64 in a string, got \"A\"");
}

TEST(Json, VectorsAreReplacedAndMapsAreMerged) {
  EXPECT_EQ(read("[7]", std::vector<int>{1, 2, 3}), std::vector<int>{7});
  EXPECT_EQ(read(R"({"b":3})", std::map<std::string, int>{{"a", 1}, {"b", 2}}),
            (std::map<std::string, int>{{"a", 1}, {"b", 3}}));
}

TEST(Json, ArraysIgnoreSurplusAndFillUpWithZeros) {
  expect_same(std::array<int, 2>{1, 2}, "[1,2]");
  EXPECT_EQ(read("[7,8,9]", std::array<int, 2>{}), (std::array<int, 2>{7, 8}));
  EXPECT_EQ(read("[7]", std::array<int, 2>{1, 2}), (std::array<int, 2>{7, 0}));
}

TEST(Json, NullEmptiesContainersAndOptionalsAndLeavesTheRest) {
  EXPECT_EQ(read("null", 5), 5);
  EXPECT_EQ(read("null", std::string("kept")), "kept");
  EXPECT_EQ(read("null", Point{1, 2}), (Point{1, 2}));
  EXPECT_EQ(read("null", std::array<int, 2>{1, 2}), (std::array<int, 2>{1, 2}));
  EXPECT_EQ(read("null", std::vector<int>{1}), std::vector<int>{});
  EXPECT_EQ(read("null", std::map<std::string, int>{{"a", 1}}), (std::map<std::string, int>{}));
  EXPECT_EQ(read("null", std::optional<int>(1)), std::nullopt);
  EXPECT_TRUE(read("null", boost::json::value(1)).is_null());
  EXPECT_EQ(read("[1,null]", std::vector<int>{}), (std::vector<int>{1, 0}));
}

TEST(Json, OptionalsAreTheValueOrNull) {
  expect_same(std::optional<int>(5), "5");
  expect_same(std::optional<int>(), "null");
  EXPECT_EQ(read(R"({"y":7})", std::optional<Point>(Point{1, 2})), (Point{1, 7}));
}

TEST(Json, DescribedStructsAreObjects) {
  Shape shape;
  shape.name = "s";
  shape.points = {{1, 2}, {3, 4}};
  shape.color = Color::green;
  shape.sizes = {{"w", 0.5}};
  shape.rgb = {1, 2, 3};
  shape.extra = {{"k", nullptr}};
  expect_same(shape, R"({"name":"s","points":[{"x":1,"y":2},{"x":3,"y":4}],"center":null,"color":"green",)"
                     R"("sizes":{"w":0.5},"rgb":[1,2,3],"extra":{"k":null}})");
}

TEST(Json, StructsIgnoreUnknownKeysAndKeepWhatIsMissing) {
  EXPECT_EQ(read(R"({"y":5,"z":{"deep":[1]}})", Point{1, 2}), (Point{1, 5}));
  EXPECT_EQ(read("{}", Point{1, 2}), (Point{1, 2}));
}

TEST(Json, StructKeysMatchInAnyLetterCaseAndTheExactOneFirst) {
  EXPECT_EQ(read(R"({"X":1,"Y":2})", Point{}), (Point{1, 2}));
  EXPECT_EQ(read(R"({"X":1,"x":3})", Point{}), (Point{3, 0}));
  EXPECT_EQ(read(R"({"x":3,"X":1})", Point{}), (Point{1, 0}));
  EXPECT_EQ(read<Named>(R"({"NAME":"n"})").name, "n");
}

TEST(Json, TypesMayContainThemselves) {
  const Tree tree = read<Tree>(R"({"value":1,"branches":[{"value":2},{"value":3,"next":{"value":4}}]})");
  EXPECT_EQ(tree.branches.at(1).next->value, 4);
  EXPECT_EQ(text_of(tree), R"({"value":1,"branches":[{"value":2,"branches":[],"next":null},)"
                           R"({"value":3,"branches":[],"next":{"value":4,"branches":[],"next":null}}],"next":null})");
}

TEST(Json, ErrorsSayWhere) {
  EXPECT_EQ(mismatch<Shape>(R"({"points":[{"x":1},{"x":"a"}]})"),
            ".points[1].x must be a whole number from -2147483648 to 2147483647, got \"a\"");
  EXPECT_EQ(mismatch<Shape>(R"({"SIZES":{"a b":true}})"), ".sizes[\"a b\"] must be a number, got true");
  EXPECT_EQ(mismatch<Shape>(R"({"rgb":[1,2,300]})"), ".rgb[2] must be a whole number from 0 to 255, got 300");
}

TEST(Json, AnyTypeTakesPartBySpecialization) {
  EXPECT_EQ(text_of(Seconds{12}), "\"12s\"");
  EXPECT_EQ(read<Seconds>("\"7s\"").count, 7);
  EXPECT_EQ(read<std::vector<Seconds>>("[\"7s\"]").at(0).count, 7);
  EXPECT_EQ(mismatch<std::vector<Seconds>>("[1]"), "[0] must be seconds, got 1");
}

TEST(Json, WhatHasNoFormIsKnownAtCompileTime) {
  static_assert(ToJson<int> && FromJson<int>);
  static_assert(ToJson<std::string_view> && !FromJson<std::string_view>);
  static_assert(!ToJson<Undescribed> && !FromJson<Undescribed>);
  static_assert(!ToJson<void*> && !ToJson<char> && !ToJson<std::map<int, int>>);
}

}  // namespace
}  // namespace wayport::framing
