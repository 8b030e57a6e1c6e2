#include "wayport/base/time.h"

#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace wayport {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLongest = Duration::max();
constexpr Duration kShortest = Duration::min();

// The cases of Go's own test of time.ParseDuration.
TEST(ParseDuration, ReadsWhatGoReads) {
  const std::vector<std::pair<std::string, Duration>> cases = {
      {"0", 0s},
      {"5s", 5s},
      {"30s", 30s},
      {"1478s", 1478s},
      {"-5s", -5s},
      {"+5s", 5s},
      {"-0", 0s},
      {"+0", 0s},
      {"5.0s", 5s},
      {"5.6s", 5600ms},
      {"5.s", 5s},
      {".5s", 500ms},
      {"1.0s", 1s},
      {"1.00s", 1s},
      {"1.004s", 1004ms},
      {"1.0040s", 1004ms},
      {"100.00100s", 100s + 1ms},
      {"10ns", 10ns},
      {"11us", 11us},
      {"12\xc2\xb5s", 12us},
      {"12\xce\xbcs", 12us},
      {"13ms", 13ms},
      {"14s", 14s},
      {"15m", 15min},
      {"16h", 16h},
      {"3h30m", 3h + 30min},
      {"10.5s4m", 4min + 10500ms},
      {"-2m3.4s", -(2min + 3400ms)},
      {"1h2m3s4ms5us6ns", 1h + 2min + 3s + 4ms + 5us + 6ns},
      {"39h9m14.425s", 39h + 9min + 14425ms},
      {"52763797000ns", 52763797000ns},
      {"0.3333333333333333333h", 20min},
      {"9007199254740993ns", Duration((1ll << 53) + 1)},
      {"9223372036854775807ns", kLongest},
      {"9223372036854775.807us", kLongest},
      {"9223372036s854ms775us807ns", kLongest},
      {"-9223372036854775808ns", kShortest},
      {"-9223372036854775.808us", kShortest},
      {"-9223372036s854ms775us808ns", kShortest},
      {"-2562047h47m16.854775808s", kShortest},
      {"0.100000000000000000000h", 6min},
      {"0.830103483285477580700h", 49min + 48s + 372539827ns},
  };
  for (const auto& [text, value] : cases) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().to_string();
    EXPECT_EQ(*parsed, value) << text;
  }
}

TEST(ParseDuration, RefusesWhatGoRefuses) {
  for (const char* text : {"",
                           "3",
                           "-",
                           "s",
                           ".",
                           "-.",
                           ".s",
                           "+.s",
                           "1d",
                           "\x85\x85",
                           "\xff\xff",
                           "hello \xff\xff world",
                           " 5s",
                           "5s ",
                           "5 s",
                           "--5s",
                           "0x5s",
                           "1e3s",
                           "9223372036854775810ns",
                           "9223372036854775808ns",
                           "-9223372036854775809ns",
                           "9223372036854776us",
                           "3000000h",
                           "9223372036854775.808us",
                           "9223372036854ms775us808ns"}) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::invalid_argument);
  }
}

TEST(FormatDuration, WritesAsGoWrites) {
  const std::vector<std::pair<Duration, std::string>> cases = {
      {0s, "0s"},
      {1ns, "1ns"},
      {1100ns, "1.1\xc2\xb5s"},
      {2200us, "2.2ms"},
      {3300ms, "3.3s"},
      {4min + 5s, "4m5s"},
      {4min + 5001ms, "4m5.001s"},
      {5h + 6min + 7001ms, "5h6m7.001s"},
      {8min + 1ns, "8m0.000000001s"},
      {1h, "1h0m0s"},
      {-1500ms, "-1.5s"},
      {kLongest, "2562047h47m16.854775807s"},
      {kShortest, "-2562047h47m16.854775808s"},
  };
  for (const auto& [value, text] : cases) EXPECT_EQ(format_duration(value), text);
}

TEST(FormatDuration, IsReadBackUnchanged) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 10'000; ++i) {
    const Duration value(static_cast<Duration::rep>(random()) >> (random() % 63));
    const auto parsed = parse_duration(format_duration(value));
    ASSERT_TRUE(parsed) << value.count();
    // Go's fractions go through a double, too: exact below 2^53 ns, and for the whole seconds.
    EXPECT_EQ(*parsed, value);
  }
}

TEST(ParseBytes, KnowsBinaryUnitsAndNothingElse) {
  const std::vector<std::pair<std::string, std::size_t>> cases = {
      {"0", 0},
      {"1", 1},
      {"64KiB", 65536},
      {"1MiB", 1u << 20},
      {"2GiB", 2ull << 30},
      {"1TiB", 1ull << 40},
      {"18446744073709551615", std::numeric_limits<std::size_t>::max()},
      {"16777215TiB", 16777215ull << 40},
  };
  for (const auto& [text, value] : cases) {
    const auto parsed = parse_bytes(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, value) << text;
    EXPECT_EQ(parse_bytes(format_bytes(value)).value(), value);
  }
  for (const char* text : {"", "KiB", "-1", "+1", "1.5KiB", "1 KiB", "1kib", "1KB", "1K", "1B", "0x10", "1KiB ",
                           "18446744073709551616", "16777216TiB", "99999999999999999999KiB"}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
  }
}

TEST(FormatBytes, UsesTheLargestUnitThatDivides) {
  EXPECT_EQ(format_bytes(0), "0");
  EXPECT_EQ(format_bytes(1023), "1023");
  EXPECT_EQ(format_bytes(65536), "64KiB");
  EXPECT_EQ(format_bytes(65537), "65537");
  EXPECT_EQ(format_bytes(std::size_t{3} << 20), "3MiB");
}

TEST(ManualClock, MovesOnlyWhenToldTo) {
  ManualClock clock;
  const TimePoint start = clock.now();
  clock.advance(5s);
  EXPECT_EQ(clock.now() - start, 5s);
  clock.set(start);
  EXPECT_EQ(clock.now(), start);
}

}  // namespace
}  // namespace wayport
