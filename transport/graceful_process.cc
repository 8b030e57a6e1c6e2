#include "wayport/transport/graceful_process.h"

#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <utility>

#include "wayport/base/signals.h"

namespace wayport::transport {
namespace {

void run_on(Loop& loop, const std::function<void()>& work) {
  std::promise<void> done;
  loop.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace

Result<ProcessStart> ProcessStart::capture() {
  ProcessStart start;
  WAYPORT_TRY_ASSIGN(start.program, ProgramStart::capture());
  WAYPORT_TRY_ASSIGN(start.predecessor, Predecessor::from_environment());
  WAYPORT_TRY_ASSIGN(start.inherited, InheritedSockets::from_environment());
  WAYPORT_TRY_ASSIGN(start.service_manager, ServiceManager::from_environment());
  return start;
}

// On the runtime's first loop, but for wait() and what is const or atomic.
struct GracefulProcess::State : std::enable_shared_from_this<State> {
  enum class Phase : std::uint8_t { serving, restarting, draining };

  // Fires when the time to drain is over, and once more when what is left should have ended.
  struct DrainTimer final : Timer {
    explicit DrainTimer(State& its_state) : state(its_state) {}
    void on_timer() override { state.on_drain_timer(); }
    State& state;
  };

  State(Runtime& its_runtime, std::vector<Drainable*> its_served, ProcessStart& its_start, GracefulOptions its_options)
      : runtime(its_runtime),
        loop(its_runtime.loop(0)),
        log(its_runtime.log()),
        served(std::move(its_served)),
        process(its_start),
        options(std::move(its_options)),
        drain_timer(*this) {}

  Result<void> open() {
    for (const std::string& what : process.inherited.unused()) {
      log.write(LogLevel::warning, "an inherited socket is not used and closed",
                {{"socket", what}, {"advice", "listen there, or remove it from the socket unit"}});
    }
    process.inherited.close_unused();
    if (options.catch_signals) {
      WAYPORT_TRY_ASSIGN(signals,
                         SignalSet::open(loop, {SIGTERM, SIGINT, SIGUSR2}, [this](int signal) { on_signal(signal); }));
    }
    const bool replaces = static_cast<bool>(process.predecessor);
    if (replaces) WAYPORT_TRY(process.predecessor.tell_ready());
    // What was inherited is this process's own from now on. One that fails before leaves it as it was.
    for (Drainable* const part : served) part->take_back_listeners();
    if (!replaces) note(process.service_manager.ready());
    return {};
  }

  void on_signal(int signal) {
    if (signal == SIGUSR2) return begin_restart();
    // Without a second thought: whoever sends two has no patience.
    if (std::exchange(told_to_end, true)) std::_Exit(1);
    log.write(LogLevel::info, "told to end", {{"signal", signal}});
    begin_drain(false);
  }

  void begin_restart() {
    if (phase != Phase::serving) {
      log.write(LogLevel::warning, "no restart: one is under way, or this process is ending");
      return;
    }
    std::vector<HandedSocket> sockets;
    for (Drainable* const part : served) {
      for (const int fd : part->hand_over_listeners()) sockets.push_back({fd, process.inherited.name_of(fd)});
    }
    note(process.service_manager.reloading());
    Result<std::unique_ptr<Successor>> started = Successor::start(
        loop, process.program, sockets, {.ready_timeout = options.ready_timeout, .own_pid = options.own_pid},
        [this](Result<pid_t> pid) { on_successor(std::move(pid)); });
    if (!started) return restart_failed(started.error());
    phase = Phase::restarting;
    successor = *std::move(started);
    log.write(LogLevel::info, "a new process is starting",
              {{"pid", successor->pid()}, {"executable", process.program.executable}, {"sockets", sockets.size()}});
  }

  void on_successor(Result<pid_t> pid) {
    loop.delete_later(std::move(successor));  // it is what calls
    phase = Phase::serving;
    if (!pid) return restart_failed(pid.error());
    log.write(LogLevel::info, "the new process is ready, this one drains and ends", {{"pid", *pid}});
    note(process.service_manager.main_pid(*pid));
    begin_drain(true);
  }

  void restart_failed(const Error& why) {
    for (Drainable* const part : served) part->take_back_listeners();
    log.write(LogLevel::error, "the restart failed, this process goes on serving", {{"error", why}});
    note(process.service_manager.ready("restart failed, the old process goes on serving"));
  }

  void begin_drain(bool replaced) {
    if (phase == Phase::draining) return;
    if (successor) {
      log.write(LogLevel::warning, "the new process was not ready yet and is ended, too", {{"pid", successor->pid()}});
      successor.reset();
      for (Drainable* const part : served) part->take_back_listeners();
    }
    phase = Phase::draining;
    end.replaced = replaced;
    if (!replaced) note(process.service_manager.stopping());
    if (options.drain_timeout >= Duration::zero()) loop.arm(drain_timer, after(loop.now(), options.drain_timeout));
    begun.set_value();
  }

  void on_drain_timer() {
    if (!end.drained) {
      log.write(LogLevel::error, "a hook or a handler does not end; the process does",
                {{"after", options.drain_timeout + kOverdue}});
      std::_Exit(1);
    }
    end.drained = false;
    std::size_t sessions = 0;
    for (Drainable* const part : served) {
      sessions += part->abort();
    }
    log.write(LogLevel::warning, "drain_timeout is over, what is left is aborted",
              {{"drain_timeout", options.drain_timeout}, {"sessions", sessions}});
    loop.arm(drain_timer, loop.now() + kOverdue);
  }

  void run_hook(const char* name, const std::function<void()>& hook) {
    if (!hook) return;
    try {
      hook();
    } catch (const std::exception& error) {
      log.write(LogLevel::error, "a hook threw", {{"hook", name}, {"error", error.what()}});
    } catch (...) {
      log.write(LogLevel::error, "a hook threw", {{"hook", name}});
    }
  }

  // The service works without those who watch it.
  void note(const Result<void>& told) {
    if (!told) log.write(LogLevel::warning, "the service manager was not told", {{"error", told.error()}});
  }

  Runtime& runtime;
  Loop& loop;
  Log& log;
  const std::vector<Drainable*> served;
  ProcessStart& process;
  const GracefulOptions options;
  DrainTimer drain_timer;
  static const sigset_t& caught() {
    static const sigset_t set = [] {
      sigset_t all;
      ::sigemptyset(&all);
      for (const int signal : {SIGTERM, SIGINT, SIGUSR2}) ::sigaddset(&all, signal);
      return all;
    }();
    return set;
  }
  sigset_t mask_before{};  // of the thread of start()
  std::unique_ptr<SignalSet> signals;
  std::unique_ptr<Successor> successor;
  Phase phase = Phase::serving;
  bool told_to_end = false;
  GracefulEnd end;
  std::promise<void> begun;
};

Result<std::unique_ptr<GracefulProcess>> GracefulProcess::start(Runtime& runtime, std::vector<Drainable*> served,
                                                                ProcessStart& start, GracefulOptions options) {
  auto state = std::make_shared<State>(runtime, std::move(served), start, std::move(options));
  std::unique_ptr<GracefulProcess> graceful(new GracefulProcess(state));
  if (state->options.catch_signals) {
    // The runtime's threads take them: this one waits, and a sanitizer hands a signal to a waiting thread only when the
    // wait is over.
    ::pthread_sigmask(SIG_BLOCK, &state->caught(), &state->mask_before);
  }
  Result<void> opened;
  run_on(state->loop, [&] { opened = state->open(); });
  if (!opened) return fail(std::move(opened.error()));
  return graceful;
}

GracefulProcess::~GracefulProcess() {
  Loop& loop = state_->loop;
  if (state_->options.catch_signals) ::pthread_sigmask(SIG_SETMASK, &state_->mask_before, nullptr);
  run_on(loop, [this] {
    state_->signals.reset();
    state_->successor.reset();
    state_->drain_timer.unlink();
    state_.reset();
  });
}

GracefulEnd GracefulProcess::wait() {
  State& state = *state_;
  state.begun.get_future().wait();
  state.run_hook("first_sweep", state.options.first_sweep);
  std::atomic<std::size_t> left = state.served.size();
  std::promise<void> closed;
  for (Drainable* const part : state.served) {
    part->close_async([&] {
      if (left.fetch_sub(1) == 1) closed.set_value();
    });
  }
  if (!state.served.empty()) closed.get_future().wait();
  state.run_hook("before_exit", state.options.before_exit);
  GracefulEnd end;
  run_on(state.loop, [&] {
    state.drain_timer.unlink();
    end = state.end;
  });
  return end;
}

void GracefulProcess::stop() {
  state_->loop.post([weak = std::weak_ptr(state_)] {
    if (const std::shared_ptr<State> state = weak.lock()) state->begin_drain(false);
  });
}

void GracefulProcess::restart() {
  state_->loop.post([weak = std::weak_ptr(state_)] {
    if (const std::shared_ptr<State> state = weak.lock()) state->begin_restart();
  });
}

}  // namespace wayport::transport
