#include "wayport/gateway/program/reloader.h"

#include <signal.h>

#include <atomic>
#include <mutex>
#include <utility>

#include "wayport/base/log.h"
#include "wayport/base/signals.h"
#include "wayport/gateway/program/on_loop.h"

namespace wayport::gateway {

struct Reloader::State : std::enable_shared_from_this<State> {
  State(Runtime& its_runtime, std::vector<ServedGateway*> its_gateways, ReloadOptions its_options)
      : runtime(its_runtime), gateways(std::move(its_gateways)), options(std::move(its_options)) {}

  // On a worker.
  void run() {
    const std::lock_guard lock(mutex);
    pending = false;
    if (closed) return;
    Log& log = runtime.log();
    if (options.reopen_log) {
      if (const Result<void> opened = options.reopen_log(); !opened) {
        log.write(LogLevel::error, "a log file is not opened anew; the old one goes on", {{"error", opened.error()}});
      }
    }
    const Result<Settings> settings = options.read_settings();
    if (!settings) {
      return log.write(LogLevel::error, "the configuration is not taken", {{"error", settings.error()}});
    }
    if (settings->fixed != options.fixed) {
      log.write(LogLevel::warning, "the file changed in more than routes; the rest takes a restart (SIGUSR2)");
    }
    bool taken = true;
    for (ServedGateway* const gateway : gateways) {
      if (const Result<void> reloaded = gateway->reload(*settings); !reloaded) {
        taken = false;
        log.write(LogLevel::error, "the configuration is not taken", {{"error", reloaded.error()}});
      }
    }
    if (taken) log.write(LogLevel::info, "the configuration was read again");
  }

  Runtime& runtime;
  const std::vector<ServedGateway*> gateways;
  const ReloadOptions options;
  std::unique_ptr<SignalSet> signals;
  std::mutex mutex;  // held while a reload runs
  std::atomic<bool> pending = false;
  bool closed = false;
};

Reloader::Reloader(Runtime& runtime, std::vector<ServedGateway*> gateways, ReloadOptions options)
    : loop_(runtime.loop(0)), state_(std::make_shared<State>(runtime, std::move(gateways), std::move(options))) {}

Reloader::~Reloader() {
  run_on_loop(loop_, [this] { state_->signals.reset(); });
  const std::lock_guard lock(state_->mutex);
  state_->closed = true;
}

Result<void> Reloader::start() {
  Result<std::unique_ptr<SignalSet>> signals;
  run_on_loop(loop_, [&] {
    signals = SignalSet::open(loop_, {SIGHUP}, [state = state_.get()](int) {
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
