#include "wayport/framing/json_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace wayport::framing::json_text {
namespace {

std::string escaped(std::string_view text) {
  std::string out(escaped_size(text), '#');
  char* const end = write_escaped(out.data(), text);
  EXPECT_EQ(end, out.data() + out.size()) << "escaped_size() must be exact";
  return out;
}
std::string printed(double value) {
  char buffer[kNumberCharsMax];
  return {buffer, write_double(buffer, value)};
}
// What a JSON string, quotes included, says; "<bad>" if it is none.
std::string read(std::string_view json) {
  Scanner scanner(json);
  String string;
  if (!scanner.take_string(string) || !scanner.at_end()) return "<bad>";
  std::string out;
  append_unescaped(string.raw, out);
  if (string.plain) {
    EXPECT_EQ(out, string.raw);
  }
  return out;
}
bool skips(std::string_view json) {
  Scanner scanner(json);
  return scanner.skip_value(0) && scanner.at_end();
}
std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(JsonText, WritesEscapesAsGoDoes) {
  EXPECT_EQ(escaped("plain /text~\x7f"), "plain /text~\x7f");
  EXPECT_EQ(escaped("\"\\\n\r\t"), R"(\"\\\n\r\t)");
  EXPECT_EQ(escaped(std::string_view("\0\b\f\x1f", 4)), R"(\u0000\u0008\u000c\u001f)");
  EXPECT_EQ(escaped("<a>&"), R"(\u003ca\u003e\u0026)");
  EXPECT_EQ(escaped("你好 é 😀"), "你好 é 😀");
  EXPECT_EQ(escaped("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"), "\\u2028\\u2029\xe2\x80\xaa");
}

TEST(JsonText, WritesOneReplacementForEachBadByte) {
  EXPECT_EQ(escaped("a\xff\xfe z"), R"(a\ufffd\ufffd z)");
  EXPECT_EQ(escaped("\xe4\xbd"), R"(\ufffd\ufffd)");            // cut off
  EXPECT_EQ(escaped("\xc0\xaf"), R"(\ufffd\ufffd)");            // overlong
  EXPECT_EQ(escaped("\xed\xa0\x80"), R"(\ufffd\ufffd\ufffd)");  // surrogate
  EXPECT_EQ(escaped("\xf4\x90\x80\x80"), R"(\ufffd\ufffd\ufffd\ufffd)");
}

TEST(JsonText, ReadsEveryEscape) {
  EXPECT_EQ(read(R"("\"\\\/\b\f\n\r\t")"), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(read(R"("\u0041\u00e9\u4F60")"), "Aé你");
  EXPECT_EQ(read(R"("\ud83d\ude00")"), "😀");
  EXPECT_EQ(read(R"("\u0000")"), std::string(1, '\0'));
}

TEST(JsonText, ReadsLoneSurrogatesAndBadUtf8AsReplacements) {
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(read(R"("\ud83d")"), bad);
  EXPECT_EQ(read(R"("\ude00x")"), bad + "x");
  EXPECT_EQ(read(R"("\ud83dA")"), bad + "A");
  EXPECT_EQ(read(R"("\ud83d\u0041")"), bad + "A");
  EXPECT_EQ(read(R"("\ud83d\ud83d\ude00")"), bad + "😀");
  EXPECT_EQ(read("\"a\xff\xfez\""), "a" + bad + bad + "z");
  EXPECT_EQ(read("\"\xe4\xbd\""), bad + bad);
}

TEST(JsonText, RefusesBrokenStrings) {
  for (const char* json : {"", "x", "\"", "\"a", "\"\\", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\'\"",
                           "\"a\nb\"", "\"\x1f\"", "'a'"}) {
    EXPECT_EQ(read(json), "<bad>") << json;
  }
}

TEST(JsonText, PrintsDoublesAsGoDoes) {
  EXPECT_EQ(printed(0), "0");
  EXPECT_EQ(printed(-0.0), "-0");
  EXPECT_EQ(printed(1), "1");
  EXPECT_EQ(printed(100000), "100000");
  EXPECT_EQ(printed(0.1), "0.1");
  EXPECT_EQ(printed(-12.5), "-12.5");
  EXPECT_EQ(printed(0.000001), "0.000001");
  EXPECT_EQ(printed(0.00000123), "0.00000123");
  EXPECT_EQ(printed(0.0000001), "1e-7");
  EXPECT_EQ(printed(1.5e-10), "1.5e-10");
  EXPECT_EQ(printed(1e20), "100000000000000000000");
  EXPECT_EQ(printed(123456789012345680000.0), "123456789012345680000");
  EXPECT_EQ(printed(1e21), "1e+21");
  EXPECT_EQ(printed(-1.25e300), "-1.25e+300");
  EXPECT_EQ(printed(std::numeric_limits<double>::max()), "1.7976931348623157e+308");
  EXPECT_EQ(printed(std::numeric_limits<double>::denorm_min()), "5e-324");
  EXPECT_LE(printed(-std::numeric_limits<double>::min()).size(), kNumberCharsMax);
}

TEST(JsonText, ParsesDoublesExactlyAndSaysWhenTheyDoNotFit) {
  double value = 0;
  EXPECT_EQ(parse_double("123456789012345678901234567890", value), NumberFit::ok);
  EXPECT_EQ(value, 123456789012345678901234567890.0);
  EXPECT_EQ(parse_double("1e-999", value), NumberFit::ok);
  EXPECT_EQ(value, 0);
  EXPECT_EQ(parse_double("-0.00001e-5000000000000000000000000", value), NumberFit::ok);
  EXPECT_TRUE(value == 0 && std::signbit(value));
  EXPECT_EQ(parse_double("0e999999999999999999999", value), NumberFit::ok);
  EXPECT_EQ(value, 0);
  EXPECT_EQ(parse_double("0." + std::string(400, '0') + "1e390", value), NumberFit::ok);
  EXPECT_EQ(value, 1e-11);
  for (const char* number : {"1e999", "-1e999", "1e400000000000000000000000", "1.8e308"}) {
    EXPECT_EQ(parse_double(number, value), NumberFit::out_of_range) << number;
  }
}

TEST(JsonText, TakesOnlyJsonNumbers) {
  const auto takes = [](std::string_view text) {
    Scanner scanner(text);
    Number number;
    return scanner.take_number(number) && scanner.at_end();
  };
  for (const char* good : {"0", "-0", "10", "1.5", "-1.25e+3", "1E5", "0e0", "18446744073709551615"})
    EXPECT_TRUE(takes(good)) << good;
  for (const char* bad : {"", "-", "01", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "1_000", "--1"})
    EXPECT_FALSE(takes(bad)) << bad;
}

TEST(JsonText, SkipsValuesOfEveryShape) {
  for (const char* good :
       {"null", "true", "false", " 1 ", "\"x\"", "[]", "[ ]", "{}", R"({"a":[1,{"b":null}], "c" : "d"})"}) {
    EXPECT_TRUE(skips(std::string(good).substr(0, std::string(good).find_last_not_of(' ') + 1))) << good;
  }
  for (const char* bad : {"", "nul", "[", "]", "[1", "[1,]", "[,1]", "[1 2]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
                          "{a:1}", "{\"a\":1]", "tru", "\"", "{1:2}"}) {
    EXPECT_FALSE(skips(bad)) << bad;
  }
}

TEST(JsonText, SkipsNestingUpToTheLimitAndNotBeyond) {
  EXPECT_TRUE(skips(nested(kNestingMax)));
  EXPECT_FALSE(skips(nested(kNestingMax + 1)));
}

TEST(JsonText, FoldsKeysAsGoDoes) {
  EXPECT_TRUE(fold_equal("seq", "seq"));
  EXPECT_TRUE(fold_equal("status_code", "Status_CODE"));
  EXPECT_TRUE(fold_equal("status", "\xc5\xbftatu\xc5\xbf"));
  EXPECT_TRUE(fold_equal("key",
                         "\xe2\x84\xaa"
                         "ey"));
  EXPECT_FALSE(fold_equal("seq", "se"));
  EXPECT_FALSE(fold_equal("seq", "seqq"));
  EXPECT_FALSE(fold_equal("seq", ""));
  EXPECT_FALSE(fold_equal("seq", "\xc5"));
  EXPECT_FALSE(fold_equal("status_code", "status-code"));
  EXPECT_FALSE(fold_equal("a@", "a`"));  // differ in the case bit, but are no letters
}

}  // namespace
}  // namespace wayport::framing::json_text
