// What the benchmarks print: a table for people, or JSON with the same numbers.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "wayport/tools/bench/compare.h"
#include "wayport/tools/bench/idle.h"
#include "wayport/tools/bench/restart.h"

namespace wayport::tools {

// describe_machine(), taken before this process was pinned to one of its cores.
using Machine = std::vector<std::pair<std::string, std::string>>;

std::string comparison_table(const Machine& machine, const ComparisonOptions& options,
                             const std::vector<Comparison>& comparisons);
std::string comparison_json(const Machine& machine, const ComparisonOptions& options,
                            const std::vector<Comparison>& comparisons);

std::string idle_table(const Machine& machine, const std::vector<IdleCost>& costs);
std::string idle_json(const Machine& machine, const std::vector<IdleCost>& costs);

std::string restart_table(const Machine& machine, const std::vector<RestartOutcome>& outcomes);
std::string restart_json(const Machine& machine, const std::vector<RestartOutcome>& outcomes);

}  // namespace wayport::tools
