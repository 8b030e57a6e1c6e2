#include "wayport/integration/emulator/link_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace wayport::emulator {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Controlled {
  std::string say(std::string_view line) { return control.handle_line(now, line); }

  TimePoint now{1h};
  LinkEmulator left{{}, 1};
  LinkEmulator right{{}, 2};
  LinkControl control{left, right, {"left", "right"}, [](std::size_t i) { return MoreCounts{{"ignored", i + 5}}; }};
};

TEST(LinkOptions, EveryWordIsReadAndWrittenBack) {
  const std::string words =
      "delay=40ms jitter=5ms loss=2% burst=1.5%/12 duplicate=0.1% corrupt=0.01% reorder=3%/7ms rate=10Mbit queue=65536 "
      "held=1048576 down";
  const Result<LinkOptions> options = changed({}, words);
  ASSERT_TRUE(options.has_value()) << options.error().detail;
  EXPECT_EQ(options->delay, 40ms);
  EXPECT_EQ(options->jitter, 5ms);
  EXPECT_DOUBLE_EQ(options->loss, 0.02);
  EXPECT_DOUBLE_EQ(options->burst_loss, 0.015);
  EXPECT_DOUBLE_EQ(options->burst_packets, 12);
  EXPECT_DOUBLE_EQ(options->duplicate, 0.001);
  EXPECT_DOUBLE_EQ(options->corrupt, 0.0001);
  EXPECT_DOUBLE_EQ(options->reorder, 0.03);
  EXPECT_EQ(options->reorder_delay, 7ms);
  EXPECT_EQ(options->bits_per_second, 10'000'000u);
  EXPECT_EQ(options->queue_bytes, 65536u);
  EXPECT_EQ(options->held_bytes_max, 1048576u);
  EXPECT_FALSE(options->up);
  EXPECT_EQ(to_string(*options), words);
  EXPECT_EQ(to_string(LinkOptions()), "perfect");
  EXPECT_EQ(to_string(*changed(*options, "perfect")), "perfect");
}

TEST(LinkOptions, ChancesAreFractionsOrPercentAndCommasSeparate) {
  EXPECT_DOUBLE_EQ(changed({}, "loss=0.25,duplicate=100%")->loss, 0.25);
  EXPECT_DOUBLE_EQ(changed({}, "loss=1")->loss, 1);
  EXPECT_EQ(changed({}, "rate=1.5kbit")->bits_per_second, 1500u);
  EXPECT_EQ(changed({}, "rate=0")->bits_per_second, 0u);
}

TEST(LinkOptions, WhatIsOutOfBoundsIsNamed) {
  for (const auto& [words, part] : std::vector<std::pair<std::string, std::string>>{
           {"loss=101%", "loss=101%"},    {"loss=-1%", "loss=-1%"},  {"loss=", "loss="},
           {"loss=2%%", "loss=2%%"},      {"loss=nan", "loss=nan"},  {"delay=-1ms", "delay"},
           {"delay=61m", "delay"},        {"delay=5", "delay=5"},    {"jitter=2h", "jitter"},
           {"rate=10", "rate=10"},        {"rate=1001Gbit", "rate"}, {"rate=0.1bit", "rate"},
           {"queue=0", "queue"},          {"held=0", "held"},        {"held=5GiB", "held"},
           {"burst=95%/8", "88.888889%"}, {"burst=1%/0.5", "burst"}, {"speed=3", "speed=3"},
           {"reorder=1%/x", "reorder=x"}, {"up=1", "up=1"},          {"burst=1%/1000001", "burst"}}) {
    const Result<LinkOptions> options = changed({}, words);
    ASSERT_FALSE(options.has_value()) << words;
    EXPECT_EQ(options.error().code, ErrorCode::invalid_argument) << words;
    EXPECT_THAT(options.error().detail, HasSubstr(part)) << words;
  }
  // The other side of the same bounds.
  for (const char* const words : {"loss=100%", "delay=60m", "jitter=1h", "rate=1000Gbit", "rate=1bit", "queue=1",
                                  "held=1", "held=4GiB", "burst=88.8%/8", "burst=1%/1", "burst=1%/1000000"}) {
    EXPECT_TRUE(changed({}, words).has_value()) << words;
  }
}

TEST(LinkControl, SetsOneDirectionOrBoth) {
  Controlled link;
  EXPECT_EQ(link.say("set left delay=50ms loss=2%"), "ok");
  EXPECT_EQ(link.left.options().delay, 50ms);
  EXPECT_EQ(link.right.options().delay, 0ms);
  EXPECT_EQ(link.say("set both delay=10ms\r"), "ok");
  EXPECT_EQ(link.say("show"), "left: delay=10ms loss=2%; right: delay=10ms");
}

TEST(LinkControl, UpAndDownTakeADirectionOrMeanBoth) {
  Controlled link;
  EXPECT_EQ(link.say("down"), "ok");
  EXPECT_FALSE(link.left.options().up);
  EXPECT_FALSE(link.right.options().up);
  EXPECT_EQ(link.say("up left"), "ok");
  EXPECT_TRUE(link.left.options().up);
  EXPECT_FALSE(link.right.options().up);
}

TEST(LinkControl, WhatItCannotCarryOutChangesNothing) {
  Controlled link;
  link.right.configure(link.now, *changed({}, "burst=10%/1"));
  for (const char* const line :
       {"", "go", "set", "set left", "set middle loss=1%", "set left loss=200%", "set left delay=5ms loss=200%",
        "up middle", "up left right", "stats now", "show all", "set in delay=1ms"}) {
    EXPECT_THAT(link.say(line), StartsWith("error: ")) << line;
  }
  // Fits the left direction, but not the right one, whose bursts would be too many.
  EXPECT_THAT(link.say("set both queue=0"), StartsWith("error: "));
  EXPECT_EQ(link.say("show"), "left: perfect; right: burst=10%/1");
}

TEST(LinkControl, ALineIsAsLongAsItMayBeAndNotLonger) {
  Controlled link;
  std::string line = "set left loss=1%";
  line.append(LinkControl::kLineBytesMax - line.size(), ' ');
  EXPECT_EQ(link.say(line), "ok");
  EXPECT_THAT(link.say(line + " "), StartsWith("error: a line has at most 1024"));
}

TEST(LinkControl, StatsAreOneLineOfJson) {
  Controlled link;
  link.say("set left delay=5ms");
  link.left.handle_packet(link.now, as_bytes("abc"));
  const std::string stats = link.say("stats");
  EXPECT_THAT(stats, StartsWith(R"({"left":{"options":"delay=5ms","packets_in":1,"bytes_in":3,"packets_out":0,)"));
  EXPECT_THAT(stats, HasSubstr(R"("waiting_packets":1,"waiting_bytes":3,)"));
  EXPECT_THAT(stats, HasSubstr(R"("ignored":5},"right":{"options":"perfect","packets_in":0,)"));
  EXPECT_THAT(stats, HasSubstr(R"("ignored":6}})"));
  EXPECT_EQ(stats.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace wayport::emulator
