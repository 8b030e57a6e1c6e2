// A small server for graceful_test: what it does at its start is read from a file, so that the test can make a later
// process of the same command line crash or hang.
//
//   server BEHAVIOUR_FILE URL [drain_timeout_ms]
//
// BEHAVIOUR_FILE holds "serve", "crash" (exit code 3 before it is ready), "hang" (never ready), or "process1" (it
// believes to be process 1). Prints "listening URL" and "pid N" when ready; hooks print their names. Pull /sleep of
// milliseconds, /pid.
#include <unistd.h>

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <string>

#include "wayport/base/co.h"
#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/rpc/graceful/graceful.h"
#include "wayport/rpc/peer.h"

namespace wayport::rpc {
namespace {

int serve(int argc, char** argv) {
  Result<ProcessStart> start = ProcessStart::capture();
  if (!start || argc < 3) {
    std::cerr << (start ? "usage" : start.error().to_string()) << "\n";
    return 2;
  }
  std::string behaviour;
  std::ifstream(argv[1]) >> behaviour;
  if (behaviour == "crash") return 3;

  LogOptions log_options;
  const Result<std::unique_ptr<Log>> log = open_log(log_options);
  Runtime runtime({.loops = 2, .log = log->get()});
  PeerOptions options{.listen = {argv[2]}, .listen_options = {.inherited = &start->inherited}};
  Peer peer(runtime, std::move(options));
  peer.router().on_pull("/pid", [] { return static_cast<std::int64_t>(::getpid()); });
  peer.router().on_pull("/sleep", [](Context& context, std::int64_t ms) -> boost::asio::awaitable<Reply<std::int64_t>> {
    Loop& loop = context.session().loop();
    if (!co_await sleep_for(loop, std::chrono::milliseconds(ms))) co_return Status::make(code::kCanceled);
    co_return ms;
  });
  if (const Result<void> started = peer.start(); !started) {
    std::cerr << started.error().to_string() << "\n";
    return 4;
  }
  if (behaviour == "hang") {
    for (;;) ::pause();
  }
  GracefulOptions graceful_options;
  if (argc > 3) graceful_options.drain_timeout = std::chrono::milliseconds(std::stoi(argv[3]));
  graceful_options.ready_timeout = std::chrono::milliseconds(500);
  graceful_options.first_sweep = [] { std::cout << "first_sweep" << std::endl; };
  graceful_options.before_exit = [] { std::cout << "before_exit" << std::endl; };
  if (behaviour == "process1") graceful_options.own_pid = 1;
  const Result<std::unique_ptr<Graceful>> graceful = Graceful::start(runtime, {&peer}, *start, graceful_options);
  if (!graceful) {
    std::cerr << graceful.error().to_string() << "\n";
    return 5;
  }
  std::cout << "listening " << peer.addresses().front() << "\npid " << ::getpid() << std::endl;
  const GracefulEnd end = (*graceful)->wait();
  std::cout << (end.replaced ? "replaced" : "stopped") << (end.drained ? "" : " in a hurry") << std::endl;
  return end.drained ? 0 : 1;
}

}  // namespace
}  // namespace wayport::rpc

int main(int argc, char** argv) { return wayport::rpc::serve(argc, argv); }
