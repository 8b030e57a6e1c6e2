// Where and with what a benchmark was run, and on which cores.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace wayport::tools {

// "cpu", "cores", "kernel", "compiler", "build", ... with their values, in printing order.
std::vector<std::pair<std::string, std::string>> describe_machine();

// Numbers of the cores that this process may use.
std::vector<int> usable_cores();
// This process and what it starts; false if the system says no.
bool pin_to_core(int core) noexcept;

}  // namespace wayport::tools
