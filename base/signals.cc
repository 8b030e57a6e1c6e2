#include "wayport/base/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <string>
#include <utility>

namespace wayport {
namespace {

constexpr int kSignals = 65;
constexpr int kPipes = 8;  // sets at one time

// Pipes are never closed, only used again: a handler on another thread may still be about to write.
struct Pipe {
  int read = -1;
  int write = -1;
  bool used = false;
};
std::mutex pipes_mutex;
std::array<Pipe, kPipes> pipes;
// Where the handler writes, plus one; 0: nowhere.
constinit std::array<std::atomic<int>, kSignals> write_fd_of{};

extern "C" void wayport_on_signal(int signal) {
  const int saved = errno;
  const int fd = write_fd_of[static_cast<std::size_t>(signal)].load(std::memory_order_relaxed) - 1;
  const auto byte = static_cast<unsigned char>(signal);
  if (fd >= 0) static_cast<void>(!::write(fd, &byte, 1));  // a full pipe already says that there is something
  errno = saved;
}

Result<int> take_pipe() {
  const std::lock_guard lock(pipes_mutex);
  for (int i = 0; i < kPipes; ++i) {
    Pipe& pipe = pipes[static_cast<std::size_t>(i)];
    if (pipe.used) continue;
    if (pipe.read < 0) {
      int ends[2];
      if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail(system_error(errno, "pipe2 for signals"));
      pipe.read = ends[0];
      pipe.write = ends[1];
    }
    pipe.used = true;
    return i;
  }
  return fail(ErrorCode::overloaded, "more than " + std::to_string(kPipes) + " signal sets");
}

}  // namespace

Result<std::unique_ptr<SignalSet>> SignalSet::open(Loop& loop, std::initializer_list<int> signals, Handler handler,
                                                   SignalOptions options) {
  std::unique_ptr<SignalSet> set(new SignalSet(loop, std::move(handler)));
  WAYPORT_TRY_ASSIGN(set->pipe_, take_pipe());
  const Pipe& pipe = pipes[static_cast<std::size_t>(set->pipe_)];
  WAYPORT_TRY(loop.watch(pipe.read, Interest::read, *set));
  for (const int signal : signals) {
    const std::string name = "signal " + std::to_string(signal);
    Caught caught{signal, {}};
    if (signal < 1 || signal >= kSignals || ::sigaction(signal, nullptr, &caught.before) != 0) {
      set->restore();
      return fail(ErrorCode::invalid_argument, name + " does not exist");
    }
    const bool ignored = (caught.before.sa_flags & SA_SIGINFO) == 0 && caught.before.sa_handler == SIG_IGN;
    if (ignored && options.keep_ignored) continue;
    int nowhere = 0;
    if (!write_fd_of[static_cast<std::size_t>(signal)].compare_exchange_strong(nowhere, pipe.write + 1)) {
      set->restore();
      return fail(ErrorCode::invalid_argument, name + " belongs to another SignalSet");
    }
    set->caught_.push_back(caught);
    struct sigaction action{};
    action.sa_handler = wayport_on_signal;
    action.sa_flags = SA_RESTART;
    ::sigfillset(&action.sa_mask);
    if (::sigaction(signal, &action, nullptr) != 0) {
      const int error = errno;
      set->restore();
      return fail(system_error(error, "sigaction of " + name));
    }
  }
  return set;
}

SignalSet::~SignalSet() {
  callback_->set_is_gone = true;
  let_go();
  if (pipe_ < 0) return;
  Pipe& pipe = pipes[static_cast<std::size_t>(pipe_)];
  loop_.unwatch(pipe.read, *this);
  unsigned char rest[64];
  while (::read(pipe.read, rest, sizeof(rest)) > 0) {
  }
  const std::lock_guard lock(pipes_mutex);
  pipe.used = false;
}

void SignalSet::let_go() noexcept {
  for (const Caught& caught : caught_) write_fd_of[static_cast<std::size_t>(caught.signal)].store(0);
  caught_.clear();
}

void SignalSet::restore() noexcept {
  for (const Caught& caught : caught_) ::sigaction(caught.signal, &caught.before, nullptr);
  let_go();
}

void SignalSet::on_fd(std::uint32_t) {
  unsigned char signals[64];
  const ssize_t size = ::read(pipes[static_cast<std::size_t>(pipe_)].read, signals, sizeof(signals));
  if (size <= 0) return;
  std::vector<int> ours;
  for (ssize_t i = 0; i < size; ++i) {
    const int signal = signals[i];
    const bool known = std::ranges::any_of(caught_, [signal](const Caught& c) { return c.signal == signal; });
    if (known && std::ranges::find(ours, signal) == ours.end()) ours.push_back(signal);
  }
  const std::shared_ptr<Callback> callback = callback_;
  for (const int signal : ours) {
    if (!callback->set_is_gone) callback->handler(signal);
  }
}

}  // namespace wayport
