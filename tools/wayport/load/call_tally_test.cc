#include "wayport/tools/wayport/load/call_tally.h"

#include <gtest/gtest.h>

namespace wayport::tools {
namespace {

using namespace std::chrono_literals;

TEST(CallTally, PutsAStallIntoTheClassBelowWhoseEndItIs) {
  CallTally tally;
  tally.add_stall(49ms);
  tally.add_stall(50ms);
  tally.add_stall(9999ms);
  tally.add_stall(10s);
  EXPECT_EQ(tally.stalls[0], 1u);
  EXPECT_EQ(tally.stalls[1], 1u);
  EXPECT_EQ(tally.stalls[7], 1u);
  EXPECT_EQ(tally.stalls[8], 1u);
  EXPECT_EQ(tally.longest_stall, 10s);
}

TEST(CallTally, AddsUpAndSaysWhatHasNoOutcome) {
  CallTally one;
  one.begun = 5;
  one.replied = 3;
  one.failed["101 in doubt"] = 1;
  CallTally all;
  all.add(one);
  all.add(one);
  all.wrong = 1;
  all.add_stall(60ms);
  EXPECT_EQ(all.to_json(),
            R"({"begun":10,"replied":6,"wrong":1,"failed":{"101 in doubt":2},"without_outcome":1,"stalls_ms":)"
            R"({"<50":0,"<100":1,"<200":0,"<500":0,"<1000":0,"<2000":0,"<5000":0,"<10000":0,">=10000":0},)"
            R"("longest_stall_ms":60})");
}

}  // namespace
}  // namespace wayport::tools
