// GracefulProcess: how a program ends, and is replaced by a new one, without anybody noticing. What rpc/graceful and the
// gateway have in common; it knows nothing of what they serve but Drainable.
//
//   int main() {
//     auto start = transport::ProcessStart::capture();                        // before anything else
//     Runtime runtime;
//     ... start what serves, with ListenOptions{.inherited = &start->inherited}
//     auto process = transport::GracefulProcess::start(runtime, {&served}, *start);   // signals; says that it is ready
//     return (*process)->wait().drained ? 0 : 1;
//   }
//
// SIGTERM, SIGINT, stop(): everything served is closed (Drainable::close_async), then wait() returns. A second one of
// these signals ends the process at once with exit code 1.
//
// SIGUSR2, restart(): starts the program anew (base/restart.h) with the listening sockets; once the new process has said
// that it is ready, the service manager learns its pid and this process drains. If it fails or takes too long, it is
// ended, the log says why, and this process goes on as if nothing had happened. As process 1: refused, with advice.
//
// What is served, runtime and ProcessStart outlive it. One per process, because signals are.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "wayport/base/restart.h"
#include "wayport/base/result.h"
#include "wayport/base/runtime.h"
#include "wayport/base/service_manager.h"
#include "wayport/base/time.h"
#include "wayport/transport/inherited.h"

namespace wayport::transport {

// Everything about this process that is to be read before it changes.
struct ProcessStart {
  ProgramStart program;
  InheritedSockets inherited;
  Predecessor predecessor;
  ServiceManager service_manager;

  // First in main(), before threads. Takes what it reads out of the environment. Errors: invalid_argument names the
  // variable.
  static Result<ProcessStart> capture();
};

// Something with listeners and connections: a peer, a gateway. Called on the runtime's first loop, but for close_async.
class Drainable {
 public:
  // The listening sockets. They stay its own; from now on its end leaves who waits in their queues, and the files of
  // unix sockets, to the successor (Listener::inheritable_fds).
  virtual std::vector<int> hand_over_listeners() = 0;
  // The successor does not come.
  virtual void take_back_listeners() = 0;
  // Once: stops accepting, lets what runs end, closes. On the thread of wait(). `done` once, on any thread.
  virtual void close_async(std::move_only_function<void()> done) = 0;
  // Ends at once what a close waits for. How many connections that were.
  virtual std::size_t abort() = 0;

 protected:
  ~Drainable() = default;
};

struct GracefulOptions {
  // From the signal to the end of wait(), hooks included: then what is left is aborted, and a hook that still runs
  // after kOverdue more is ended with the process (exit code 1). Negative: no bound. What is served may have a bound of
  // its own, such as SessionOptions::close_timeout, which is to be as long.
  Duration drain_timeout = std::chrono::seconds(15);
  Duration ready_timeout = std::chrono::seconds(30);  // for the new process; zero or less: no bound
  bool catch_signals = true;                          // false: stop() and restart() only
  // On the thread of wait(); they may block. Exceptions are logged.
  std::function<void()> first_sweep{};  // before anything stops to accept: leave a registry, for instance
  std::function<void()> before_exit{};  // after the last connection has ended
  pid_t own_pid = 0;                    // 0: getpid(); tests play process 1
};

struct GracefulEnd {
  bool replaced = false;  // a new process has taken over
  bool drained = true;    // false: drain_timeout cut something off
};

class GracefulProcess {
 public:
  static constexpr Duration kOverdue = std::chrono::seconds(3);

  // REQUIRES: what is served has started, on this runtime. Catches the signals, warns of inherited sockets that nobody
  // took and closes them, then says that this process is ready: to its predecessor if there is one, else to the service
  // manager. The signals are blocked on the calling thread, which is also to destroy it. Errors: a signal that is caught
  // already; a predecessor that waits no more (end the process then).
  static Result<std::unique_ptr<GracefulProcess>> start(Runtime& runtime, std::vector<Drainable*> served,
                                                        ProcessStart& start, GracefulOptions options = {});
  // Lets go of the signals, which do nothing then. A new process that is not ready yet is ended.
  ~GracefulProcess();
  GracefulProcess(const GracefulProcess&) = delete;
  GracefulProcess& operator=(const GracefulProcess&) = delete;

  // Returns when the process is to end: everything is drained and closed. Once; not on a loop thread.
  GracefulEnd wait();
  // As the signals do. Any thread.
  void stop();
  void restart();

 private:
  struct State;
  explicit GracefulProcess(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace wayport::transport
