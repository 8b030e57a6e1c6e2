// Sums of rounds: medians, since a shared machine makes single rounds lie.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#include "wayport/base/time.h"

namespace wayport::tools {

// Before each measurement this part of its time, so that caches, congestion windows and clock rates are where they will
// be.
inline constexpr double kWarmUpPart = 0.1;

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

template <class Round, class Value>
double median_of(const std::vector<Round>& rounds, Value value) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(value(round));
  return median(std::move(values));
}

// 0 for nothing by nothing.
inline double divided(double value, double by) { return by > 0 ? value / by : 0; }

inline Duration seconds_of(double seconds) { return Duration(static_cast<std::int64_t>(seconds * 1e9)); }

}  // namespace wayport::tools
