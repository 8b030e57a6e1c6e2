#include "wayport/tools/bench/relay_bench.h"

#include <gtest/gtest.h>

namespace wayport::tools {
namespace {

RelayResults good() {
  RelaySide side;
  side.name = "splice";
  side.answered = 10;
  side.reply_bytes = 100;
  side.side.messages_per_second = 1000;
  side.side.server_cpu_us = 2;
  RelaySection section{.title = "one connection"};
  section.rows.push_back({.load = RelayLoad::bulk, .message_bytes = 100, .outstanding = 1, .sides = {side}});
  section.backend_bytes = 1000;
  section.answered_bytes = 1000;
  section.connections = 1;
  section.gateways["splice"] = {{"joined", 1}, {"joined_spliced", 1}, {"refused", 0}};
  RelayResults results;
  results.sections.push_back(section);
  return results;
}

TEST(RelayResults, AreBelievedIfAllCountsAgree) {
  EXPECT_EQ(good().trouble(), "");
  EXPECT_EQ(RelayResults{}.trouble(), "");
}

TEST(RelayResults, AreNotBelievedIfBytesWereLostOrWrong) {
  RelayResults results = good();
  results.sections[0].rows[0].sides[0].side.wrong = 1;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.sections[0].rows[0].sides[0].side.failed = 1;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.sections[0].backend_bytes = 1001;
  EXPECT_NE(results.trouble(), "");
}

TEST(RelayResults, AreNotBelievedIfConnectionsDidNotGoThroughTheGateway) {
  RelayResults results = good();
  results.sections[0].gateways["splice"]["joined"] = 0;
  EXPECT_NE(results.trouble(), "");
  results = good();
  results.sections[0].gateways["splice"]["refused"] = 1;
  EXPECT_NE(results.trouble(), "");
}

TEST(RelaySide, CountsBitsThatArrived) {
  const RelaySide side = good().sections[0].rows[0].sides[0];
  EXPECT_DOUBLE_EQ(side.gbit_per_second(), 800e3 / 1e9);
  // 2 us for 800 bits.
  EXPECT_DOUBLE_EQ(side.cpu_ms_per_gbit(), 2e-3 / (800 / 1e9));
}

}  // namespace
}  // namespace wayport::tools
