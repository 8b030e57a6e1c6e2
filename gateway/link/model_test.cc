// The real switches, on one to three loops with their mail carried in any interleaving, against the slow and obvious
// reference: 1,000,000 random events. WAYPORT_TEST_SCALE scales them; WAYPORT_TEST_SEED sets the seed, which is printed.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <string>

#include "wayport/gateway/link/testing/arena.h"

namespace wayport::link {
namespace {

class RandomChoices final : public testing::Choices {
 public:
  explicit RandomChoices(std::uint64_t seed) : random_(seed) {}
  std::uint32_t below(std::uint32_t limit) override { return static_cast<std::uint32_t>(random_() % limit); }

 private:
  std::mt19937_64 random_;
};

TEST(SwitchModel, SwitchesDoWhatTheReferenceDoes) {
  const char* const given_seed = std::getenv("WAYPORT_TEST_SEED");
  const char* const given_scale = std::getenv("WAYPORT_TEST_SCALE");
  const std::uint64_t first_seed = given_seed != nullptr ? std::strtoull(given_seed, nullptr, 10) : 20261121;
  const auto events = static_cast<std::uint64_t>(1e6 * (given_scale != nullptr ? std::atof(given_scale) : 1.0));
  constexpr std::uint64_t kEventsOfAnArena = 500;
  std::cout << "WAYPORT_TEST_SEED=" << first_seed << ", " << events << " events" << std::endl;
  // A difference aborts; what it printed last repeats it at once.
  const auto tell = [](std::uint64_t seed) { std::cout << "\rarena of seed " << seed << "  " << std::flush; };

  std::map<std::string, std::uint64_t> seen;
  for (std::uint64_t done = 0, seed = first_seed; done < events; done += kEventsOfAnArena, ++seed) {
    tell(seed);
    RandomChoices choices(seed);
    testing::Arena arena(choices);
    for (std::uint64_t i = 0; i < kEventsOfAnArena; ++i) arena.step();
    arena.finish();
    for (const auto& [what, count] : arena.seen()) seen[what] += count;
  }
  for (const auto& [what, count] : seen) {
    std::cout << "  " << what << ": " << count << '\n';
    if (events >= 1'000'000) EXPECT_NE(count, 0u) << what << " never happened";
  }
}

}  // namespace
}  // namespace wayport::link
