// What is asked of `wayport-gateway`, but for the flags of the original (flag_settings.h).
#pragma once

#include <chrono>
#include <iosfwd>
#include <string>
#include <variant>

#include "wayport/base/time.h"

namespace wayport::gateway {

inline constexpr int kExitSuccess = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

struct ConfigCommand {
  std::string file;
  bool check = false;
  bool gogateway = false;  // the file is a config.toml of gogateway-light
  bool allow_any_target = false;
};
struct HealthCommand {
  std::string url;
  Duration timeout = std::chrono::seconds(3);
};
// Nothing to run: help, version or an error was printed.
struct Printed {
  int exit_code = kExitSuccess;
};
using Command = std::variant<Printed, ConfigCommand, HealthCommand>;

Command parse_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace wayport::gateway
