// Graceful: how a program with peers ends and is replaced without anybody noticing (spec/teleport 12).
//
//   int main() {
//     auto start = rpc::ProcessStart::capture();                         // before anything else
//     Runtime runtime;
//     rpc::Peer peer(runtime, {.listen = {"tcp://:9090"}, .listen_options = {.inherited = &start->inherited}});
//     if (auto started = peer.start(); !started) ...
//     auto graceful = rpc::Graceful::start(runtime, {&peer}, *start);    // signals; says that it is ready
//     return (*graceful)->wait().drained ? 0 : 1;
//   }
//
// SIGTERM, SIGINT, stop(): stops accepting, answers every pull that was read, ends each session at a packet boundary and
// executes nothing after; peers that know the drain notice are told. Whoever is connected but not accepted yet becomes a
// session, too, and is told. A second one of these signals ends the process at once with exit code 1.
//
// SIGUSR2, restart(): starts the program anew (base/restart.h) with the listening sockets; once the new process has said
// that it is ready, the service manager learns its pid and this process drains. If it fails or takes too long, it is
// ended, the log says why, and this process goes on as if nothing had happened. As process 1: refused, with advice.
//
// Works under systemd (README.md has a unit), below any other supervisor, and from a shell. Peers, runtime and
// ProcessStart outlive it. One per process, because signals are.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/restart.h"
#include "wayport/base/runtime.h"
#include "wayport/base/service_manager.h"
#include "wayport/rpc/peer.h"
#include "wayport/transport/inherited.h"

namespace wayport::rpc {

// Everything about this process that is to be read before it changes.
struct ProcessStart {
  ProgramStart program;
  transport::InheritedSockets inherited;
  Predecessor predecessor;
  ServiceManager service_manager;

  // First in main(), before threads. Takes what it reads out of the environment. Errors: invalid_argument names the
  // variable.
  static Result<ProcessStart> capture();
};

struct GracefulOptions {
  // From the signal to the end of wait(), hooks included: then what is left is aborted, and a hook that still runs
  // after kOverdue more is ended with the process (exit code 1). Negative: no bound. Each session has its
  // SessionOptions::close_timeout besides, which is to be as long.
  Duration drain_timeout = std::chrono::seconds(15);
  Duration ready_timeout = std::chrono::seconds(30);  // for the new process; zero or less: no bound
  bool catch_signals = true;                          // false: stop() and restart() only
  // On the thread of wait(); they may block. Exceptions are logged.
  std::function<void()> first_sweep{};  // before peers stop to accept: leave a registry, for instance
  std::function<void()> before_exit{};  // after the last session has ended
  pid_t own_pid = 0;                    // 0: getpid(); tests play process 1
};

struct GracefulEnd {
  bool replaced = false;  // a new process has taken over
  bool drained = true;    // false: drain_timeout cut something off
};

class Graceful {
 public:
  static constexpr Duration kOverdue = std::chrono::seconds(3);

  // REQUIRES: the peers are started, on this runtime. Catches the signals, warns of inherited sockets that nobody took
  // and closes them, then says that this process is ready: to its predecessor if there is one, else to the service
  // manager. Errors: a signal that is caught already; a predecessor that waits no more (end the process then).
  static Result<std::unique_ptr<Graceful>> start(Runtime& runtime, std::vector<Peer*> peers, ProcessStart& start,
                                                 GracefulOptions options = {});
  // Lets go of the signals, which do nothing then. A new process that is not ready yet is ended.
  ~Graceful();
  Graceful(const Graceful&) = delete;
  Graceful& operator=(const Graceful&) = delete;

  // Returns when the process is to end: everything is drained and closed. Once; not on a loop thread.
  GracefulEnd wait();
  // As the signals do. Any thread.
  void stop();
  void restart();

 private:
  struct State;
  explicit Graceful(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace wayport::rpc
