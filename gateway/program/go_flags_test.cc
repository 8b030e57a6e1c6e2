#include "wayport/gateway/program/go_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace wayport::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

struct Values {
  Values() {
    flags.add("On", on, "a switch");
    flags.add("Count", count, "a number");
    flags.add("Time", time, "a time");
    flags.add("Name", name, "a text");
  }
  std::string error_of(const std::vector<std::string>& arguments) {
    const Result<GoFlags::Parsed> parsed = flags.parse(arguments);
    return parsed ? "none" : parsed.error().detail;
  }

  bool on = false;
  std::int64_t count = 7;
  Duration time = seconds(30);
  std::string name = "nobody";
  GoFlags flags;
};

TEST(GoFlags, TakesOneDashOrTwoAndBothWaysToGiveAValue) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"-On", "-Count", "10", "-Time", "1m30s", "-Name", "x"},
           {"--On", "--Count", "10", "--Time", "1m30s", "--Name", "x"},
           {"-On=true", "-Count=10", "-Time=1m30s", "-Name=x"},
           {"--On=1", "--Count=0xa", "--Time=90s", "--Name=x"},
           {"-Name=y", "-On=f", "-Count=3", "-Time=1s", "-Name", "x", "-On=T", "-Count=1_0", "-Time=1.5m"},
       }) {
    Values values;
    const Result<GoFlags::Parsed> parsed = values.flags.parse(arguments);
    ASSERT_TRUE(parsed) << parsed.error().to_string();
    EXPECT_EQ(parsed->rest, arguments.size());
    EXPECT_TRUE(values.on);
    EXPECT_EQ(values.count, 10);
    EXPECT_EQ(values.time, seconds(90));
    EXPECT_EQ(values.name, "x");
    EXPECT_TRUE(values.flags.given("Count"));
  }
}

TEST(GoFlags, EndsAtTheFirstArgumentThatIsNoFlag) {
  Values values;
  EXPECT_EQ(values.flags.parse(std::vector<std::string>{"-On", "true", "-Count", "1"})->rest, 1u);  // as Go: -On alone
  EXPECT_EQ(values.count, 7);
  EXPECT_EQ(values.flags.parse(std::vector<std::string>{"-Count", "1", "--", "-Count", "2"})->rest, 3u);
  EXPECT_EQ(values.flags.parse(std::vector<std::string>{"-", "-Count", "2"})->rest, 0u);
  EXPECT_EQ(values.flags.parse(std::vector<std::string>{""})->rest, 0u);
  EXPECT_EQ(values.count, 1);
  EXPECT_FALSE(values.flags.given("Name"));
}

TEST(GoFlags, ValuesMayLookLikeFlags) {
  Values values;
  ASSERT_TRUE(values.flags.parse(std::vector<std::string>{"-Name", "-Count", "-Count", "-5", "-Name=a=b"}));
  EXPECT_EQ(values.name, "a=b");
  EXPECT_EQ(values.count, -5);
}

TEST(GoFlags, SaysWhatIsWrongInTheWordsOfGo) {
  const struct {
    std::vector<std::string> arguments;
    const char* error;
  } cases[] = {
      {{"-Other"}, "flag provided but not defined: -Other"},
      {{"-on"}, "flag provided but not defined: -on"},
      {{"---On"}, "bad flag syntax: ---On"},
      {{"-=x"}, "bad flag syntax: -=x"},
      {{"--=x"}, "bad flag syntax: --=x"},
      {{"-Count"}, "flag needs an argument: -Count"},
      {{"-Count", "1.5"}, "invalid value \"1.5\" for flag -Count: parse error"},
      {{"-Count="}, "invalid value \"\" for flag -Count: parse error"},
      {{"-Count", "9223372036854775808"}, "invalid value \"9223372036854775808\" for flag -Count: value out of range"},
      {{"-On=yes"}, "invalid value \"yes\" for flag -On: parse error"},
      {{"-Time", "30"}, "invalid value \"30\" for flag -Time: parse error"},
      {{"-Time", "5 s"}, "invalid value \"5 s\" for flag -Time: parse error"},
      {{"-\x1b[2J"}, "flag provided but not defined: -\\x1b[2J"},
  };
  for (const auto& each : cases) {
    Values values;
    EXPECT_THAT(values.error_of(each.arguments), ::testing::StartsWith(each.error));
  }
}

TEST(GoFlags, HelpIsAskedForUnlessItIsAFlag) {
  for (const char* const help : {"-h", "--help", "-help", "--h"}) {
    Values values;
    EXPECT_TRUE(values.flags.parse(std::vector<std::string>{"-Count=1", help, "-Nonsense"})->help);
  }
  Values values;
  std::string host;
  values.flags.add("h", host, "a host");
  EXPECT_FALSE(values.flags.parse(std::vector<std::string>{"-h", "x"})->help);
  EXPECT_EQ(host, "x");
}

TEST(GoFlags, SecretsAreFoundWhereverTheyStand) {
  Values values;
  ASSERT_TRUE(values.flags.parse(std::vector<std::string>{"-Name=first", "-On", "--Name", "second"}));
  const std::vector<GoFlags::Place> places = values.flags.places("Name");
  ASSERT_EQ(places.size(), 2u);
  EXPECT_EQ(places[0].argument, 0u);
  EXPECT_EQ(places[0].offset, 6u);
  EXPECT_EQ(places[1].argument, 3u);
  EXPECT_EQ(places[1].offset, 0u);
}

TEST(GoFlags, UsageShowsNamesTypesAndDefaults) {
  const Values values;
  EXPECT_EQ(values.flags.usage(),
            "  -On\n    \ta switch\n  -Count int\n    \ta number (default 7)\n  -Time duration\n    \ta time (default "
            "30s)\n  -Name string\n    \ta text (default \"nobody\")\n");
}

TEST(GoFlags, TooManyArgumentsAreRefused) {
  Values values;
  EXPECT_TRUE(values.flags.parse(std::vector<std::string>(GoFlags::kArgumentsMax, "-On")));
  EXPECT_THAT(values.error_of(std::vector<std::string>(GoFlags::kArgumentsMax + 1, "-On")), HasSubstr("1024"));
}

TEST(GoInteger, ReadsEveryBaseAndNothingElse) {
  const struct {
    const char* text;
    std::optional<std::int64_t> value;
  } cases[] = {
      {"0", 0},
      {"-0", 0},
      {"+12", 12},
      {"0x1F", 31},
      {"0X1f", 31},
      {"0b101", 5},
      {"0o17", 15},
      {"017", 15},
      {"1_000", 1000},
      {"0x_ff", 255},
      {"0_7", 7},
      {"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
      {"-9223372036854775808", std::numeric_limits<std::int64_t>::min()},
      {"9223372036854775808", {}},
      {"-9223372036854775809", {}},
      {"99999999999999999999999999", {}},
      {"", {}},
      {"-", {}},
      {"0x", {}},
      {"08", {}},
      {"0b2", {}},
      {"1__0", {}},
      {"_1", {}},
      {"1_", {}},
      {"0x1_", {}},
      {" 1", {}},
      {"1 ", {}},
      {"1e3", {}},
      {"--1", {}},
  };
  for (const auto& each : cases) {
    const Result<std::int64_t> value = parse_go_integer(each.text);
    EXPECT_EQ(value.has_value(), each.value.has_value()) << each.text;
    if (value && each.value) EXPECT_EQ(*value, *each.value) << each.text;
  }
}

}  // namespace
}  // namespace wayport::gateway
