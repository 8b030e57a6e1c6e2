#include "wayport/base/signals.h"

#include <signal.h>

#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wayport {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

struct SignalsTest : testing::Test {
  ManualClock clock;
  Loop loop{{.clock = &clock}};
  std::vector<int> seen;
  Result<std::unique_ptr<SignalSet>> open(std::initializer_list<int> signals, SignalOptions options = {}) {
    return SignalSet::open(loop, signals, [this](int signal) { seen.push_back(signal); }, options);
  }
};

TEST_F(SignalsTest, ArriveAsCallbacksOnTheLoop) {
  const auto set = open({SIGUSR1, SIGUSR2});
  ASSERT_TRUE(set);
  ::raise(SIGUSR1);
  EXPECT_THAT(seen, IsEmpty());
  loop.drain();
  EXPECT_THAT(seen, ElementsAre(SIGUSR1));
  ::raise(SIGUSR2);
  ::raise(SIGUSR1);
  loop.drain();
  EXPECT_THAT(seen, ElementsAre(SIGUSR1, SIGUSR2, SIGUSR1));
}

TEST_F(SignalsTest, StayIgnoredIfTheProcessWasStartedSo) {
  ::signal(SIGHUP, SIG_IGN);
  {
    const auto set = open({SIGHUP});
    ASSERT_TRUE(set);
    ::raise(SIGHUP);
    loop.drain();
    EXPECT_THAT(seen, IsEmpty());
  }
  const auto set = open({SIGHUP}, {.keep_ignored = false});
  ASSERT_TRUE(set);
  ::raise(SIGHUP);
  loop.drain();
  EXPECT_THAT(seen, ElementsAre(SIGHUP));
  (*set)->restore();
  EXPECT_EQ(::signal(SIGHUP, SIG_DFL), SIG_IGN);
}

TEST_F(SignalsTest, BelongToOneSet) {
  const auto first = open({SIGUSR1});
  ASSERT_TRUE(first);
  const auto second = open({SIGUSR2, SIGUSR1});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::invalid_argument);
  const auto third = open({SIGUSR2});
  EXPECT_TRUE(third) << "the failed set let go of what it had";
}

TEST_F(SignalsTest, DoNothingAfterTheirSetIsGone) {
  {
    const auto set = open({SIGUSR1});
    ASSERT_TRUE(set);
    ::raise(SIGUSR1);
  }
  ::raise(SIGUSR1);  // would kill by default
  const auto next = open({SIGUSR1});
  ASSERT_TRUE(next);
  loop.drain();
  EXPECT_THAT(seen, IsEmpty());
}

TEST_F(SignalsTest, MayDestroyTheirSet) {
  std::unique_ptr<SignalSet> set;
  auto opened = SignalSet::open(loop, {SIGUSR1, SIGUSR2}, [&](int) {
    set.reset();
    seen.push_back(0);
  });
  ASSERT_TRUE(opened);
  set = std::move(*opened);
  ::raise(SIGUSR1);
  ::raise(SIGUSR2);
  loop.drain();
  EXPECT_THAT(seen, ElementsAre(0)) << "after the end there is no call";
}

TEST_F(SignalsTest, RefuseNumbersThatAreNone) {
  EXPECT_FALSE(open({0}));
  EXPECT_FALSE(open({1000}));
  EXPECT_FALSE(open({SIGKILL}));
}

}  // namespace
}  // namespace wayport
