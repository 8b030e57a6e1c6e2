#include "wayport/integration/harness/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <utility>

namespace wayport::harness {
namespace {

bool is_there(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// "KEY=" of "KEY=value".
std::string_view key_of(std::string_view entry) { return entry.substr(0, entry.find('=') + 1); }

// False: not in time.
bool wait_readable(const Fd& fd, std::chrono::steady_clock::time_point due) {
  pollfd waiting{fd.get(), POLLIN, 0};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - std::chrono::steady_clock::now()).count();
    constexpr std::int64_t kTurnMs = 1'000'000;
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, kTurnMs)));
    if (ready == 1) return true;
    if (ready == 0 && left <= kTurnMs) return false;
  }
}

constexpr std::string_view kCut = "\n[... the log was cut here ...]\n";

}  // namespace

std::string runfile(const std::string& path) {
  if (path.empty() || path.front() == '/' || is_there(path)) return path;
  const char* const directory = std::getenv("TEST_SRCDIR");
  const char* const workspace = std::getenv("TEST_WORKSPACE");
  if (directory == nullptr || workspace == nullptr) return path;
  const std::string root = std::string(directory) + "/";
  constexpr std::string_view kExternal = "external/";
  const std::string found =
      path.starts_with(kExternal) ? root + path.substr(kExternal.size()) : root + workspace + "/" + path;
  return is_there(found) ? found : path;
}

Result<std::string> runfile_of(const std::string& variable) {
  const char* const value = std::getenv(variable.c_str());
  if (value == nullptr || *value == '\0') {
    return fail(ErrorCode::not_found, "$" + variable + " names no program (integration/harness/defs.bzl sets it)");
  }
  const std::string path = runfile(value);
  if (!is_there(path)) return fail(ErrorCode::not_found, "$" + variable + ": there is no file " + path);
  return path;
}

Result<std::unique_ptr<Program>> Program::start(const ProgramOptions& options) {
  if (options.arguments.empty()) return fail(ErrorCode::invalid_argument, "no program is named");
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) return system_error(errno, "a pipe");
  Fd read_end(pipe_ends[0]);
  const Fd write_end(pipe_ends[1]);
  std::vector<char*> argv;
  for (const std::string& argument : options.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> environment;
  for (const std::string& entry : options.environment) environment.push_back(const_cast<char*>(entry.c_str()));
  // Of two entries with one key, it depends on the program which one counts.
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const auto same_key = [key = key_of(*entry)](const std::string& ours) { return key_of(ours) == key; };
    if (std::ranges::none_of(options.environment, same_key)) environment.push_back(*entry);
  }
  environment.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (!options.directory.empty()) ::posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return system_error(error, "start " + options.arguments[0]);
  return std::unique_ptr<Program>(new Program(pid, std::move(read_end), options.log_bytes_max));
}

Program::Program(pid_t pid, Fd output, std::size_t log_bytes_max)
    : pid_(pid), log_bytes_max_(log_bytes_max), stop_(::eventfd(0, EFD_CLOEXEC)) {
  WAYPORT_ASSERT(static_cast<bool>(stop_), "an eventfd");
  reader_ = std::jthread([this, fd = std::move(output)]() mutable { read_output(std::move(fd)); });
}

Program::~Program() {
  if (pid_ >= 0) {
    ::kill(pid_, SIGKILL);  // a stopped one, too
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  const std::uint64_t one = 1;
  WAYPORT_ASSERT(::write(stop_.get(), &one, sizeof(one)) == sizeof(one), "an eventfd that nobody has written to");
}

void Program::read_output(Fd output) {
  char piece[16 * 1024];
  for (;;) {
    // A child of the program may keep the output open for longer than the program lives.
    pollfd waiting[] = {{output.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (::poll(waiting, std::size(waiting), -1) < 0 && errno == EINTR) continue;
    // The stop first: whoever holds the output open may also write to it without end.
    const bool stopped = waiting[1].revents != 0;
    const ssize_t size = !stopped && waiting[0].revents != 0 ? ::read(output.get(), piece, sizeof(piece)) : 0;
    if (size < 0 && errno == EINTR) continue;
    const std::lock_guard lock(mutex_);
    if (size <= 0) {
      output_ended_ = true;
      grown_.notify_all();
      return;
    }
    log_.append(piece, static_cast<std::size_t>(size));
    if (log_.size() > log_bytes_max_) cut_log();
    grown_.notify_all();
  }
}

void Program::cut_log() {
  // The beginning says how it was started, the end what happened.
  const std::size_t keep = log_bytes_max_ / 4;
  const std::size_t gone = log_.size() - 2 * keep;
  log_.replace(keep, gone, kCut);
  // What was not given out yet, and is gone, cannot be found any more.
  if (passed_ > keep) passed_ = std::max(passed_, keep + gone) - gone + kCut.size();
}

std::string Program::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

std::string Program::log_end() const {
  constexpr std::size_t kShown = 2000;
  return log_.size() <= kShown ? log_ : "..." + log_.substr(log_.size() - kShown);
}

Result<std::string> Program::wait_for_line(std::string_view part, std::chrono::milliseconds limit) {
  const auto due = std::chrono::steady_clock::now() + limit;
  std::unique_lock lock(mutex_);
  for (;;) {
    for (std::size_t end; (end = log_.find('\n', passed_)) != std::string::npos;) {
      std::string line = log_.substr(passed_, end - passed_);
      passed_ = end + 1;
      if (line.contains(part)) return line;
    }
    const std::string missing = "no line with \"" + std::string(part) + "\"; ";
    if (output_ended_)
      return fail(ErrorCode::peer_closed, missing + "the program has ended, its log is:\n" + log_end());
    if (grown_.wait_until(lock, due) == std::cv_status::timeout) {
      return fail(ErrorCode::timed_out, missing + "its log is:\n" + log_end());
    }
  }
}

pid_t Program::pid() const {
  const std::lock_guard lock(process_mutex_);
  return pid_;
}

void Program::signal(int number) const {
  const std::lock_guard lock(process_mutex_);
  if (pid_ >= 0) ::kill(pid_, number);
}

Result<int> Program::stop(std::chrono::milliseconds limit) {
  signal(SIGTERM);
  return wait(limit);
}

Result<int> Program::wait(std::chrono::milliseconds limit) {
  constexpr std::chrono::hours kLimitMax{24 * 365};  // the clock's numbers end
  const auto due = std::chrono::steady_clock::now() + std::min<std::chrono::milliseconds>(limit, kLimitMax);
  Fd process;
  {
    const std::lock_guard lock(process_mutex_);
    if (pid_ < 0) return fail(ErrorCode::local_closed, "the program was waited for before");
    if (somebody_waits_) return fail(ErrorCode::local_closed, "another thread waits for the program");
    process = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!process) return system_error(errno, "watch a process");
    somebody_waits_ = true;
  }
  const bool ended = wait_readable(process, due);
  if (!ended) {
    signal(SIGKILL);
    while (!wait_readable(process, std::chrono::steady_clock::now() + kPatience)) {
    }
  }
  int status = 0;
  {
    const std::lock_guard lock(process_mutex_);
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }
  if (ended) return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  const std::lock_guard lock(mutex_);
  return fail(ErrorCode::timed_out, "the program did not end and was killed; its log is:\n" + log_end());
}

}  // namespace wayport::harness
