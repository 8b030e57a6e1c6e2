#include "wayport/base/timer_wheel.h"

#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wayport {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

struct OnTimer final : Timer {
  explicit OnTimer(std::function<void()> f) : run(std::move(f)) {}
  void on_timer() override { run(); }
  std::function<void()> run;
};

const TimePoint kStart{hours(1)};

struct TimerWheelTest : testing::Test {
  TimerWheel wheel{kStart};
  std::vector<std::string> log;
  std::function<void()> note(std::string what) {
    return [this, what] { log.push_back(what); };
  }
};

TEST_F(TimerWheelTest, FiresAtTheTickAfterTheDeadlineAndNeverBefore) {
  OnTimer timer(note("x"));
  wheel.arm(timer, kStart + microseconds(1500));
  EXPECT_EQ(wheel.next_due(), kStart + milliseconds(2));
  EXPECT_EQ(wheel.fires_at(kStart + microseconds(1500)), kStart + milliseconds(2));
  EXPECT_EQ(wheel.expire(kStart + microseconds(1999)), 0u);
  EXPECT_TRUE(timer.armed());
  EXPECT_EQ(wheel.expire(kStart + milliseconds(2)), 1u);
  EXPECT_FALSE(timer.armed());
  EXPECT_EQ(wheel.next_due(), kNever);
}

TEST_F(TimerWheelTest, FiresAPastDeadlineAtTheNextCall) {
  wheel.expire(kStart + seconds(1));
  OnTimer timer(note("x"));
  wheel.arm(timer, kStart);
  EXPECT_EQ(wheel.next_due(), kStart + seconds(1)) << "never before now";
  EXPECT_EQ(wheel.expire(kStart + seconds(1)), 1u);
}

TEST_F(TimerWheelTest, RunsInTheOrderOfDeadlinesHoweverLateItIs) {
  OnTimer a(note("a")), b(note("b")), c(note("c")), d(note("d"));
  wheel.arm(c, kStart + seconds(100));
  wheel.arm(a, kStart + milliseconds(3));
  wheel.arm(d, kStart + hours(30));
  wheel.arm(b, kStart + milliseconds(70));
  EXPECT_EQ(wheel.expire(kStart + hours(40)), 4u);
  EXPECT_THAT(log, ElementsAre("a", "b", "c", "d"));
}

TEST_F(TimerWheelTest, RunsWhatACallbackArmsInTheNextCall) {
  int runs = 0;
  OnTimer timer([&] {
    if (++runs < 3) wheel.arm(timer, kStart);
  });
  wheel.arm(timer, kStart);
  EXPECT_EQ(wheel.expire(kStart + seconds(5)), 1u);
  EXPECT_EQ(wheel.expire(kStart + seconds(5)), 1u);
  EXPECT_EQ(wheel.expire(kStart + seconds(5)), 1u);
  EXPECT_EQ(wheel.expire(kStart + seconds(5)), 0u);
}

TEST_F(TimerWheelTest, LetsACallbackDisarmAndDestroyOthersThatAreDue) {
  auto second = std::make_unique<OnTimer>(note("second"));
  OnTimer third(note("third"));
  OnTimer first([&] {
    second.reset();
    wheel.disarm(third);
  });
  for (Timer* timer : {static_cast<Timer*>(&first), static_cast<Timer*>(second.get()), static_cast<Timer*>(&third)}) {
    wheel.arm(*timer, kStart + milliseconds(1));
  }
  EXPECT_EQ(wheel.expire(kStart + seconds(1)), 1u);
  EXPECT_THAT(log, IsEmpty());
}

TEST_F(TimerWheelTest, LetsATimerDestroyItself) {
  std::unique_ptr<OnTimer> timer;
  timer = std::make_unique<OnTimer>([&] {
    log.push_back("ran");
    // The function object goes with the timer; nothing of it is used after this.
    timer.reset();
  });
  wheel.arm(*timer, kStart);
  wheel.expire(kStart);
  EXPECT_THAT(log, ElementsAre("ran"));
}

TEST_F(TimerWheelTest, TakesDeadlinesAsFarAwayAsADuration) {
  OnTimer timer(note("x"));
  wheel.arm(timer, TimePoint::max() - Duration(1));
  EXPECT_EQ(wheel.expire(kStart + hours(24 * 365 * 200)), 0u);
  EXPECT_TRUE(timer.armed());
  EXPECT_LE(wheel.next_due(), TimePoint::max());
}

double scale() {
  const char* text = std::getenv("WAYPORT_TEST_SCALE");
  return text != nullptr ? std::atof(text) : 1.0;
}

// Goal: the wheel fires exactly what a sorted list would, in its order. Method: random arming, moving, disarming and
// steps of time of very different sizes, against a multimap; next_due() must never be after the earliest deadline, nor
// lie so early that nothing is gained by sleeping until it.
TEST(TimerWheelProperty, AgreesWithASortedList) {
  struct Numbered final : Timer {
    void on_timer() override { fired->push_back(index); }
    std::size_t index = 0;
    std::vector<std::size_t>* fired = nullptr;
  };
  constexpr std::size_t kTimers = 200;
  const char* const given = std::getenv("WAYPORT_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 20261121;
  SCOPED_TRACE("WAYPORT_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const int runs = static_cast<int>(20 * scale()) + 1;
  for (int run = 0; run < runs; ++run) {
    TimePoint now = kStart + Duration(static_cast<Duration::rep>(random() % 1'000'000'000));
    TimerWheel wheel(now);
    const TimePoint origin = now;
    const auto tick_of = [&](TimePoint t) {
      return t <= origin ? 0 : (t - origin + milliseconds(1) - Duration(1)) / milliseconds(1);
    };
    std::vector<std::size_t> fired;
    std::vector<Numbered> timers(kTimers);
    using Reference = std::multimap<std::int64_t, std::size_t>;
    Reference reference;
    std::vector<Reference::iterator> entry(kTimers, reference.end());
    for (std::size_t i = 0; i < kTimers; ++i) {
      timers[i].index = i;
      timers[i].fired = &fired;
    }
    for (int step = 0; step < 3000; ++step) {
      const std::size_t i = random() % kTimers;
      const Duration reach(static_cast<Duration::rep>(random() % (std::uint64_t{1} << (10 + random() % 45))));
      switch (random() % 8) {
        case 0:
          wheel.disarm(timers[i]);
          if (entry[i] != reference.end()) reference.erase(std::exchange(entry[i], reference.end()));
          break;
        case 1: {
          now += reach / 4;
          std::vector<std::size_t> expected;
          const std::int64_t target = (now - origin) / milliseconds(1);
          while (!reference.empty() && reference.begin()->first <= target) {
            expected.push_back(reference.begin()->second);
            entry[expected.back()] = reference.end();
            reference.erase(reference.begin());
          }
          fired.clear();
          EXPECT_EQ(wheel.expire(now), expected.size());
          ASSERT_EQ(fired, expected) << "run " << run << " step " << step;
          break;
        }
        default: {
          const TimePoint due = random() % 16 == 0 ? now - reach : now + reach;
          wheel.arm(timers[i], due);
          if (entry[i] != reference.end()) reference.erase(entry[i]);
          // What is already past runs in the order of arming.
          entry[i] = reference.emplace(std::max<std::int64_t>(tick_of(due), (now - origin) / milliseconds(1)), i);
        }
      }
      if (reference.empty()) {
        ASSERT_EQ(wheel.next_due(), kNever);
      } else {
        const TimePoint earliest = std::max(now, origin + milliseconds(reference.begin()->first));
        ASSERT_LE(wheel.next_due(), earliest);
        ASSERT_GE(wheel.next_due(), std::min(now, earliest));
      }
    }
    // From wake to wake, as a loop does it: every timer within few wakes.
    std::size_t wakes = 0;
    const std::size_t left = reference.size();
    while (wheel.next_due() != kNever) {
      wheel.expire(wheel.next_due());
      ++wakes;
    }
    EXPECT_LE(wakes, left * 8);
  }
}

}  // namespace
}  // namespace wayport
