#include "wayport/tools/bench/machine.h"

#include <sched.h>
#include <sys/utsname.h>

#include <fstream>

namespace wayport::tools {
namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with("model name")) continue;
    const std::size_t at = line.find(": ");
    if (at != std::string::npos) return line.substr(at + 2);
  }
  return "unknown";
}

std::string build_flags() {
#ifdef __OPTIMIZE__
  std::string flags = "optimized";
#else
  std::string flags = "NOT optimized (use bazel build --config=rel)";
#endif
#ifdef NDEBUG
  flags += ", NDEBUG";
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  flags += ", address sanitizer";
#endif
#if __has_feature(thread_sanitizer)
  flags += ", thread sanitizer";
#endif
#endif
  return flags;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> describe_machine() {
  utsname system{};
  ::uname(&system);
  return {
      {"cpu", cpu_model()},
      {"cores", std::to_string(usable_cores().size())},
      {"kernel", std::string(system.sysname) + " " + system.release},
      {"compiler", __VERSION__},
      {"build", build_flags()},
      {"clock", first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource")},
      {"load", first_line("/proc/loadavg")},
  };
}

std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

bool pin_to_core(int core) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  return ::sched_setaffinity(0, sizeof(set), &set) == 0;
}

}  // namespace wayport::tools
