#include "wayport/gateway/program/control.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <utility>

#include "wayport/base/log.h"
#include "wayport/base/signals.h"
#include "wayport/base/time.h"
#include "wayport/gateway/program/files.h"
#include "wayport/gateway/program/on_loop.h"
#include "wayport/gateway/program/profiles.h"

namespace wayport::gateway {
namespace {

Result<std::string> write_dump(const std::string& path, std::string_view text) {
  WAYPORT_TRY(write_file(path, text));
  return "written to " + path;
}

std::string threads() { return "# threads\n" + thread_dump(); }

}  // namespace

struct Control::State : std::enable_shared_from_this<State> {
  State(Runtime& its_runtime, std::vector<const ServedGateway*> its_gateways, ControlOptions its_options)
      : runtime(its_runtime), gateways(std::move(its_gateways)), options(std::move(its_options)) {}

  std::string file(std::string_view topic) const { return options.profile_prefix + "." + std::string(topic) + ".prof"; }

  void add(std::string pattern, std::string help, Commands::Handler handler) {
    const Result<void> added = commands.add(std::move(pattern), std::move(help), std::move(handler));
    WAYPORT_ASSERT(added.has_value(), "the program's own commands are right");
  }
  void add_dump(const std::string& topic, const std::string& help, std::function<std::string()> text) {
    add("lookup " + topic + " [#detail]", help + " to " + file(topic),
        [this, topic, text = std::move(text)](Commands::Arguments) { return write_dump(file(topic), text()); });
  }

  void add_commands() {
    add("help", "prints this table to standard error", [this](Commands::Arguments) -> Result<std::string> {
      const std::string table = "commands, one at a time, in " + options.command_file + ":\n" + commands.help();
      static_cast<void>(!::write(STDERR_FILENO, table.data(), table.size()));
      return std::string();
    });
    add("cpuprof start", "begins a CPU profile in " + file("cpu"), [this](Commands::Arguments) -> Result<std::string> {
      WAYPORT_TRY(start_cpu_profile(file("cpu")));
      return "a CPU profile is being taken";
    });
    add("cpuprof stop", "ends it", [this](Commands::Arguments) -> Result<std::string> {
      WAYPORT_TRY_ASSIGN(const int samples, stop_cpu_profile());
      return std::to_string(samples) + " samples written to " + file("cpu");
    });
    add_dump("goroutine", "threads and connections", [this] {
      std::string text = threads();
      for (const ServedGateway* const gateway : gateways) text += gateway->dump_sessions();
      return text;
    });
    add_dump("threadcreate", "threads", threads);
    add_dump("block", "queues: who does not take what is sent", [this] {
      std::string text;
      for (const ServedGateway* const gateway : gateways) text += gateway->dump_queues();
      return text;
    });
    add("lookup heap [#detail]", "heap profile to " + file("heap"), [this](Commands::Arguments) -> Result<std::string> {
      WAYPORT_TRY_ASSIGN(const std::string profile, heap_profile());
      return write_dump(file("heap"), profile);
    });
    add("lookup gc [#detail]", "memory in use, a line in the log", [](Commands::Arguments) -> Result<std::string> {
      const MemoryUse use = memory_use();
      return "resident " + format_bytes(use.resident_bytes) + ", allocated " + format_bytes(use.heap_bytes) +
             ", free in malloc " + format_bytes(use.heap_free_bytes);
    });
  }

  // On a worker.
  void run() {
    const std::lock_guard lock(mutex);
    pending = false;
    if (closed) return;
    Log& log = runtime.log();
    const Result<std::string> text = read_file(options.command_file, Commands::kTextBytesMax);
    if (!text) {
      log.write(LogLevel::error, "no command", {{"error", text.error()}});
      return;
    }
    const Result<std::string> said = commands.run(*text);
    const std::string_view command = trim(*text);
    if (!said && said.error().code == ErrorCode::not_found) {
      log.write(LogLevel::warning, said.error().detail);
    } else if (!said) {
      log.write(LogLevel::error, "a command failed", {{"command", command}, {"error", said.error()}});
    } else {
      log.write(LogLevel::info, "command done", {{"command", command}, {"result", *said}});
    }
  }

  Runtime& runtime;
  const std::vector<const ServedGateway*> gateways;
  const ControlOptions options;
  Commands commands;
  std::unique_ptr<SignalSet> signals;
  std::mutex mutex;  // held while a command runs
  std::atomic<bool> pending = false;
  bool closed = false;
};

Control::Control(Runtime& runtime, std::vector<const ServedGateway*> gateways, ControlOptions options)
    : loop_(runtime.loop(0)), state_(std::make_shared<State>(runtime, std::move(gateways), std::move(options))) {
  state_->add_commands();
}

Control::~Control() {
  run_on_loop(loop_, [this] { state_->signals.reset(); });
  const std::lock_guard lock(state_->mutex);
  state_->closed = true;
}

Commands& Control::commands() noexcept { return state_->commands; }

Result<void> Control::start() {
  if (state_->options.command_file.empty()) {
    ::signal(SIGUSR1, SIG_IGN);
    return {};
  }
  Result<std::unique_ptr<SignalSet>> signals;
  run_on_loop(loop_, [&] {
    signals = SignalSet::open(loop_, {SIGUSR1}, [state = state_.get()](int) {
      if (state->pending.exchange(true)) return;
      std::move_only_function<void()> task = [kept = state->shared_from_this()] { kept->run(); };
      if (!state->runtime.workers().try_post(task)) state->pending = false;
    });
  });
  if (!signals) return fail(std::move(signals.error()));
  state_->signals = *std::move(signals);
  return {};
}

}  // namespace wayport::gateway
