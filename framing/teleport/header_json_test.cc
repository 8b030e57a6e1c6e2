#include "wayport/framing/teleport/header_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "wayport/framing/testing/vectors.h"

namespace wayport::framing {
namespace {

using ::testing::HasSubstr;

std::string write(const PacketHeader& header) {
  std::string out(header_json_size_max(header), '#');
  out.resize(static_cast<std::size_t>(write_header_json(out.data(), header) - out.data()));
  return out;
}

struct Read {
  explicit Read(std::string_view json) : input(json), result(read_header_json(input, text, header)) {}
  std::string input;
  std::string text;
  PacketHeader header;
  Result<void> result;
};
void expect(std::string_view json, const PacketHeader& wanted) {
  SCOPED_TRACE(json);
  const Read read(json);
  ASSERT_TRUE(read.result) << read.result.error().to_string();
  EXPECT_EQ(read.header, wanted);
}
void expect_malformed(std::string_view json, std::string_view said = "") {
  SCOPED_TRACE(json);
  const Read read(json);
  ASSERT_FALSE(read.result);
  EXPECT_EQ(read.result.error().code, ErrorCode::malformed);
  EXPECT_THAT(read.result.error().detail, HasSubstr(std::string(said)));
}

TEST(HeaderJson, WritesFieldsInOrderAndOmitsZeros) {
  EXPECT_EQ(write({}), "{}");
  EXPECT_EQ(write({.type = 1, .uri = "/a"}), R"({"type":1,"uri":"/a"})");
  EXPECT_EQ(write({.seq = 7, .type = 2, .uri = "/a", .gzip = 5, .status_code = 200, .status = "OK"}),
            R"({"seq":7,"type":2,"uri":"/a","gzip":5,"status_code":200,"status":"OK"})");
}

TEST(HeaderJson, WritesTheWholeRangeOfNumbersWithinTheStatedSize) {
  const std::int32_t lowest = std::numeric_limits<std::int32_t>::min();
  const PacketHeader header{std::numeric_limits<std::uint64_t>::max(), lowest, "/a", lowest, lowest, "x"};
  const std::string json = write(header);
  EXPECT_EQ(json, R"({"seq":18446744073709551615,"type":-2147483648,"uri":"/a","gzip":-2147483648,)"
                  R"("status_code":-2147483648,"status":"x"})");
  EXPECT_LE(json.size(), header_json_size_max(header));
  expect(json, header);
}

TEST(HeaderJson, EscapesWhatGoEscapes) {
  EXPECT_EQ(write({.uri = "/a?x=1&y=<z>\xe2\x80\xa8"}), R"({"uri":"/a?x=1\u0026y=\u003cz\u003e\u2028"})");
  EXPECT_EQ(write({.status = "你好 \"q\"\n"}), R"({"status":"你好 \"q\"\n"})");
}

TEST(HeaderJson, ReadsAnyOrderSpaceCaseNullAndUnknownKeys) {
  expect(R"({"uri":"/a","type":3,"seq":1})", {.seq = 1, .type = 3, .uri = "/a"});
  expect(" { \"seq\" : 3 ,\n\t\"gzip\" :\rnull } ", {.seq = 3});
  expect(R"({"SEQ":9,"Type":1,"sTatus_Code":-5,"\u0055ri":"/a"})",
         {.seq = 9, .type = 1, .uri = "/a", .status_code = -5});
  expect(
      "{\"\xc5\xbf"
      "eq\":4,\"\\u017ftatus\":\"x\"}",
      {.seq = 4, .status = "x"});
  expect(R"({"seq":2,"extra":[1,{"seq":3,"x":null},"]}"],"":{},"t":true,"f":false,"n":-1.5e3})", {.seq = 2});
  expect("null", {});
  expect("{}", {});
}

TEST(HeaderJson, LastDuplicateWinsAndNullLeavesIt) {
  expect(R"({"seq":1,"seq":2,"SEQ":3})", {.seq = 3});
  expect(R"({"uri":"/a","uri":"/\u0062","uri":"/c"})", {.uri = "/c"});
  expect(R"({"uri":"/a","uri":"/\u0062"})", {.uri = "/b"});
  expect(R"({"seq":1,"uri":"/a","seq":null,"uri":null})", {.seq = 1, .uri = "/a"});
}

TEST(HeaderJson, ReadsBothStringsEscaped) {
  expect(R"({"uri":"/a?x=1\u0026y=\u003cz\u003e","status":"\ud83d\ude00\n"})",
         {.uri = "/a?x=1&y=<z>", .status = "😀\n"});
}

TEST(HeaderJson, StringsWithoutEscapesAreViewsOfTheInput) {
  const Read read(R"({"uri":"/组/你好","status":"x\u0079"})");
  ASSERT_TRUE(read.result);
  EXPECT_GE(read.header.uri.data(), read.input.data());
  EXPECT_LT(read.header.uri.data(), read.input.data() + read.input.size());
  EXPECT_EQ(read.header.status, "xy");
  EXPECT_EQ(read.header.status.data(), read.text.data());
}

TEST(HeaderJson, BadUtf8BecomesTheReplacementCharacter) {
  expect("{\"uri\":\"/s\xff\xfe\"}", {.uri = "/s\xef\xbf\xbd\xef\xbf\xbd"});
}

TEST(HeaderJson, NumbersAreWholeAndInRange) {
  expect(R"({"seq":18446744073709551615})", {.seq = 18446744073709551615u});
  expect(R"({"type":2147483647,"gzip":-2147483648,"status_code":-0})", {.type = 2147483647, .gzip = -2147483647 - 1});
  expect_malformed(R"({"seq":18446744073709551616})", "from 0 to 18446744073709551615, got 18446744073709551616");
  expect_malformed(R"({"seq":-1})", "seq must be a whole number from 0 to 18446744073709551615, got -1");
  expect_malformed(R"({"seq":1.5})", "got 1.5");
  expect_malformed(R"({"seq":1e2})");
  expect_malformed(R"({"type":2147483648})", "type must be a whole number from -2147483648 to 2147483647");
  expect_malformed(R"({"type":-2147483649})");
  expect_malformed(R"({"status_code":1.0})");
}

TEST(HeaderJson, ValuesOfTheWrongKindAreErrorsAndShown) {
  expect_malformed(R"({"seq":"1","type":"pull"})", "seq must be a whole number");
  expect_malformed(R"({"seq":[1,2]})", "got [1,2]");
  expect_malformed(R"({"seq":true})", "got true");
  expect_malformed(R"({"uri":5})", "uri must be a string, got 5");
  expect_malformed(R"({"status":{"a":1}})");
}

TEST(HeaderJson, WhatIsNoJsonIsAnError) {
  for (const char* json : {"",
                           " ",
                           "x",
                           "{",
                           "}",
                           "[]",
                           "5",
                           "\"\"",
                           "true",
                           "nul",
                           "{\"seq\"}",
                           "{\"seq\":}",
                           "{\"seq\":1",
                           "{\"seq\":1,}",
                           "{,}",
                           "{seq:1}",
                           "{\"seq\":1 \"type\":2}",
                           "{\"seq\":1}x",
                           "{\"seq\":1}{}",
                           "{\"seq\":01}",
                           "{\"uri\":\"a}",
                           "{\"uri\":\"\\x\"}",
                           "{\"x\":[}",
                           "{\"x\":nan}",
                           "{\"seq\":1]"}) {
    expect_malformed(json);
  }
}

TEST(HeaderJson, NestingEndsAtTheLimit) {
  const auto nested = [](int depth) {
    return R"({"seq":1,"x":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  expect(nested(63), {.seq = 1});
  expect_malformed(nested(64), "64 deep");
}

TEST(HeaderJson, PeerTextInErrorsIsEscapedAndShort) {
  const Read read("{\"seq\":\"\x1b[31m" + std::string(1000, 'x') + "\"}");
  ASSERT_FALSE(read.result);
  EXPECT_LT(read.result.error().detail.size(), 300u);
  EXPECT_THAT(read.result.error().detail, ::testing::Not(HasSubstr("\x1b")));
}

TEST(HeaderJson, GoldenHeadersReadAndWriteBack) {
  std::size_t count = 0;
  for (const testing::PacketVector& vector : testing::teleport_vectors().packets) {
    if (vector.header_codec != 'j') continue;
    SCOPED_TRACE(vector.name);
    const std::string json = vector.bytes.substr(5, vector.header_length - 1);
    expect(json, vector.header());
    EXPECT_EQ(write(vector.header()), json);
    ++count;
  }
  EXPECT_EQ(count, 176u);
}

}  // namespace
}  // namespace wayport::framing
