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
// SIGUSR2, restart(), and all that has nothing to do with peers: transport/graceful_process.h.
//
// Works under systemd (README.md has a unit), below any other supervisor, and from a shell. Peers, runtime and
// ProcessStart outlive it. One per process, because signals are.
#pragma once

#include <memory>
#include <vector>

#include "wayport/base/runtime.h"
#include "wayport/rpc/peer.h"
#include "wayport/transport/graceful_process.h"

namespace wayport::rpc {

using transport::GracefulEnd;
using transport::GracefulOptions;  // drain_timeout: each session has its SessionOptions::close_timeout besides
using transport::ProcessStart;

class Graceful {
 public:
  static constexpr Duration kOverdue = transport::GracefulProcess::kOverdue;

  // REQUIRES: the peers are started, on this runtime. Errors: those of GracefulProcess::start.
  static Result<std::unique_ptr<Graceful>> start(Runtime& runtime, const std::vector<Peer*>& peers, ProcessStart& start,
                                                 GracefulOptions options = {});
  // Lets go of the signals, which do nothing then. A new process that is not ready yet is ended.
  ~Graceful();
  Graceful(const Graceful&) = delete;
  Graceful& operator=(const Graceful&) = delete;

  // Returns when the process is to end: everything is drained and closed. Once; not on a loop thread.
  GracefulEnd wait() { return process_->wait(); }
  // As the signals do. Any thread.
  void stop() { process_->stop(); }
  void restart() { process_->restart(); }

 private:
  class Served;
  explicit Graceful(const std::vector<Peer*>& peers);

  std::vector<std::unique_ptr<Served>> served_;
  std::unique_ptr<transport::GracefulProcess> process_;
};

}  // namespace wayport::rpc
