#include "wayport/framing/json_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <cmath>
#include <limits>

#include "wayport/base/chain.h"

namespace wayport::framing {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

json::value parse(std::string_view text) {
  json::value value;
  const Result<void> parsed = parse_json(text, value);
  EXPECT_TRUE(parsed) << text << ": " << (parsed ? "" : parsed.error().to_string());
  return value;
}
std::string write(const json::value& value) {
  Chain to;
  EXPECT_TRUE(write_json(value, to));
  return to.to_string();
}
std::string rewritten(std::string_view text) { return write(parse(text)); }
std::string parse_error(std::string_view text) {
  json::value value;
  const Result<void> parsed = parse_json(text, value);
  if (parsed) return "parsed: " + write(value);
  EXPECT_EQ(parsed.error().code, ErrorCode::malformed);
  return parsed.error().detail;
}
std::string nested(int depth, std::string_view open, std::string_view close) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += open;
  if (open != "[") text += "1";
  for (int i = 0; i < depth; ++i) text += close;
  return text;
}

TEST(JsonValue, WritesCompactTextAsGoDoes) {
  EXPECT_EQ(rewritten(" { \"a\" : [ 1 , -2.50 , true , false , null , { } , [ ] ] ,\n\"b\":\"<&>\" } "),
            R"({"a":[1,-2.5,true,false,null,{},[]],"b":"\u003c\u0026\u003e"})");
  EXPECT_EQ(rewritten(R"({"k\u0026":"\u00e9\n"})"), R"({"k\u0026":"é\n"})");
}

TEST(JsonValue, KeepsIntegersOf64Bits) {
  EXPECT_TRUE(parse("-9223372036854775808").is_int64());
  EXPECT_TRUE(parse("18446744073709551615").is_uint64());
  EXPECT_TRUE(parse("18446744073709551616").is_double());
  EXPECT_TRUE(parse("1.0").is_double());
  EXPECT_EQ(rewritten("[-9223372036854775808,9223372036854775807,18446744073709551615]"),
            "[-9223372036854775808,9223372036854775807,18446744073709551615]");
}

TEST(JsonValue, KeepsDoublesToTheLastDigit) {
  for (const double value : {0.1, 1.0 / 3, 2.2250738585072014e-308, 5e-324, 1.7976931348623157e308, 9007199254740993.0,
                             -0.0, 3.141592653589793, 1e21, 1e-7}) {
    EXPECT_EQ(parse(write(value)).to_number<double>(), value) << write(value);
  }
  EXPECT_EQ(parse("1.3927926388013963e-143").as_double(), 1.3927926388013963e-143);  // not so with Boost 1.81's parser
}

TEST(JsonValue, LastDuplicateKeyWins) { EXPECT_EQ(rewritten(R"({"a":{"x":1},"b":2,"a":[3]})"), R"({"a":[3],"b":2})"); }

TEST(JsonValue, BrokenTextBecomesReplacementCharacters) {
  EXPECT_EQ(parse("\"a\xff\"").as_string(), "a\xef\xbf\xbd");
  EXPECT_EQ(parse(R"("\ud800")").as_string(), "\xef\xbf\xbd");
  EXPECT_EQ(write(json::value("a\xff")), R"("a\ufffd")");
}

TEST(JsonValue, NestsUpToTheLimitAndNotBeyond) {
  for (const auto& [open, close] : {std::pair{"[", "]"}, {"{\"a\":", "}"}}) {
    EXPECT_EQ(rewritten(nested(64, open, close)), nested(64, open, close));
    EXPECT_THAT(parse_error(nested(65, open, close)), HasSubstr("nested more than 64 deep"));
    EXPECT_THAT(parse_error(nested(100'000, open, close)), HasSubstr("nested more than 64 deep"));
  }
  json::value value = 1;
  for (int i = 0; i < 64; ++i) value = json::array{std::move(value)};
  Chain to;
  EXPECT_TRUE(write_json(value, to));
  value = json::array{std::move(value)};
  EXPECT_EQ(write_json(value, to).error().code, ErrorCode::invalid_argument);
}

TEST(JsonValue, RefusesWhatIsNoJson) {
  for (const char* text :
       {"",   " ",  "{",  "}",   "[1,]", "{\"a\":1,}", "{\"a\" 1}", "[1 2]", "tru", "nul",      "falsehood",
        "01", "1.", "+1", "\"a", "'a'",  "1 2",        "{1:2}",     "[1]]",  "NaN", "Infinity", "// x\n1"}) {
    EXPECT_THAT(parse_error(text), HasSubstr("expected at byte")) << text;
  }
}

TEST(JsonValue, RefusesNumbersBeyondDouble) {
  EXPECT_THAT(parse_error("1e400"), HasSubstr("1e400 is beyond the range of a double"));
  EXPECT_EQ(parse("1e-400").as_double(), 0);
}

TEST(JsonValue, RefusesToWriteWhatJsonCannotSay) {
  for (const double value : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    Chain to;
    EXPECT_EQ(write_json(value, to).error().code, ErrorCode::invalid_argument);
  }
}

TEST(JsonValue, LongTextsAreWrittenWholeWhereverASliceEnds) {
  for (std::size_t shift = 0; shift < 5; ++shift) {
    std::string text(shift, 'x');
    for (int i = 0; i < 3000; ++i) text += i % 3 == 0 ? "é" : i % 3 == 1 ? "你" : "😀";
    EXPECT_EQ(write(json::value(text)), "\"" + text + "\"");
    EXPECT_EQ(rewritten("\"" + text + "\""), "\"" + text + "\"");
  }
  const std::string bad(10'000, '\x80');
  std::string expected;
  for (std::size_t i = 0; i < bad.size(); ++i) expected += "\\ufffd";
  EXPECT_EQ(write(json::value(bad)), "\"" + expected + "\"");
}

TEST(JsonValue, AppendsBehindWhatIsThere) {
  Chain to;
  to.append(std::string_view("before"));
  ASSERT_TRUE(write_json(json::array{1, 2}, to));
  EXPECT_EQ(to.to_string(), "before[1,2]");
}

}  // namespace
}  // namespace wayport::framing
