// The wayport program: parses, makes the log, the runtime and the signal handling, and runs one command.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/base/secrets.h"
#include "wayport/base/signals.h"
#include "wayport/rpc/graceful/graceful.h"
#include "wayport/tools/bench/bench.h"
#include "wayport/tools/wayport/call.h"
#include "wayport/tools/wayport/cli.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/decode.h"
#include "wayport/tools/wayport/interop/interop.h"
#include "wayport/tools/wayport/listen.h"
#include "wayport/tools/wayport/load/load.h"
#include "wayport/tools/wayport/pipe.h"
#include "wayport/tools/wayport/route_explain.h"
#include "wayport/tools/wayport/serve.h"

namespace wayport::tools {
namespace {

// SIGINT and SIGTERM raise `interrupt` while this lives; the second one ends the process at once. The runtime's threads take
// them, not this one, which waits for other things meanwhile.
class SignalGuard {
 public:
  SignalGuard(Runtime& runtime, Interrupt& interrupt) : loop_(runtime.loop(0)) {
    sigset_t ours;
    ::sigemptyset(&ours);
    ::sigaddset(&ours, SIGINT);
    ::sigaddset(&ours, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &ours, &mask_before_);
    on_loop([&] {
      Result<std::unique_ptr<SignalSet>> set = SignalSet::open(loop_, {SIGINT, SIGTERM}, [&interrupt](int) {
        if (interrupt.raised()) std::_Exit(kExitFailure);
        interrupt.raise();
      });
      if (set) {
        signals_ = *std::move(set);
      } else {
        std::cerr << "error: signals: " << set.error().to_string() << "\n";
      }
    });
  }
  ~SignalGuard() {
    on_loop([&] { signals_.reset(); });
    ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  }
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

 private:
  void on_loop(const std::function<void()>& work) {
    std::promise<void> done;
    loop_.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  Loop& loop_;
  sigset_t mask_before_;
  std::unique_ptr<SignalSet> signals_;
};

struct Run {
  const GlobalOptions& global;
  Log& log;
  Console& console;
  rpc::ProcessStart* start;  // of serve

  template <class F>
  int with_runtime(F command) {
    Runtime runtime({.loops = global.loops, .log = &log});
    return command(runtime);
  }
  template <class F>
  int until_signal(F command) {
    return with_runtime([&](Runtime& runtime) {
      Interrupt interrupt;
      const SignalGuard guard(runtime, interrupt);
      return command(runtime, interrupt);
    });
  }

  int operator()(const ServeOptions& options) {
    return with_runtime([&](Runtime& runtime) { return serve(runtime, options, console, *start); });
  }
  int operator()(const CallOptions& options) {
    return with_runtime([&](Runtime& runtime) { return call(runtime, options, console); });
  }
  int operator()(const PushOptions& options) {
    return with_runtime([&](Runtime& runtime) { return push(runtime, options, console); });
  }
  int operator()(const ListenOptions& options) {
    return until_signal(
        [&](Runtime& runtime, Interrupt& interrupt) { return listen(runtime, options, console, interrupt); });
  }
  int operator()(const PipeOptions& options) {
    return until_signal([&](Runtime& runtime, Interrupt& interrupt) {
      return pipe(runtime, options, STDIN_FILENO, STDOUT_FILENO, console.err, interrupt);
    });
  }
  int operator()(const RouteExplainOptions& options) {
    return with_runtime([&](Runtime& runtime) { return explain_route(runtime, options, console); });
  }
  int operator()(const DecodeOptions& options) { return decode(options, console); }
  int operator()(const InteropOptions& options) {
    const interop::Lookup lookup = [](const char* name) { return std::getenv(name); };
    const auto run = [&](Runtime& runtime, Interrupt& interrupt) {
      return interop::interop(runtime, options, lookup, console, interrupt);
    };
    if (interop::is_served(lookup)) return until_signal(run);
    return with_runtime([&](Runtime& runtime) {
      Interrupt never;
      return run(runtime, never);
    });
  }
  int operator()(const LoadServeOptions& options) {
    return until_signal(
        [&](Runtime& runtime, Interrupt& interrupt) { return load_serve(runtime, options, console, interrupt); });
  }
  int operator()(const LoadRunOptions& options) {
    return until_signal(
        [&](Runtime& runtime, Interrupt& interrupt) { return load_run(runtime, options, console, interrupt); });
  }
  int operator()(const BenchOptions& options) {
    std::string name = "wayport bench";
    std::vector<std::string> arguments = options.arguments;
    std::vector<char*> argv = {name.data()};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    return bench_main(static_cast<int>(argv.size()) - 1, argv.data());
  }
};

int run(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const Parsed parsed = parse_command_line(argc, argv, std::cout, std::cerr);
  if (!parsed.invocation) return parsed.exit_code;
  // Before argv is blanked: a successor needs it as it was.
  std::optional<rpc::ProcessStart> start;
  if (std::holds_alternative<ServeOptions>(parsed.invocation->command)) {
    Result<rpc::ProcessStart> captured = rpc::ProcessStart::capture();
    if (!captured) {
      std::cerr << "error: " << captured.error().to_string() << "\n";
      return kExitFailure;
    }
    start.emplace(*std::move(captured));
  }
  blank_secrets(argc, argv);
  LogOptions log_options;
  log_options.level = parsed.invocation->global.log_level.value_or(LogLevel::error);
  const Result<std::unique_ptr<Log>> log = open_log(log_options);
  if (!log) {
    std::cerr << "error: " << log.error().to_string() << "\n";
    return kExitFailure;
  }
  Console console{std::cin, std::cout, std::cerr, ::isatty(STDOUT_FILENO) == 1};
  Run command{parsed.invocation->global, **log, console, start ? &*start : nullptr};
  return std::visit(command, parsed.invocation->command);
}

}  // namespace
}  // namespace wayport::tools

int main(int argc, char** argv) {
  try {
    return wayport::tools::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return wayport::tools::kExitFailure;
  }
}
