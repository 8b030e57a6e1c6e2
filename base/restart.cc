#include "wayport/base/restart.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "wayport/base/bytes.h"

extern char** environ;  // NOLINT

namespace wayport {
namespace {

constexpr int kFirstSocket = 3;
constexpr const char* kReadyVariable = "WAYPORT_READY_FD";
constexpr std::string_view kReady = "READY\n";
constexpr std::string_view kDeleted = " (deleted)";
constexpr std::size_t kNameBytesMax = 255;
// LISTEN_PID is filled in by the new process itself; room for its digits.
constexpr std::string_view kPidVariable = "LISTEN_PID=";
constexpr std::size_t kPidDigitsMax = 20;
constexpr Duration kReapPeriod = std::chrono::milliseconds(10);
constexpr Duration kLeaveTime = std::chrono::milliseconds(500);

bool is_protocol_variable(std::string_view entry) {
  for (const std::string_view name : {"LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "WAYPORT_READY_FD="}) {
    if (entry.starts_with(name)) return true;
  }
  return false;
}

Result<std::string> link_of(const char* link) {
  std::string path(PATH_MAX, '\0');
  const ssize_t size = ::readlink(link, path.data(), path.size());
  if (size < 0) return fail(system_error(errno, link));
  if (static_cast<std::size_t>(size) == path.size())
    return fail(ErrorCode::too_large, std::string(link) + " is too long");
  path.resize(static_cast<std::size_t>(size));
  return path;
}

Result<std::vector<std::string>> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty()) return fail(ErrorCode::io, "/proc/self/cmdline cannot be read; is /proc mounted?");
  std::vector<std::string> arguments;
  for (std::size_t at = 0; at < text.size(); at += arguments.back().size() + 1)
    arguments.emplace_back(text.c_str() + at);
  return arguments;
}

Result<std::string> names_of(std::span<const HandedSocket> sockets) {
  std::string names;
  for (const HandedSocket& socket : sockets) {
    if (socket.name.size() > kNameBytesMax || socket.name.find(':') != std::string::npos ||
        escape(socket.name) != socket.name) {
      return fail(ErrorCode::invalid_argument, "\"" + escape(socket.name) + "\" cannot name a socket");
    }
    if (!names.empty()) names += ':';
    names += socket.name.empty() ? "unknown" : socket.name;
  }
  return names;
}

// Everything that the new process needs between fork and exec, made before the fork: there it may not allocate.
struct Plan {
  const char* executable;
  const char* directory;
  std::vector<char*> arguments;
  std::vector<char*> environment;
  char* pid_digits;          // kPidDigitsMax of them, the last is followed by the end
  std::vector<int> sources;  // above all targets
  int first_free;            // targets are kFirstSocket to first_free - 1; the last is `report`'s
  sigset_t mask;
};

// What failed there, as it comes through the ready socket.
struct StartFailure {
  char mark;  // '!'
  char step;  // 'd' directory, 's' sockets, 'x' exec
  int error;
};

[[noreturn]] void report(int fd, char step) {
  StartFailure failure{};
  failure.mark = '!';
  failure.step = step;
  failure.error = errno;
  static_cast<void>(!::write(fd, &failure, sizeof(failure)));
  ::_exit(127);
}

// After fork, before exec: system calls only.
[[noreturn]] void become(const Plan& plan) {
  const int ready = plan.sources.back();
  // Handlers of the old process write to its pipes; they must not run here. exec keeps only what is ignored.
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action{};
    if (::sigaction(number, nullptr, &action) != 0) continue;
    if ((action.sa_flags & SA_SIGINFO) == 0 && (action.sa_handler == SIG_IGN || action.sa_handler == SIG_DFL)) continue;
    struct sigaction plain{};
    plain.sa_handler = SIG_DFL;
    ::sigaction(number, &plain, nullptr);
  }
  if (*plan.directory != '\0' && ::chdir(plan.directory) != 0) report(ready, 'd');
  int target = kFirstSocket;
  for (const int source : plan.sources) {
    if (::dup2(source, target++) < 0) report(ready, 's');
  }
  // What some library opened without close-on-exec is not the new process's business. An old kernel leaves it.
  static_cast<void>(::close_range(static_cast<unsigned>(plan.first_free), ~0U, CLOSE_RANGE_CLOEXEC));
  char digits[kPidDigitsMax];
  std::size_t count = 0;
  for (auto pid = static_cast<unsigned long>(::getpid()); pid != 0; pid /= 10)
    digits[count++] = static_cast<char>('0' + pid % 10);
  for (std::size_t i = 0; i < count; ++i) plan.pid_digits[i] = digits[count - 1 - i];
  plan.pid_digits[count] = '\0';
  ::sigprocmask(SIG_SETMASK, &plan.mask, nullptr);
  ::execve(plan.executable, plan.arguments.data(), plan.environment.data());
  report(plan.first_free - 1, 'x');
}

std::string describe_failure(const StartFailure& failure, const std::string& executable, const std::string& directory) {
  const std::string why = ": " + std::generic_category().message(failure.error);
  switch (failure.step) {
    case 'd':
      return "cannot go to " + escape(directory) + why;
    case 's':
      return "cannot hand over the sockets" + why;
    default:
      return "cannot run " + escape(executable) + why;
  }
}

std::string describe_status(int status) {
  if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

std::string executable_path(std::string link, const std::function<bool(const std::string&)>& exists) {
  if (link.ends_with(kDeleted) && !exists(link)) link.resize(link.size() - kDeleted.size());
  return link;
}

Result<ProgramStart> ProgramStart::capture() {
  ProgramStart program;
  WAYPORT_TRY_ASSIGN(std::string link, link_of("/proc/self/exe"));
  program.executable = executable_path(std::move(link), [](const std::string& path) {
    struct stat named{};
    struct stat running{};
    return ::stat(path.c_str(), &named) == 0 && ::stat("/proc/self/exe", &running) == 0 &&
           named.st_dev == running.st_dev && named.st_ino == running.st_ino;
  });
  WAYPORT_TRY_ASSIGN(program.arguments, own_arguments());
  for (char** entry = environ; entry && *entry; ++entry) {
    if (!is_protocol_variable(*entry)) program.environment.emplace_back(*entry);
  }
  std::string directory(PATH_MAX, '\0');
  // A directory that is gone has no name; the successor then starts in the same place.
  if (::getcwd(directory.data(), directory.size()) && directory[0] == '/') program.directory = directory.c_str();
  ::pthread_sigmask(SIG_SETMASK, nullptr, &program.signal_mask);
  return program;
}

Result<std::unique_ptr<Successor>> Successor::start(Loop& loop, const ProgramStart& program,
                                                    std::span<const HandedSocket> sockets, SuccessorOptions options,
                                                    Done done) {
  if ((options.own_pid != 0 ? options.own_pid : ::getpid()) == 1) {
    return fail(
        ErrorCode::refused,
        "this is process 1: its end is the end of its container, and of a successor in it. Start the new version "
        "as a container of its own (a rolling update), or run this program below an init (docker run --init)");
  }
  if (sockets.size() > kSocketsMax) {
    return fail(ErrorCode::invalid_argument, "at most " + std::to_string(kSocketsMax) +
                                                 " sockets can be handed over, not " + std::to_string(sockets.size()));
  }
  WAYPORT_TRY_ASSIGN(const std::string names, names_of(sockets));

  const int ready_target = kFirstSocket + static_cast<int>(sockets.size());
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail(system_error(errno, "socketpair"));
  std::unique_ptr<Successor> successor(new Successor(loop, options, std::move(done)));
  successor->executable_ = program.executable;
  successor->directory_ = program.directory;
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  WAYPORT_TRY(set_nonblocking(ours.get()));

  // Copies above all targets: no dup2 can overwrite a source that is still needed.
  std::vector<Fd> copies;
  Plan plan{};
  const auto copy = [&](int fd) -> Result<void> {
    Fd above(::fcntl(fd, F_DUPFD_CLOEXEC, ready_target + 1));
    if (!above) return fail(system_error(errno, "descriptor " + std::to_string(fd) + " to be handed over"));
    plan.sources.push_back(above.get());
    copies.push_back(std::move(above));
    return {};
  };
  for (const HandedSocket& socket : sockets) WAYPORT_TRY(copy(socket.fd));
  WAYPORT_TRY(copy(theirs.get()));

  std::vector<std::string> arguments = program.arguments;
  std::vector<std::string> environment;
  for (const std::string& entry : program.environment) {
    if (!is_protocol_variable(entry)) environment.push_back(entry);
  }
  environment.push_back(std::string(kReadyVariable) + "=" + std::to_string(ready_target));
  if (!sockets.empty()) {
    environment.push_back("LISTEN_FDS=" + std::to_string(sockets.size()));
    environment.push_back("LISTEN_FDNAMES=" + names);
  }
  environment.push_back(std::string(kPidVariable) + std::string(kPidDigitsMax + 1, '0'));
  plan.pid_digits = environment.back().data() + kPidVariable.size();
  for (std::string& argument : arguments) plan.arguments.push_back(argument.data());
  for (std::string& entry : environment) plan.environment.push_back(entry.data());
  // Without sockets there is no LISTEN_PID either; its place is the last.
  if (sockets.empty()) plan.environment.pop_back();
  plan.arguments.push_back(nullptr);
  plan.environment.push_back(nullptr);
  plan.executable = program.executable.c_str();
  plan.directory = program.directory.c_str();
  plan.first_free = ready_target + 1;
  plan.mask = program.signal_mask;

  WAYPORT_TRY(loop.watch(ours.get(), Interest::read, *successor));
  successor->ready_ = std::move(ours);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) become(plan);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    successor->finish(fail(ErrorCode::canceled, "not started"));
    return fail(system_error(error, "fork"));
  }
  successor->pid_ = pid;
  if (options.ready_timeout > Duration::zero()) loop.arm(*successor, after(loop.now(), options.ready_timeout));
  return successor;
}

Successor::~Successor() {
  if (!ready_ && failure_.empty()) return;
  if (ready_) loop_.unwatch(ready_.get(), *this);
  if (pid_ > 0) ::kill(pid_, SIGTERM);
}

void Successor::on_fd(std::uint32_t) {
  std::array<char, 64> piece;
  const ssize_t size = ::read(ready_.get(), piece.data(), piece.size());
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size > 0) said_.append(piece.data(), static_cast<std::size_t>(size));
  if (said_ == kReady) return finish(pid_);
  if (said_.starts_with('!') && said_.size() >= sizeof(StartFailure)) {
    StartFailure failure{};
    std::memcpy(&failure, said_.data(), sizeof(failure));
    return give_up(describe_failure(failure, executable_, directory_), true);
  }
  if (size <= 0) return give_up("it ended, or closed " + std::string(kReadyVariable) + ", before it was ready", true);
  if (said_.size() >= sizeof(StartFailure) && said_.size() >= kReady.size()) {
    give_up("it said \"" + escape(said_) + "\" instead of being ready");
  }
}

void Successor::on_timer() {
  if (!failure_.empty()) return reap();
  // From here on it cannot say that it is ready; what it has said before counts.
  ::shutdown(ready_.get(), SHUT_RD);
  std::array<char, 64> piece;
  for (ssize_t size; (size = ::read(ready_.get(), piece.data(), piece.size())) > 0;) {
    said_.append(piece.data(), static_cast<std::size_t>(size));
  }
  if (said_ == kReady) return finish(pid_);
  give_up("it was not ready within " + format_duration(options_.ready_timeout));
}

void Successor::give_up(std::string why, bool leaves) {
  loop_.unwatch(ready_.get(), *this);
  ready_.reset();
  failure_ = std::move(why);
  next_signal_due_ = loop_.now() + (leaves ? kLeaveTime : Duration::zero());
  loop_.arm(*this, loop_.now());
}

void Successor::reap() {
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == 0) {
    if (next_signal_ != 0 && loop_.now() >= next_signal_due_) {
      ::kill(pid_, next_signal_);
      next_signal_ = next_signal_ == SIGTERM ? SIGKILL : 0;
      next_signal_due_ = after(loop_.now(), options_.end_timeout);
    }
    loop_.arm(*this, loop_.now() + kReapPeriod);
    return;
  }
  std::string text = "the new process " + std::to_string(pid_) + " failed: " + std::exchange(failure_, {});
  if (ended == pid_) text += "; " + describe_status(status);
  finish(fail(ErrorCode::refused, std::move(text)));
}

void Successor::finish(Result<pid_t> result) {
  unlink();
  if (ready_) loop_.unwatch(ready_.get(), *this);
  ready_.reset();
  Done done = std::move(done_);
  if (pid_ > 0 && done) done(std::move(result));  // `this` may be gone
}

Result<Predecessor> Predecessor::from_environment() {
  const char* const text = std::getenv(kReadyVariable);
  if (!text) return Predecessor();
  const std::string given = text;
  ::unsetenv(kReadyVariable);
  int fd = -1;
  const char* const end = given.data() + given.size();
  const auto [stop, error] = std::from_chars(given.data(), end, fd);
  struct stat what{};
  if (error != std::errc() || stop != end || fd < kFirstSocket || ::fstat(fd, &what) != 0 || !S_ISSOCK(what.st_mode)) {
    return fail(ErrorCode::invalid_argument,
                std::string(kReadyVariable) + "=\"" + escape(given) +
                    "\" is no descriptor of a socket; only a process that restarts sets it");
  }
  WAYPORT_TRY(set_close_on_exec(fd));
  Predecessor predecessor;
  predecessor.ready_ = Fd(fd);
  return predecessor;
}

Result<void> Predecessor::tell_ready() {
  if (!ready_) return {};
  const Fd fd = std::move(ready_);
  const ssize_t sent = ::send(fd.get(), kReady.data(), kReady.size(), MSG_NOSIGNAL);
  if (sent == static_cast<ssize_t>(kReady.size())) return {};
  Error error = system_error(errno, "the process that this one replaces does not wait any more");
  error.code = ErrorCode::peer_closed;
  return fail(std::move(error));
}

}  // namespace wayport
