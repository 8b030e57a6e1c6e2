#include "wayport/base/bytes.h"

#include <array>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wayport {
namespace {

TEST(Bytes, StoresAndLoadsInBothOrdersAtAnyAlignment) {
  std::array<std::byte, 9> at{};
  store_be<std::uint32_t>(at.data() + 1, 0x01020304);
  EXPECT_EQ(to_hex(Bytes(at).first(5)), "0001020304");
  EXPECT_EQ(load_be<std::uint32_t>(at.data() + 1), 0x01020304u);
  EXPECT_EQ(load_le<std::uint32_t>(at.data() + 1), 0x04030201u);
  store_le<std::uint64_t>(at.data() + 1, 0x0102030405060708);
  EXPECT_EQ(to_hex(at), "000807060504030201");
  EXPECT_EQ(load_le<std::uint64_t>(at.data() + 1), 0x0102030405060708u);
  store_be<std::uint16_t>(at.data() + 1, 0xabcd);
  EXPECT_EQ(load_be<std::uint16_t>(at.data() + 1), 0xabcd);
  store_be<std::uint8_t>(at.data(), 7);
  EXPECT_EQ(load_le<std::uint8_t>(at.data()), 7);
}

TEST(Varint, HasTheBytesAndSizeOfProtobuf) {
  const std::vector<std::pair<std::uint64_t, std::string>> cases = {
      {0, "00"},         {1, "01"},
      {127, "7f"},       {128, "8001"},
      {300, "ac02"},     {16383, "ff7f"},
      {16384, "808001"}, {std::numeric_limits<std::uint64_t>::max(), "ffffffffffffffffff01"},
  };
  for (const auto& [value, hex] : cases) {
    std::array<std::byte, kVarintBytesMax> at;
    const std::byte* const end = store_varint(at.data(), value);
    const Bytes bytes(at.data(), end);
    EXPECT_EQ(to_hex(bytes), hex);
    EXPECT_EQ(varint_size(value), bytes.size());
    const auto loaded = load_varint(bytes);
    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->value, value);
    EXPECT_EQ(loaded->size, bytes.size());
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) EXPECT_FALSE(load_varint(bytes.first(cut)));
  }
}

TEST(Varint, IsAtMostTenBytesLong) {
  const std::string eleven = *from_hex("80808080808080808080") + '\0';
  EXPECT_FALSE(load_varint(as_bytes(eleven)));
  const std::string padded = *from_hex("81808080808080808000");
  EXPECT_EQ(load_varint(as_bytes(padded))->value, 1u);
  EXPECT_EQ(load_varint(as_bytes(padded))->size, 10u);
}

TEST(Hex, AcceptsBothCasesAndNothingElse) {
  EXPECT_EQ(to_hex(as_bytes("\x01\xab\xff")), "01abff");
  EXPECT_EQ(from_hex("01ABfF"), "\x01\xab\xff");
  EXPECT_EQ(from_hex(""), "");
  for (const char* bad : {"0", "0g", "g0", " 0", "0x10", "-1", "012"}) EXPECT_FALSE(from_hex(bad)) << bad;
}

TEST(Escape, LeavesPlainTextAlone) {
  for (const char* text : {"", "GET /sum?a=1&b=2", "Grüße, 世界 🙂", "tab-free: ok"}) EXPECT_EQ(escape(text), text);
}

TEST(Escape, ShowsWhatCouldForgeALineOrDriveATerminal) {
  EXPECT_EQ(escape("a\nb\r\t"), "a\\x0ab\\x0d\\x09");
  EXPECT_EQ(escape("\x1b[31m"), "\\x1b[31m");
  EXPECT_EQ(escape("say \"\\\""), "say \\x22\\x5c\\x22");
  EXPECT_EQ(escape(std::string_view("\0\x7f", 2)), "\\x00\\x7f");
  EXPECT_EQ(escape("\xc2\x9b"
                   "31m"),
            "\\xc2\\x9b31m")
      << "a C1 control, which some terminals obey";
  EXPECT_EQ(escape("\xe2\x80\xae"
                   "fdp"),
            "\\xe2\\x80\\xaefdp")
      << "right-to-left override";
}

TEST(Escape, ShowsBytesThatAreNoUtf8) {
  EXPECT_EQ(escape("\xff"), "\\xff");
  EXPECT_EQ(escape("\xc0\x80"), "\\xc0\\x80") << "overlong NUL";
  EXPECT_EQ(escape("\xe0\x80\xaf"), "\\xe0\\x80\\xaf") << "overlong slash";
  EXPECT_EQ(escape("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(escape("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "above U+10FFFF";
  EXPECT_EQ(escape("\xe4\xb8"), "\\xe4\\xb8") << "cut off";
  EXPECT_EQ(escape("\xe4\xb8x"), "\\xe4\\xb8x");
}

TEST(Escape, IsBounded) {
  EXPECT_EQ(escape("abcd", 4), "abcd");
  EXPECT_EQ(escape("abcde", 4), "abcd...(+1 bytes)");
  EXPECT_EQ(escape("abc\xc3\xbc", 4), "abc...(+2 bytes)") << "a character is not cut";
  EXPECT_EQ(escape(std::string(1000, 'x')).size(), 256 + std::string_view("...(+744 bytes)").size());
}

}  // namespace
}  // namespace wayport
