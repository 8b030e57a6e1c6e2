#include "wayport/framing/teleport/header_protobuf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "wayport/framing/testing/vectors.h"

namespace wayport::framing {
namespace {

using ::testing::HasSubstr;

std::string bytes(std::string_view hex) { return from_hex(hex).value(); }
std::string write(const PacketHeader& header) {
  std::string out(header_protobuf_size(header), '#');
  std::byte* const to = reinterpret_cast<std::byte*>(out.data());
  EXPECT_EQ(write_header_protobuf(to, header), to + out.size()) << "header_protobuf_size() must be exact";
  return out;
}
void expect(std::string_view hex, const PacketHeader& wanted) {
  SCOPED_TRACE(hex);
  const std::string input = bytes(hex);
  PacketHeader header;
  const Result<void> result = read_header_protobuf(as_bytes(input), header);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(header, wanted);
}
void expect_malformed(std::string_view hex, std::string_view said = "") {
  SCOPED_TRACE(hex);
  const std::string input = bytes(hex);
  PacketHeader header;
  const Result<void> result = read_header_protobuf(as_bytes(input), header);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::malformed);
  EXPECT_THAT(result.error().detail, HasSubstr(std::string(said)));
}

TEST(HeaderProtobuf, WritesFieldsInOrderAndOmitsZeros) {
  EXPECT_EQ(write({}), "");
  EXPECT_EQ(
      to_hex(as_bytes(write({.seq = 300, .type = 2, .uri = "/a", .gzip = 5, .status_code = 200, .status = "OK"}))),
      "08ac02"      // seq
      "1002"        // type
      "1a022f61"    // uri
      "2005"        // gzip
      "28c801"      // status_code
      "32024f4b");  // status
}

TEST(HeaderProtobuf, NegativeNumbersTakeTenBytes) {
  EXPECT_EQ(to_hex(as_bytes(write({.status_code = -5}))), "28fbffffffffffffffff01");
  expect("28fbffffffffffffffff01", {.status_code = -5});
}

TEST(HeaderProtobuf, ReadsTheWholeRange) {
  const std::int32_t lowest = std::numeric_limits<std::int32_t>::min();
  const PacketHeader header{std::numeric_limits<std::uint64_t>::max(), lowest, "/a", 2147483647, lowest, "x"};
  expect(to_hex(as_bytes(write(header))), header);
}

TEST(HeaderProtobuf, ReadsAnyOrderAndTheLastDuplicateWins) {
  expect(
      "1a012f"
      "100208051a022f61"
      "1001",
      {.seq = 5, .type = 1, .uri = "/a"});
}

TEST(HeaderProtobuf, EmptyIsAllZero) { expect("", {}); }

TEST(HeaderProtobuf, WideVarintsAreTruncated) {
  expect(
      "1081808080"
      "10",
      {.type = 1});
  expect("08ffffffffffffffffff7f", {.seq = std::numeric_limits<std::uint64_t>::max()});
  expect("0881808080808080808000", {.seq = 1});  // more bytes than needed
}

TEST(HeaderProtobuf, StringsPassAsTheyAre) { expect("1a022fff3203fe0041", {.uri = "/\xff", .status = {"\xfe\0A", 3}}); }

TEST(HeaderProtobuf, TagsMayTakeMoreBytesThanNeeded) {
  expect(
      "888000"
      "05"
      "9a80800001"
      "2f",
      {.seq = 5, .uri = "/"});
}

TEST(HeaderProtobuf, UnknownFieldsOfEveryWireTypeAreSkipped) {
  expect(
      "3801"
      "0801",
      {.seq = 1});
  expect(
      "390102030405060708"
      "0801",
      {.seq = 1});
  expect(
      "3a03616263"
      "0801",
      {.seq = 1});
  expect(
      "3d01020304"
      "0801",
      {.seq = 1});
  expect(
      "3b"
      "0801"
      "43"
      "1203616263"
      "44"
      "3c"
      "0802",
      {.seq = 2});
  expect(
      "f8ffffff0f01"
      "0801",
      {.seq = 1});  // the largest field number
}

TEST(HeaderProtobuf, GroupsNestUpToTheLimit) {
  const auto nested = [](int depth) {
    std::string hex;
    for (int i = 0; i < depth; ++i) hex += "3b";
    for (int i = 0; i < depth; ++i) hex += "3c";
    return hex;
  };
  expect(nested(64), {});
  expect_malformed(nested(65), "64");
}

TEST(HeaderProtobuf, BrokenFieldsAreErrors) {
  expect_malformed("0d010000001001", "wire type 5 for field 1");
  expect_malformed("0a0161", "wire type 2 for field 1");
  expect_malformed("1801", "wire type 0 for field 3");
  expect_malformed("0001", "field number 0");
  expect_malformed("0601", "field number 0");
  expect_malformed("3e", "wire type 6");
  expect_malformed("3f", "wire type 7");
  expect_malformed("3c", "wire type 4");
  expect_malformed("3b44", "ended by 8");
  expect_malformed("88808080800001", "a tag of more than 5 bytes");
  expect_malformed("f8ffffff1f01", "field number 1073741823");
  expect_malformed("08ffffffffffffffffffff01", "seq cut off");  // 11 bytes
  expect_malformed("1affffffffffffffffff01", "uri cut off");    // 2^64 - 1 bytes of text
}

TEST(HeaderProtobuf, EveryTruncationInsideAFieldIsAnError) {
  const std::string whole = bytes(
      "08ac02"
      "1002"
      "1a022f61"
      "3a03616263"
      "3d01020304"
      "3b08013c"
      "28fbffffffffffffffff01");
  const std::set<std::size_t> between = {0, 3, 5, 9, 14, 19, 23, 34};
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    PacketHeader header;
    EXPECT_EQ(read_header_protobuf(as_bytes(whole).first(size), header).has_value(), between.contains(size)) << size;
  }
}

TEST(HeaderProtobuf, GoldenHeadersReadAndWriteBack) {
  std::size_t count = 0;
  for (const testing::PacketVector& vector : testing::teleport_vectors().packets) {
    if (vector.header_codec != 'p') continue;
    SCOPED_TRACE(vector.name);
    const std::string header = vector.bytes.substr(5, vector.header_length - 1);
    expect(to_hex(as_bytes(header)), vector.header());
    EXPECT_EQ(write(vector.header()), header);
    ++count;
  }
  EXPECT_EQ(count, 173u);
}

}  // namespace
}  // namespace wayport::framing
