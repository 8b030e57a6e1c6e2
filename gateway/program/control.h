// Control: SIGUSR1 runs the command that stands in a file, as the original does (README.md has the table).
//
//   Control control(runtime, {&gateway}, {.command_file = "fastway.cmd", .profile_prefix = "fastway"});
//   control.commands().add("kick <id>", "closes a client", ...);    // before start()
//   control.start();
//
// The file is read and the command is run on a thread of the runtime's workers, one at a time, so handlers may block. A
// signal that comes while one is waiting adds nothing: the waiting one will read the newest file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/runtime.h"
#include "wayport/gateway/program/commands.h"
#include "wayport/gateway/program/served_gateway.h"

namespace wayport::gateway {

struct ControlOptions {
  std::string command_file = "fastway.cmd";  // empty: SIGUSR1 does nothing
  std::string profile_prefix = "fastway";
};

class Control {
 public:
  // The gateways and the runtime outlive it. It has the commands of the original and the dumps.
  Control(Runtime& runtime, std::vector<const ServedGateway*> gateways, ControlOptions options);
  // Waits for a command that runs. The signal then does nothing.
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // For those who embed the program. Until start().
  Commands& commands() noexcept;
  // Catches SIGUSR1.
  Result<void> start();

 private:
  struct State;
  Loop& loop_;
  std::shared_ptr<State> state_;
};

}  // namespace wayport::gateway
