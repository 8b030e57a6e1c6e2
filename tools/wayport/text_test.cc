#include "wayport/tools/wayport/text.h"

#include <gtest/gtest.h>

namespace wayport::tools {
namespace {

TEST(Text, NoByteThatSteersATerminalGetsThrough) {
  for (int c = 0; c < 256; ++c) {
    const std::string one(1, static_cast<char>(c));
    for (const char shown : shown_in_line(one)) EXPECT_TRUE(shown >= ' ' && shown <= '~') << c;
    for (const char shown : shown_on_terminal(one)) {
      EXPECT_TRUE((shown >= ' ' && shown <= '~') || shown == '\n' || shown == '\t') << c;
    }
  }
  EXPECT_EQ(shown_in_line("a\"b\\c\n\x1b[2J\xe2\x80\xae"), "a\"b\\x5cc\\x0a\\x1b[2J\\xe2\\x80\\xae");
  EXPECT_EQ(shown_on_terminal("{\n\t\"a\": \"\\n\"\x07}"), "{\n\t\"a\": \"\\n\"\\x07}");
  EXPECT_EQ(shown_in_line("grün \xff"), "grün \\xff");
}

TEST(Text, IsCutBetweenCharacters) {
  EXPECT_EQ(shown_in_line("abc", 3), "abc");
  EXPECT_EQ(shown_in_line("abcd", 3), "abc...(+1 bytes)");
  EXPECT_EQ(shown_in_line("ab\xe2\x82\xac!", 3), "ab...(+4 bytes)");
  EXPECT_EQ(shown_in_line("ab\xe2\x82\xac!", 5), "ab\xe2\x82\xac...(+1 bytes)");
}

TEST(Text, KnowsUtf8) {
  for (const char* good : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const char* bad : {"\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
                          "a\xc2"
                          "b"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

TEST(Text, JsonCarriesAnyBytes) {
  boost::json::object object;
  add_bytes(object, "text", as_bytes("h\xc3\xa9\n"));
  add_bytes(object, "bytes", as_bytes("\xff\x01"));
  EXPECT_EQ(json_line(object), "{\"text\":\"h\xc3\xa9\\n\",\"bytes_hex\":\"ff01\"}\n");
}

TEST(Text, JsonDoesNotSteerATerminalEither) {
  boost::json::object object;
  object["a"] = "\x1b[2J \x7f \xc2\x9b \xe2\x80\xae \xef\xbb\xbf gr\xc3\xbcn \xf0\x9f\x8e\x89";
  EXPECT_EQ(json_line(object), "{\"a\":\"\\u001b[2J \\u007f \\u009b \\u202e \\ufeff gr\xc3\xbcn \xf0\x9f\x8e\x89\"}\n");
}

TEST(Text, NamesCodecs) {
  const framing::CodecRegistry codecs;
  EXPECT_EQ(codec_label(codecs, 'j'), "json");
  EXPECT_EQ(codec_label(codecs, 0xfe), "0xfe");
  EXPECT_EQ(codec_label(codecs, 0), "none");
}

}  // namespace
}  // namespace wayport::tools
