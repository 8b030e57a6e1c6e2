// Goal: the benchmarks run, and their counts add up. Method: each with tiny parameters, as users start them; no
// statement about time.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "wayport/tools/bench/testing/bench_program.h"

namespace wayport::tools {
namespace {

namespace json = boost::json;
using testing::Ran;
using testing::run;
using testing::run_json;

void expect_all_right(const json::object& side) {
  EXPECT_GT(side.at("messages").to_number<std::uint64_t>(), 0u);
  EXPECT_GT(side.at("sum").to_number<std::uint64_t>(), 0u);
  EXPECT_EQ(side.at("wrong").to_number<std::uint64_t>(), 0u);
  EXPECT_EQ(side.at("failed").to_number<std::uint64_t>(), 0u);
  EXPECT_LE(side.at("p50_us").to_number<double>(), side.at("p99_us").to_number<double>());
  EXPECT_LE(side.at("p99_us").to_number<double>(), side.at("max_us").to_number<double>());
}

// Rows of a comparison between the raw echo and `name`.
void expect_rows(const json::object& report, const char* name, std::size_t count) {
  const json::array& rows = report.at("rows").as_array();
  EXPECT_EQ(rows.size(), count);
  for (const json::value& row : rows) {
    expect_all_right(row.at("raw").as_object());
    expect_all_right(row.at(name).as_object());
  }
}

constexpr const char* kTiny = " --seconds 0.02 --rounds 2 --cores any";

TEST(Bench, ComparesPullsOnEachTransport) {
  expect_rows(run_json(std::string("rpc --transport all --outstanding 1,64") + kTiny), "rpc", 6);
}

TEST(Bench, ComparesPullsOfProtobufMessages) {
  expect_rows(run_json(std::string("rpc --transport tcp --outstanding 3 --codec protobuf") + kTiny), "rpc", 1);
}

TEST(Bench, ComparesPullsInAnOpenLoop) {
  const json::object report = run_json(std::string("rpc --transport unix --rate 2000") + kTiny);
  expect_rows(report, "rpc", 1);
  // 0.02 s at 2000 per second.
  EXPECT_EQ(report.at("rows").at(0).at("rpc").at("messages").to_number<int>(), 40);
}

TEST(Bench, ComparesPacketsOnEachTransport) {
  expect_rows(run_json(std::string("packet --transport all --outstanding 1,64") + kTiny), "packet", 6);
}

TEST(Bench, ComparesPacketsOfProtobufMessagesInAnOpenLoop) {
  expect_rows(run_json(std::string("packet --transport unix --rate 1000 --codec protobuf") + kTiny), "packet", 1);
}

TEST(Bench, ComparesLargeBodies) {
  expect_rows(run_json(std::string("packet --transport unix --outstanding 20 --body-bytes 65536") + kTiny), "packet",
              1);
  expect_rows(run_json(std::string("rpc --transport unix --outstanding 20 --body-bytes 65536") + kTiny), "rpc", 1);
}

TEST(Bench, CountsIdleSessions) {
  const json::object report = run_json("idle --transport all --sessions 20");
  const json::array& rows = report.at("rows").as_array();
  EXPECT_EQ(rows.size(), 3u);
  for (const json::value& row : rows) {
    EXPECT_EQ(row.at("sessions").to_number<int>(), 20);
    EXPECT_GT(row.at("sum").to_number<std::uint64_t>(), 0u);
  }
}

TEST(Bench, ComparesCallsWithAndWithoutOthersThatBlock) {
  const json::object report =
      run_json("blocking --rate 1000 --share 0.1 --block-ms 1 --seconds 0.2 --rounds 2 --cores any");
  ASSERT_EQ(report.at("rows").as_array().size(), 2u);
  for (const json::value& row : report.at("rows").as_array()) {
    EXPECT_GT(row.at("without").at("done").to_number<int>(), 0);
    EXPECT_GT(row.at("with").at("blocked").to_number<int>(), 0);
    EXPECT_EQ(row.at("without").at("blocked").to_number<int>(), 0);
    EXPECT_EQ(row.at("with").at("failed").to_number<int>(), 0);
  }
  EXPECT_GT(report.at("p99_ratio").to_number<double>(), 0);
}

TEST(Bench, OffersMoreThanCanBeDoneAndCountsWhatIsRefusedInItsTurn) {
  const json::object report =
      run_json("overload --work-us 2000 --turn-budget-us 1000 --seconds 0.4 --rounds 2 --cores any");
  ASSERT_EQ(report.at("rows").as_array().size(), 2u);
  EXPECT_GT(report.at("peak_per_second").to_number<double>(), 0);
  EXPECT_GT(report.at("refused_in_the_same_turn").to_number<std::uint64_t>(), 0u);
  EXPECT_EQ(report.at("refused_later").to_number<std::uint64_t>(), 0u);
}

TEST(Bench, PrintsATableWithTheMachine) {
  const Ran ran = run(std::string("rpc --transport tcp --outstanding 1") + kTiny);
  EXPECT_EQ(ran.status, 0);
  for (const char* const word : {"cpu ", "kernel", "compiler", "messages/s", "p99.9 us", "raw", "rpc", "p50 x"}) {
    EXPECT_NE(ran.output.find(word), std::string::npos) << word << " in\n" << ran.output;
  }
}

TEST(Bench, ExplainsItself) {
  for (const char* const name : {"rpc", "packet", "idle", "blocking", "overload", "restart"}) {
    const Ran ran = run(std::string(name) + " --help");
    EXPECT_EQ(ran.status, 0);
    EXPECT_NE(ran.output.find("Example:"), std::string::npos) << ran.output;
  }
}

TEST(Bench, RefusesWhatItDoesNotKnow) {
  EXPECT_NE(run("rpc --transport pigeon 2>&1").status, 0);
  EXPECT_NE(run("2>&1").status, 0);
}

}  // namespace
}  // namespace wayport::tools
