// The command line of wayport-link-emulator.
#pragma once

#include <chrono>
#include <iosfwd>
#include <string>
#include <variant>

#include "wayport/integration/emulator/carrier.h"
#include "wayport/integration/emulator/plumbing.h"

namespace wayport::emulator {

inline constexpr int kExitSuccess = 0;
inline constexpr int kExitFailure = 1;  // something of the system refused
inline constexpr int kExitUsage = 2;    // a mistake in the command line
inline constexpr const char* kControlDefault = "@wayport-link-emulator";

struct Printed {
  int exit_code;
};
struct RunCommand {
  std::variant<JoinOptions, RouteOptions, AttachOptions> plumbing;
  CarrierOptions link;
  std::string control = kControlDefault;
};
struct ControlCommand {
  std::string control = kControlDefault;
  std::string line;
  std::chrono::milliseconds patience = kControlPatience;
};
struct AddRouteCommand {
  Prefix network;
  std::string gateway;  // packed
};
using Command = std::variant<Printed, RunCommand, ControlCommand, AddRouteCommand>;

// Prints help and mistakes. What it returns is right as far as can be told without the system.
Command parse_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace wayport::emulator
