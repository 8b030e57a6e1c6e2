#include "wayport/base/log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "wayport/base/log_testing.h"

namespace wayport {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

// 2026-11-21T01:02:03.456Z
const std::chrono::system_clock::time_point kTime{milliseconds(1795222923456)};

std::string line(bool json, std::string_view event, std::vector<LogField> fields = {},
                 LogLevel level = LogLevel::info) {
  return format_log_line(json, kTime, level, event, fields);
}

std::string path(const std::string& name) { return std::string(std::getenv("TEST_TMPDIR")) + "/" + name; }

std::string content(const std::string& name) {
  std::ifstream file(path(name));
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

TEST(LogLine, IsReadableText) {
  EXPECT_EQ(
      line(false, "accepted", {{"peer", "10.0.0.7:4711"}, {"session", 17}, {"tls", true}, {"after", seconds(90)}}),
      "2026-11-21T01:02:03.456Z info  accepted peer=10.0.0.7:4711 session=17 tls=true after=1m30s\n");
  EXPECT_EQ(line(false, "closed", {{"reason", Error{ErrorCode::timed_out, "idle for 30s", {}}}}, LogLevel::warning),
            "2026-11-21T01:02:03.456Z warning closed reason=\"timed_out: idle for 30s\"\n");
}

TEST(LogLine, QuotesAndEscapesValuesThatCouldBeMistaken) {
  EXPECT_EQ(line(false, "e", {{"a", ""}, {"b", "x y"}, {"c", "k=v"}, {"d", "\"\n2026 error forged"}}),
            "2026-11-21T01:02:03.456Z info  e a=\"\" b=\"x y\" c=\"k=v\" d=\"\\x22\\x0a2026 error forged\"\n");
}

TEST(LogLine, IsJsonThatAParserReads) {
  const std::string text = line(true, "ev\"il",
                                {{"peer", "a\\b\"\x1b\xff"},
                                 {"count", 3},
                                 {"ratio", 0.5},
                                 {"ok", false},
                                 {"odd", std::numeric_limits<double>::quiet_NaN()}});
  const boost::json::object object = boost::json::parse(text).as_object();
  EXPECT_EQ(object.at("time").as_string(), "2026-11-21T01:02:03.456Z");
  EXPECT_EQ(object.at("level").as_string(), "info");
  EXPECT_EQ(object.at("event").as_string(), "ev\\x22il");
  EXPECT_EQ(object.at("peer").as_string(), "a\\x5cb\\x22\\x1b\\xff");
  EXPECT_EQ(object.at("count").as_int64(), 3);
  EXPECT_EQ(object.at("ratio").as_double(), 0.5);
  EXPECT_EQ(object.at("ok").as_bool(), false);
  EXPECT_EQ(object.at("odd").as_string(), "nan");
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

TEST(LogLine, FitsIntoOneWriteToAPipe) {
  const std::vector<LogField> fields(100, LogField("key", std::string(500, '\x01')));
  for (const bool json : {false, true}) {
    const std::string text = line(json, "flood", fields);
    EXPECT_LE(text.size(), kLogLineBytesMax);
    EXPECT_THAT(text, HasSubstr("dropped_fields"));
    EXPECT_EQ(text.back(), '\n');
    if (json) {
      EXPECT_TRUE(boost::json::parse(text).is_object());
    }
  }
  EXPECT_LE(line(false, std::string(100'000, 'x')).size(), kLogLineBytesMax);
}

TEST(LogLevels, HaveNames) {
  for (const char* name : {"debug", "info", "warning", "error", "off"})
    EXPECT_EQ(to_string(parse_log_level(name).value()), name);
  EXPECT_FALSE(parse_log_level("INFO"));
  EXPECT_FALSE(parse_log_level(""));
}

TEST(Log, DropsLinesBelowItsLevel) {
  MemoryLog log(LogLevel::warning);
  log.write(LogLevel::info, "no");
  log.write(LogLevel::warning, "yes", {{"n", 1}});
  EXPECT_FALSE(log.enabled(LogLevel::off));
  EXPECT_THAT(log.lines(), ElementsAre("warning yes n=1"));
  null_log().write(LogLevel::error, "nowhere");
}

TEST(LogLimit, LetsABurstPassAndThenTheRate) {
  LogLimit limit(2, 3);
  TimePoint now{seconds(100)};
  const auto passed = [&](int tries) {
    int count = 0;
    std::uint64_t suppressed = 0;
    for (int i = 0; i < tries; ++i) count += limit.pass(now, suppressed);
    return count;
  };
  EXPECT_EQ(passed(10), 3);
  now += milliseconds(499);
  EXPECT_EQ(passed(10), 0);
  now += milliseconds(1);
  EXPECT_EQ(passed(10), 1);
  now += std::chrono::hours(100);
  EXPECT_EQ(passed(10), 3) << "no more than the burst is saved up";
}

TEST(LogLimit, EarnsInStepsOfAnySize) {
  for (const Duration step : {std::chrono::microseconds(100), std::chrono::microseconds(1999)}) {
    LogLimit limit(1, 1);
    TimePoint now{seconds(1)};
    const TimePoint end = now + seconds(20);
    std::uint64_t suppressed = 0;
    int count = 0;
    for (; now < end; now += step) count += limit.pass(now, suppressed);
    EXPECT_EQ(count, 20) << format_duration(step);
  }
}

TEST(LogLimit, TellsHowManyWereHeldBack) {
  MemoryLog log;
  LogLimit limit(1, 1);
  TimePoint now{seconds(1)};
  for (int i = 0; i < 5; ++i) log.write(limit, now, LogLevel::error, "bad", {{"i", i}});
  now += seconds(1);
  log.write(limit, now, LogLevel::error, "bad", {{"i", 5}});
  EXPECT_THAT(log.lines(), ElementsAre("error bad i=0", "error bad i=5 suppressed=4"));
}

TEST(OpenLog, AppendsToItsFile) {
  for (int i = 0; i < 2; ++i) {
    const auto log = open_log({.level = LogLevel::info, .file = path("append.log")});
    ASSERT_TRUE(log);
    (*log)->write(LogLevel::info, "started", {{"i", i}});
    (*log)->write(LogLevel::debug, "detail");
  }
  EXPECT_THAT(content("append.log"), HasSubstr("info  started i=0\n"));
  EXPECT_THAT(content("append.log"), HasSubstr("info  started i=1\n"));
  EXPECT_THAT(content("append.log"), testing::Not(HasSubstr("detail")));
  struct stat status{};
  ASSERT_EQ(::stat(path("append.log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777 & ~0644u, 0u);
}

TEST(OpenLog, FollowsNoLink) {
  ASSERT_EQ(::symlink(path("target").c_str(), path("link.log").c_str()), 0);
  const auto log = open_log({.file = path("link.log")});
  ASSERT_FALSE(log);
  EXPECT_THAT(log.error().detail, HasSubstr("link.log"));
  EXPECT_NE(::access(path("target").c_str(), F_OK), 0);
}

TEST(OpenLog, MixesNoLinesOfSeveralThreads) {
  constexpr int kThreads = 4;
  constexpr int kLines = 200;
  {
    const auto log = open_log({.file = path("threads.log"), .json = true});
    ASSERT_TRUE(log);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kLines; ++i)
          (*log)->write(LogLevel::info, "line", {{"t", t}, {"pad", std::string(200, 'x')}});
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::istringstream lines(content("threads.log"));
  int count = 0;
  for (std::string one; std::getline(lines, one); ++count) EXPECT_TRUE(boost::json::parse(one).is_object());
  EXPECT_EQ(count, kThreads * kLines);
}

}  // namespace
}  // namespace wayport
