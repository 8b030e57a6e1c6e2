#include "wayport/tools/wayport/load/call_ledger.h"

#include <gtest/gtest.h>

namespace wayport::tools {
namespace {

using Entry = CallLedger::Entry;

TEST(CallLedger, CountsEachCallOnceAndSaysWhichCameAgain) {
  CallLedger ledger(10);
  EXPECT_EQ(ledger.enter(7, 0), Entry::first);
  EXPECT_EQ(ledger.enter(7, 2), Entry::first);
  EXPECT_EQ(ledger.enter(7, 1), Entry::first);
  EXPECT_EQ(ledger.enter(8, 2), Entry::first);
  EXPECT_EQ(ledger.enter(7, 2), Entry::again);
  EXPECT_EQ(ledger.enter(7, 2), Entry::again);
  EXPECT_EQ(ledger.totals().executed, 4u);
  EXPECT_EQ(ledger.totals().doubled, 2u);
  EXPECT_EQ(ledger.totals().callers, 2u);
}

TEST(CallLedger, TakesAsManyCallersAndCallsAsItSays) {
  CallLedger ledger(2);
  EXPECT_EQ(ledger.enter(1, 0), Entry::first);
  EXPECT_EQ(ledger.enter(2, 0), Entry::first);
  EXPECT_EQ(ledger.enter(3, 0), Entry::no_room);
  std::uint64_t call = 0;
  while (call < CallLedger::kCallsMax - CallLedger::kAheadMax) {
    call += CallLedger::kAheadMax;
    ASSERT_EQ(ledger.enter(2, call + 1), Entry::no_room) << call;
    ASSERT_EQ(ledger.enter(2, call == CallLedger::kCallsMax ? --call : call), Entry::first) << call;
  }
  EXPECT_EQ(ledger.enter(2, CallLedger::kCallsMax), Entry::no_room);
}

TEST(CallLedger, AllCallersTogetherHaveABound) {
  CallLedger ledger(10, 100);
  EXPECT_EQ(ledger.enter(1, 59), Entry::first);
  EXPECT_EQ(ledger.enter(2, 40), Entry::no_room);
  EXPECT_EQ(ledger.enter(2, 39), Entry::first);
  EXPECT_EQ(ledger.enter(1, 60), Entry::no_room);
  EXPECT_EQ(ledger.enter(1, 58), Entry::first);
  EXPECT_EQ(ledger.enter(2, 39), Entry::again);
  EXPECT_EQ(ledger.totals().executed, 3u);
}

}  // namespace
}  // namespace wayport::tools
