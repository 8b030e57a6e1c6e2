#include "wayport/base/testing/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "wayport/base/result.h"

namespace wayport::testing {
namespace {

struct Pipe {
  Fd read;
  Fd write;
};
Pipe make_pipe() {
  int fds[2];
  WAYPORT_ASSERT(::pipe2(fds, O_CLOEXEC) == 0, "pipe2");
  return {Fd(fds[0]), Fd(fds[1])};
}

// Any size without a thread that feeds it.
Fd file_of(std::string_view text) {
  Fd file(::memfd_create("input", MFD_CLOEXEC));
  WAYPORT_ASSERT(file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()), "memfd");
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  const Fd in = file_of(options.input);
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> environment;
  for (const std::string& entry : options.environment) environment.push_back(const_cast<char*>(entry.c_str()));
  for (char** entry = environ; *entry; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (!options.directory.empty()) ::posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  ::posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDERR_FILENO);
  const int error = ::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    std::fprintf(stderr, "cannot start %s: %s\n", argv[0], system_error(error, "posix_spawn").to_string().c_str());
    std::abort();
  }
  out_.fd = std::move(out.read);
  err_.fd = std::move(err.read);
}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Process::read_some(std::chrono::steady_clock::time_point due) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(due - std::chrono::steady_clock::now());
  if (left.count() <= 0 || (!out_.fd && !err_.fd)) return false;
  std::array<pollfd, 2> polled = {{{out_.fd.get(), POLLIN, 0}, {err_.fd.get(), POLLIN, 0}}};
  if (::poll(polled.data(), polled.size(), static_cast<int>(left.count())) <= 0) return false;
  Output* const outputs[] = {&out_, &err_};
  for (std::size_t i = 0; i < polled.size(); ++i) {
    if (polled[i].revents == 0) continue;
    std::array<char, 16 * 1024> piece;
    const ssize_t size = ::read(polled[i].fd, piece.data(), piece.size());
    if (size > 0) {
      outputs[i]->text.append(piece.data(), static_cast<std::size_t>(size));
    } else {
      outputs[i]->fd.reset();
    }
  }
  return true;
}

std::string Process::wait_in(Output& output, std::string_view part) {
  const auto due = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    for (std::size_t end; (end = output.text.find('\n', output.returned)) != std::string::npos;) {
      const std::string line = output.text.substr(output.returned, end - output.returned);
      output.returned = end + 1;
      if (line.contains(part)) return line;
    }
    if (!output.fd || !read_some(due)) {
      std::fprintf(stderr, "no line with \"%.*s\"; standard output:\n%s\nstandard error:\n%s\n",
                   static_cast<int>(part.size()), part.data(), out_.text.c_str(), err_.text.c_str());
      return {};
    }
  }
}

std::string Process::wait_for_line(std::string_view part) { return wait_in(out_, part); }
std::string Process::wait_for_error_line(std::string_view part) { return wait_in(err_, part); }

bool Process::wait_until_error_has(std::string_view part) {
  const auto due = std::chrono::steady_clock::now() + kPatience;
  while (!err_.text.contains(part)) {
    if (!err_.fd || !read_some(due)) return false;
  }
  return true;
}

void Process::signal(int number) const { ::kill(pid_, number); }

Finished Process::finish() {
  const auto due = std::chrono::steady_clock::now() + kPatience;
  while (read_some(due)) {
  }
  if (out_.fd || err_.fd) {
    std::fprintf(stderr, "the program does not end; it is killed\n");
    ::kill(pid_, SIGKILL);
  }
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), std::move(out_.text), std::move(err_.text)};
}

Finished run(const std::vector<std::string>& arguments, std::string_view input) {
  return Process(arguments, input).finish();
}
Finished run(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  return Process(arguments, options).finish();
}

std::string runfile(const std::string& path) {
  const char* const directory = std::getenv("TEST_SRCDIR");
  const char* const workspace = std::getenv("TEST_WORKSPACE");
  if (!directory || !workspace) return path;
  return std::string(directory) + "/" + workspace + "/" + path;
}

}  // namespace wayport::testing
