#include "wayport/tools/bench/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

namespace wayport::tools {
namespace {

// Where the child finds its end. Messages are datagrams: "name value\n"... as hello, one byte as question, a Usage or
// "name value\n"... as answer.
constexpr int kControlFd = 3;
constexpr std::size_t kHelloBytesMax = 64 * 1024;
constexpr const char* kWhy = "why";
constexpr char kAskUsage = '?';
constexpr char kTakeUsage = '!';
constexpr char kAskCounters = '#';

std::vector<std::string> own_command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> arguments;
  for (std::size_t at = 0; at < text.size(); at = text.find('\0', at) + 1) arguments.emplace_back(text.c_str() + at);
  return arguments;
}

std::string print(const Hello& hello) {
  std::string text;
  for (const auto& [name, value] : hello) text += name + " " + value + "\n";
  return text;
}

Hello parse(const std::string& text) {
  Hello hello;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::size_t blank = text.find(' ', at);
    if (end == std::string::npos || blank == std::string::npos || blank > end) break;
    hello[text.substr(at, blank - at)] = text.substr(blank + 1, end - blank - 1);
    at = end + 1;
  }
  return hello;
}

// After fork, before exec: system calls only.
[[noreturn]] void become(char* const* arguments, int control, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  if (control == kControlFd) {
    ::fcntl(control, F_SETFD, 0);
  } else if (::dup2(control, kControlFd) < 0) {
    ::_exit(1);
  }
  ::execv("/proc/self/exe", arguments);
  ::_exit(127);
}

}  // namespace

Result<Child> Child::start(std::size_t own_arguments, std::vector<std::string> arguments) {
  std::vector<std::string> all = own_command_line();
  all.resize(std::min(own_arguments, all.size()));
  all.insert(all.end(), std::make_move_iterator(arguments.begin()), std::make_move_iterator(arguments.end()));
  std::vector<char*> pointers;
  for (std::string& argument : all) pointers.push_back(argument.data());
  pointers.push_back(nullptr);

  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(system_error(errno, "socketpair"));
  Child child;
  child.control_ = Fd(ends[0]);
  Fd theirs(ends[1]);
  const pid_t parent = ::getpid();
  child.process_.pid = ::fork();
  if (child.process_.pid < 0) return fail(system_error(errno, "fork"));
  if (child.process_.pid == 0) become(pointers.data(), theirs.get(), parent);

  theirs.reset();
  std::string text(kHelloBytesMax, '\0');
  const ssize_t size = ::recv(child.control_.get(), text.data(), text.size(), 0);
  if (size <= 0) return fail(ErrorCode::peer_closed, "the second process ended before it was ready");
  text.resize(static_cast<std::size_t>(size));
  child.hello_ = parse(text);
  if (const auto why = child.hello_.find(kWhy); why != child.hello_.end()) {
    return fail(ErrorCode::refused, "the second process: " + why->second);
  }
  return child;
}

Child::~Child() {
  control_.reset();
  int status = 0;
  if (process_.pid > 0 && ::waitpid(process_.pid, &status, 0) == process_.pid && status != 0) {
    std::cerr << "bench: the second process ended with status " << status << "\n";
  }
}

Result<Usage> Child::usage() const { return ask_usage(kAskUsage); }
Result<Usage> Child::take_usage() const { return ask_usage(kTakeUsage); }

Result<Usage> Child::ask_usage(char question) const {
  Usage usage;
  if (::send(control_.get(), &question, 1, MSG_NOSIGNAL) != 1 ||
      ::recv(control_.get(), &usage, sizeof(usage), 0) != static_cast<ssize_t>(sizeof(usage))) {
    return fail(ErrorCode::peer_closed, "the second process ended");
  }
  return usage;
}

Result<std::map<std::string, std::uint64_t>> Child::counters() const {
  std::string text(kHelloBytesMax, '\0');
  const bool sent = ::send(control_.get(), &kAskCounters, 1, MSG_NOSIGNAL) == 1;
  const ssize_t size = sent ? ::recv(control_.get(), text.data(), text.size(), 0) : 0;
  if (size <= 0) return fail(ErrorCode::peer_closed, "the second process ended");
  text.resize(static_cast<std::size_t>(size));
  std::map<std::string, std::uint64_t> counters;
  for (const auto& [name, value] : parse(text)) counters[name] = std::stoull(value);
  return counters;
}

int answer_parent(const Hello& hello, const CountersOf& counters) {
  const std::string text = print(hello);
  if (::send(kControlFd, text.data(), text.size(), MSG_NOSIGNAL) < 0) return 1;
  char question = 0;
  while (::recv(kControlFd, &question, 1, 0) > 0) {
    if (question == kAskCounters) {
      Hello values;
      if (counters) {
        for (const auto& [name, value] : counters()) values[name] = std::to_string(value);
      }
      const std::string answer = print(values) + "\n";  // never empty, which would be the end
      if (::send(kControlFd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return 1;
      continue;
    }
    const Usage usage = usage_of_this_process();
    if (question == kTakeUsage) forget_rss_peak();
    if (::send(kControlFd, &usage, sizeof(usage), MSG_NOSIGNAL) < 0) return 1;
  }
  return 0;
}

int refuse_parent(const std::string& why) {
  const std::string text = print({{kWhy, why}});
  ::send(kControlFd, text.data(), text.size(), MSG_NOSIGNAL);
  return 1;
}

std::size_t arguments_before(int argc) {
  const std::size_t all = own_command_line().size();
  const auto after = static_cast<std::size_t>(argc > 0 ? argc - 1 : 0);
  return all > after ? all - after : 1;
}

}  // namespace wayport::tools
