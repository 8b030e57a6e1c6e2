#include "wayport/tools/bench/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace wayport::tools {
namespace {

TEST(Histogram, IsEmptyAtFirst) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.at(0.5), 0u);
  EXPECT_EQ(histogram.max(), 0u);
}

TEST(Histogram, KeepsSmallValuesExactly) {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 100; ++value) histogram.add(value);
  EXPECT_EQ(histogram.at(0.0), 1u);
  EXPECT_EQ(histogram.at(0.01), 1u);
  EXPECT_EQ(histogram.at(0.5), 50u);
  EXPECT_EQ(histogram.at(0.99), 99u);
  EXPECT_EQ(histogram.at(1.0), 100u);
}

TEST(Histogram, IsOffByLessThanHalfAPercentAnywhere) {
  for (int power = 0; power < 64; ++power) {
    for (const std::uint64_t offset : {0ull, 1ull, 3ull, 12345ull}) {
      const std::uint64_t value = (std::uint64_t{1} << power) + offset % (std::uint64_t{1} << power);
      Histogram histogram;
      histogram.add(value);
      histogram.add(~std::uint64_t{0});  // so that `value` is not the maximum, which is exact
      const auto got = static_cast<double>(histogram.at(0.5));
      EXPECT_NEAR(got, static_cast<double>(value), 0.005 * static_cast<double>(value)) << value;
    }
  }
}

// Goal: quantiles agree with those of a sorted list, over a wide and skewed distribution.
TEST(Histogram, AgreesWithSorting) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> distribution(10, 2);
  Histogram histogram;
  std::vector<std::uint64_t> values(20'000);
  for (std::uint64_t& value : values) {
    value = static_cast<std::uint64_t>(distribution(random));
    histogram.add(value);
  }
  std::sort(values.begin(), values.end());
  for (const double quantile : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(quantile * static_cast<double>(values.size())));
    const auto expected = static_cast<double>(values[rank - 1]);
    EXPECT_NEAR(static_cast<double>(histogram.at(quantile)), expected, 0.005 * expected + 1) << quantile;
  }
  EXPECT_EQ(histogram.max(), values.back());
}

TEST(Histogram, AddsUp) {
  Histogram low;
  Histogram high;
  for (int i = 0; i < 10; ++i) low.add(10);
  for (int i = 0; i < 30; ++i) high.add(1'000'000);
  Histogram both = low;
  both.add(high);
  EXPECT_EQ(both.count(), 40u);
  EXPECT_EQ(both.at(0.25), 10u);
  EXPECT_NEAR(static_cast<double>(both.at(0.26)), 1e6, 5e3);
  EXPECT_EQ(both.max(), 1'000'000u);
  EXPECT_EQ(low.count(), 10u) << "a copy is a copy";
}

}  // namespace
}  // namespace wayport::tools
