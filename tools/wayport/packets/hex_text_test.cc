#include "wayport/tools/wayport/packets/hex_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wayport::tools {
namespace {

TEST(HexText, ReadsWhatPeoplePasteAtEverySplit) {
  const std::string_view text = "4865 6c:6C\r\n0x6f,0x21\t0a\n";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    HexText hex;
    std::string bytes;
    for (std::size_t at = 0; at < text.size(); at += piece) EXPECT_TRUE(hex.read(text.substr(at, piece), bytes));
    EXPECT_TRUE(hex.finish());
    EXPECT_EQ(bytes, "Hello!\n");
  }
}

TEST(HexText, NamesTheCharacterThatIsWrongAndItsPlace) {
  std::string bytes;
  const auto error = [&bytes](std::string_view text) {
    HexText hex;
    Result<void> read = hex.read(text, bytes);
    if (read) read = hex.finish();
    return read ? std::string() : read.error().to_string();
  };
  EXPECT_EQ(error("00g0"), "malformed: 'g' at character 2 is no hex digit");
  EXPECT_EQ(error("00 1 2"), "malformed: ' ' at character 4 is inside a byte of two hex digits");
  EXPECT_EQ(error("\x1b[2J"), "malformed: '\\x1b' at character 0 is no hex digit");
  EXPECT_EQ(error("123"), "malformed: the hex text ends with half a byte");
}

TEST(HexText, IsToldFromOtherInput) {
  EXPECT_TRUE(looks_like_hex("0000 00ff\n"));
  EXPECT_FALSE(looks_like_hex(std::string_view("\0\0\0\x16p", 5)));
  EXPECT_FALSE(looks_like_hex("hello"));
}

}  // namespace
}  // namespace wayport::tools
