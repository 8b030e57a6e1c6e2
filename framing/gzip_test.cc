#include "wayport/framing/gzip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "wayport/framing/testing/vectors.h"

namespace wayport::framing {
namespace {

using ::testing::HasSubstr;
using testing::PacketVector;
using testing::teleport_vectors;

constexpr int kLevels[] = {-2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9};
constexpr std::string_view kEmptyStoredBlock("\0\0\xff\xff", 4);  // what a sync flush leaves, without its first bits

std::string compress(std::string_view text, int level) {
  Deflater deflater;
  Chain to;
  EXPECT_TRUE(deflater.compress(as_bytes(text), level, to));
  return to.to_string();
}
// As a Go peer does it: flushed, never closed.
std::string compress_as_go(std::string_view text, int level = 5) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(text.size() * 2 + 100, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_SYNC_FLUSH);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return from_hex("1f8b08000000000000ff").value() + out;
}
std::string some_text(std::size_t size) {
  std::string text;
  for (unsigned i = 0; text.size() < size; ++i) text += "line " + std::to_string(i * 2654435761u) + "\n";
  text.resize(size);
  return text;
}

struct Expanded {
  explicit Expanded(std::string_view from, std::size_t bytes_max = 0) {
    Inflater inflater;
    result = inflater.expand(as_bytes(from), bytes_max, text);
  }
  Result<void> result;
  std::string text = "what was there before";
};
void expect_text(std::string_view from, std::string_view text) {
  const Expanded expanded(from);
  ASSERT_TRUE(expanded.result) << expanded.result.error().to_string();
  EXPECT_EQ(expanded.text, text);
}
void expect_error(std::string_view from, ErrorCode code, std::string_view said = "", std::size_t bytes_max = 0) {
  const Expanded expanded(from, bytes_max);
  ASSERT_FALSE(expanded.result);
  EXPECT_EQ(expanded.result.error().code, code);
  EXPECT_THAT(expanded.result.error().detail, HasSubstr(std::string(said)));
  EXPECT_EQ(expanded.text, "");
}

TEST(Deflater, WritesACompleteMemberWithGosHeader) {
  const std::string member = compress("hello", 5);
  EXPECT_EQ(to_hex(as_bytes(member)).substr(0, 20), "1f8b08000000000000ff");
  EXPECT_EQ(load_le<std::uint32_t>(as_bytes(member).data() + member.size() - 4), 5u);
  EXPECT_EQ(compress("x", 9).at(8), 2);
  EXPECT_EQ(compress("x", 1).at(8), 4);
  EXPECT_EQ(compress("x", -2).at(8), 0);
}

TEST(Deflater, ZlibReadsEveryLevelAndSize) {
  for (const int level : kLevels) {
    for (const std::size_t size : {0u, 1u, 100u, 5000u, 70000u, 300000u}) {
      SCOPED_TRACE(std::to_string(level) + ", " + std::to_string(size));
      const std::string text = some_text(size);
      const std::string member = compress(text, level);
      z_stream z{};
      ASSERT_EQ(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
      std::string out(size + 1, '\0');
      z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(member.data()));
      z.avail_in = static_cast<uInt>(member.size());
      z.next_out = reinterpret_cast<Bytef*>(out.data());
      z.avail_out = static_cast<uInt>(out.size());
      EXPECT_EQ(inflate(&z, Z_FINISH), Z_STREAM_END);
      EXPECT_EQ(z.avail_in, 0u);
      out.resize(z.total_out);
      inflateEnd(&z);
      EXPECT_EQ(out, text);
    }
  }
}

TEST(Deflater, OneDeflaterServesAllLevelsInAnyOrderAsFreshOnesWould) {
  Deflater deflater;
  const std::string text = some_text(20000);
  for (int round = 0; round < 2; ++round) {
    for (const int level : {5, -2, 9, 1, -1, 1, -2, 6, 6}) {
      Chain to;
      ASSERT_TRUE(deflater.compress(as_bytes(text), level, to));
      EXPECT_EQ(to.to_string(), compress(text, level)) << level;
    }
  }
}

TEST(Deflater, ReadsAChainOfManyPiecesAndLeavesIt) {
  for (const std::size_t pieces : {1u, 15u, 16u, 17u, 100u}) {
    Chain from;
    std::string text;
    for (std::size_t i = 0; i < pieces; ++i) {
      std::string piece = some_text(16 * 1024 + i);  // large enough to be a chunk of its own
      text += piece;
      from.append(std::move(piece));
    }
    Deflater deflater;
    Chain to;
    ASSERT_TRUE(deflater.compress(from, 1, to));
    EXPECT_EQ(from.to_string(), text);
    EXPECT_EQ(to.to_string(), compress(text, 1));
  }
}

TEST(Deflater, RefusesLevelsThatGoDoesNotHave) {
  for (const int level : {0, -3, 10, 99}) {
    Deflater deflater;
    Chain to;
    to.append(std::string_view("kept"));
    const Result<void> result = deflater.compress(as_bytes("x"), level, to);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(to.to_string(), "kept");
    EXPECT_FALSE(is_gzip_level(level));
  }
  for (const int level : kLevels) EXPECT_TRUE(is_gzip_level(level));
}

TEST(Inflater, ReadsWhatDeflaterWrote) {
  Inflater inflater;
  std::string text;
  for (const std::size_t size : {0u, 1u, 1000u, 300000u, 10u}) {
    ASSERT_TRUE(inflater.expand(as_bytes(compress(some_text(size), 6)), 0, text));
    EXPECT_EQ(text, some_text(size));
  }
}

TEST(Inflater, ReadsEveryGoldenBody) {
  Inflater inflater;
  std::string text;
  std::size_t count = 0;
  for (const PacketVector& vector : teleport_vectors().packets) {
    if (vector.body_form != PacketVector::BodyForm::gzip) continue;
    SCOPED_TRACE(vector.name);
    const Result<void> result = inflater.expand(as_bytes(vector.wire_body()), 0, text);
    ASSERT_TRUE(result) << result.error().to_string();
    EXPECT_EQ(text, vector.body);
    ++count;
  }
  EXPECT_EQ(count, 54u);
}

TEST(Inflater, RefusesEveryTruncationOfEveryGoldenBody) {
  Inflater inflater;
  std::string text;
  for (const PacketVector& vector : teleport_vectors().packets) {
    if (vector.body_form != PacketVector::BodyForm::gzip) continue;
    const Bytes body = as_bytes(vector.wire_body());
    for (std::size_t size = 0; size < body.size(); ++size) {
      const Result<void> result = inflater.expand(body.first(size), 0, text);
      ASSERT_FALSE(result) << vector.name << " cut to " << size;
      EXPECT_EQ(result.error().code, ErrorCode::malformed);
    }
  }
}

TEST(Inflater, AnEmptyFlushedMemberIsNoBytes) { expect_text(from_hex("1f8b08000000000000ff000000ffff").value(), ""); }

TEST(Inflater, SeveralMembersAreOneText) {
  expect_text(compress("one ", 1) + compress("", 9) + compress("two", -2), "one two");
  expect_text(compress("one ", 1) + compress_as_go("two"), "one two");
}

TEST(Inflater, SeveralFlushesAreOneText) {
  const std::string flushed = compress_as_go("one");
  expect_text(flushed + '\0' + std::string(kEmptyStoredBlock), "one");
}

TEST(Inflater, RefusesAnythingAfterTheLastMember) {
  for (const std::string& garbage : {std::string("x"), std::string("garbage"), std::string("\x1f"),
                                     std::string("\x1f\x8b"), std::string(1, '\0'), std::string(20, '\0')}) {
    expect_error(compress("one", 5) + garbage, ErrorCode::malformed);
  }
}

TEST(Inflater, RefusesEveryTruncationOfACompleteMember) {
  const std::string member = compress(some_text(500), 6);
  for (std::size_t size = 0; size < member.size(); ++size) expect_error(member.substr(0, size), ErrorCode::malformed);
}

TEST(Inflater, ABlockThatOnlyLooksLikeAFlushIsATruncation) {
  // A stored block, not final, whose own data end like a sync flush.
  const std::string header = from_hex("1f8b08000000000000ff").value();
  const std::string stored = from_hex(
                                 "00"
                                 "0500"
                                 "faff"
                                 "41"
                                 "0000ffff")
                                 .value();
  expect_error(header + stored, ErrorCode::malformed, "cut off");
  expect_text(header + stored + from_hex("000000ffff").value(), std::string("A") + std::string(kEmptyStoredBlock));
}

TEST(Inflater, AHeaderAloneIsATruncation) {
  expect_error(from_hex("1f8b08000000000000ff").value(), ErrorCode::malformed, "cut off");
}

TEST(Inflater, RefusesAWrongChecksumOrLength) {
  std::string member = compress("hello", 5);
  member[member.size() - 5] ^= 1;
  expect_error(member, ErrorCode::malformed, "incorrect data check");
  member = compress("hello", 5);
  member.back() ^= 1;
  expect_error(member, ErrorCode::malformed, "incorrect length check");
}

TEST(Inflater, RefusesWhatIsNoGzip) {
  expect_error("plain", ErrorCode::malformed);
  expect_error("", ErrorCode::malformed);
  expect_error(from_hex("1f8b08000000000000ff07").value(), ErrorCode::malformed);  // block type 3
}

TEST(Inflater, ExpandsUpToTheLimitAndNotBeyond) {
  for (const std::size_t size : {2u, 255u, 256u, 257u, 5000u, 100000u}) {
    for (const std::string& body : {compress(some_text(size), 5), compress_as_go(some_text(size))}) {
      const Expanded at_limit(body, size);
      ASSERT_TRUE(at_limit.result) << at_limit.result.error().to_string();
      EXPECT_EQ(at_limit.text, some_text(size));
      expect_error(body, ErrorCode::too_large, "more than " + std::to_string(size - 1) + " bytes", size - 1);
    }
  }
}

TEST(Inflater, ABombCostsNoMoreThanTheLimit) {
  const std::string bomb = teleport_vectors().malformed_input("malformed/gzip_bomb_200MiB_string")->bytes();
  constexpr std::size_t kLimit = 1u << 20;
  Inflater inflater;
  std::string text;
  const Result<void> result = inflater.expand(as_bytes(bomb).subspan(55), kLimit, text);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::too_large);
  EXPECT_LE(text.capacity(), kLimit);
}

TEST(Inflater, IsGoodAgainAfterAnError) {
  Inflater inflater;
  std::string text;
  const std::string good = compress("good", 5);
  EXPECT_FALSE(inflater.expand(as_bytes(good).first(12), 0, text));
  ASSERT_TRUE(inflater.expand(as_bytes(good), 0, text));
  EXPECT_EQ(text, "good");
}

TEST(Inflater, GivesBackALargeOutputAtTheNextUse) {
  Inflater inflater;
  std::string text;
  ASSERT_TRUE(inflater.expand(as_bytes(compress(std::string(4u << 20, 'x'), 1)), 0, text));
  ASSERT_TRUE(inflater.expand(as_bytes(compress("small", 1)), 0, text));
  EXPECT_LT(text.capacity(), 1u << 20);
}

}  // namespace
}  // namespace wayport::framing
