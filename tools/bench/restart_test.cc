#include "wayport/tools/bench/restart.h"

#include <gtest/gtest.h>

#include <string>

#include "wayport/tools/bench/testing/bench_program.h"

namespace wayport::tools {
namespace {

namespace json = boost::json;
using testing::run_json;

TEST(Bench, RestartsUnderLoadLoseNothingAndExecuteEveryCallOnce) {
  for (const char* const transport : {"tcp", "unix", "tls"}) {
    const json::object report = run_json(std::string("restart --restarts 10 --seconds 1 --transport ") + transport);
    const json::object& row = report.at("rows").at(0).as_object();
    EXPECT_EQ(row.at("restarts").to_number<int>(), 10);
    EXPECT_GT(row.at("calls").to_number<std::uint64_t>(), 100u);
    EXPECT_GT(row.at("connections").to_number<std::uint64_t>(), 10u);
    for (const char* const name : {"lost", "refused", "not_executed", "executed_twice", "exits_not_clean"}) {
      EXPECT_EQ(row.at(name).to_number<std::uint64_t>(), 0u)
          << transport << " " << name << " " << row.at("first_trouble");
    }
  }
}

}  // namespace
}  // namespace wayport::tools
