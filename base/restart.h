// Replacing this process by a new one of the same program without closing its listening sockets: how the program was
// started (ProgramStart), the new process while it starts (Successor), and its view of the old one (Predecessor).
//
// The new process gets the executable, arguments, environment, directory and signal mask that the old one had at its
// start, the sockets as descriptors from 3 on with LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES as systemd passes them
// (sd_listen_fds(3)), and in WAYPORT_READY_FD the descriptor of a stream socket on which it says "READY\n". Every other
// descriptor above standard error is closed. No signal is sent to anyone but a successor that failed.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/base/time.h"

namespace wayport {

struct ProgramStart {
  std::string executable;  // the path, not the file: what lies there when a successor is started is what runs
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "KEY=value", without what this page's protocol sets
  std::string directory;                 // empty: wherever this process is
  sigset_t signal_mask{};

  // First in main(): before threads, and before arguments are blanked, variables set or the directory changed.
  static Result<ProgramStart> capture();
};

// What readlink("/proc/self/exe") says of a program whose file has been replaced since: "/bin/x (deleted)", which is
// also a possible name. `exists` tells whether a path is the running program's own file.
std::string executable_path(std::string link, const std::function<bool(const std::string&)>& exists);

struct HandedSocket {
  int fd = -1;       // stays open, and the caller's
  std::string name;  // of LISTEN_FDNAMES: at most 255 printable characters without a colon; empty: "unknown"
};

struct SuccessorOptions {
  Duration ready_timeout = std::chrono::seconds(30);
  Duration end_timeout = std::chrono::seconds(5);  // between SIGTERM and SIGKILL for one that is not to be
  pid_t own_pid = 0;                               // 0: getpid(); tests play process 1
};

// A new process that is starting. On one loop's thread.
class Successor final : private FdEvents, private Timer {
 public:
  static constexpr std::size_t kSocketsMax = 1024;
  // Once: the pid of the new process, which is ready and on its own; or why there is none (it has ended by then).
  using Done = std::move_only_function<void(Result<pid_t>)>;

  // `done` is called on the loop, never from inside this call; it may destroy the Successor. Errors at once: refused (as
  // process 1, whose end ends its container), invalid_argument (too many sockets, a bad name), io.
  static Result<std::unique_ptr<Successor>> start(Loop& loop, const ProgramStart& program,
                                                  std::span<const HandedSocket> sockets, SuccessorOptions options,
                                                  Done done);
  // One that is not ready is told to end (SIGTERM) and not waited for; `done` is not called.
  ~Successor();
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  pid_t pid() const noexcept { return pid_; }

 private:
  Successor(Loop& loop, SuccessorOptions options, Done done) : loop_(loop), options_(options), done_(std::move(done)) {}
  void on_fd(std::uint32_t events) override;
  void on_timer() override;
  // `leaves`: it seems to end by itself, and gets a moment for its exit code.
  void give_up(std::string why, bool leaves = false);
  void reap();
  void finish(Result<pid_t> result);

  Loop& loop_;
  const SuccessorOptions options_;
  Done done_;
  std::string executable_;
  std::string directory_;
  pid_t pid_ = -1;
  Fd ready_;
  std::string said_;
  std::string failure_;  // not empty: it is to end
  TimePoint next_signal_due_{};
  int next_signal_ = SIGTERM;  // 0: none
};

// The process that started this one, if it waits to be replaced.
class Predecessor {
 public:
  Predecessor() = default;  // none
  // From WAYPORT_READY_FD, which is unset; the descriptor becomes close-on-exec.
  static Result<Predecessor> from_environment();
  explicit operator bool() const noexcept { return static_cast<bool>(ready_); }
  // Its part ends here: it stops accepting, drains and ends. peer_closed: it has gone, or does not wait any more.
  Result<void> tell_ready();

 private:
  Fd ready_;
};

}  // namespace wayport
