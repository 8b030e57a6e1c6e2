// What the benchmarks print: a table for people, or JSON with the same numbers.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <utility>
#include <vector>

#include "wayport/tools/bench/compare.h"
#include "wayport/tools/bench/idle.h"
#include "wayport/tools/bench/restart.h"

namespace wayport::tools {

// describe_machine(), taken before this process was pinned to one of its cores.
using Machine = std::vector<std::pair<std::string, std::string>>;

// How every report begins.
std::string machine_lines(const Machine& machine);
boost::json::object machine_object(const Machine& machine);
// Where both processes run, in words.
const char* place_of(Cores cores);
// One side of a comparison.
boost::json::object side_object(const Side& side);
// "-" if they are not counted.
std::string allocations_text(double per_message);

std::string comparison_table(const Machine& machine, const ComparisonOptions& options,
                             const std::vector<Comparison>& comparisons);
std::string comparison_json(const Machine& machine, const ComparisonOptions& options,
                            const std::vector<Comparison>& comparisons);

std::string idle_table(const Machine& machine, const std::vector<IdleCost>& costs);
std::string idle_json(const Machine& machine, const std::vector<IdleCost>& costs);

std::string restart_table(const Machine& machine, const std::vector<RestartOutcome>& outcomes);
std::string restart_json(const Machine& machine, const std::vector<RestartOutcome>& outcomes);

}  // namespace wayport::tools
