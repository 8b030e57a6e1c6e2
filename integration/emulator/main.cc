// The wayport-link-emulator program.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <iostream>

#include "wayport/integration/emulator/carrier.h"
#include "wayport/integration/emulator/cli.h"
#include "wayport/integration/emulator/policy_routing.h"

namespace wayport::emulator {
namespace {

int complain(const Error& error) {
  std::cerr << "error: " << error.detail << (error.cause ? " (" + error.cause.message() + ")" : "") << "\n";
  // The system uses these codes, too, for instance for a file that is not there.
  const bool usage = error.code == ErrorCode::invalid_argument || error.code == ErrorCode::not_found;
  return usage && !error.cause ? kExitUsage : kExitFailure;
}

Result<std::unique_ptr<Plumbing>> make(const RunCommand& command) {
  if (const auto* const join = std::get_if<JoinOptions>(&command.plumbing)) return Plumbing::join(*join);
  if (const auto* const route = std::get_if<RouteOptions>(&command.plumbing)) return Plumbing::route(*route);
  return Plumbing::attach(std::get<AttachOptions>(command.plumbing));
}

Result<void> carry(const RunCommand& command) {
  // From here on a signal ends the program in its own time, so that all is taken back.
  sigset_t ends;
  sigemptyset(&ends);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ends, signal);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const Fd signals(::signalfd(-1, &ends, SFD_CLOEXEC));
  if (!signals) return system_error(errno, "a descriptor for signals");
  // Packets are due to the microsecond; the kernel's habit is to wake 50 of them late.
  ::prctl(PR_SET_TIMERSLACK, 1);

  WAYPORT_TRY_ASSIGN(ControlSocket control, ControlSocket::listen(command.control));
  WAYPORT_TRY_ASSIGN(const std::unique_ptr<Plumbing> plumbing, make(command));
  Carrier carrier(*plumbing, control, signals.get(), command.link);
  std::cout << "ready " << plumbing->description() << ", control " << command.control << ", seed " << command.link.seed
            << std::endl;
  return carrier.run();
}

Result<void> add_route(const AddRouteCommand& command) {
  WAYPORT_TRY_ASSIGN(Netlink netlink, Netlink::open());
  return netlink.add_route(kMainTable, {.to = command.network, .device = 0, .gateway = command.gateway, .source = {}});
}

int run(int argc, char** argv) {
  const Command command = parse_command_line(argc, argv, std::cout, std::cerr);
  if (const auto* const printed = std::get_if<Printed>(&command)) return printed->exit_code;
  if (const auto* const control = std::get_if<ControlCommand>(&command)) {
    const Result<std::string> answer = ask_control(control->control, control->line, control->patience);
    if (!answer) return complain(answer.error());
    const bool refused = answer->starts_with("error: ");
    (refused ? std::cerr : std::cout) << *answer << "\n";
    return refused ? kExitUsage : kExitSuccess;
  }
  const auto* const route = std::get_if<AddRouteCommand>(&command);
  const Result<void> done = route != nullptr ? add_route(*route) : carry(std::get<RunCommand>(command));
  return done ? kExitSuccess : complain(done.error());
}

}  // namespace
}  // namespace wayport::emulator

int main(int argc, char** argv) {
  try {
    return wayport::emulator::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return wayport::emulator::kExitFailure;
  }
}
