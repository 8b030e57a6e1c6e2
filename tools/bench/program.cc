#include "wayport/tools/bench/program.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iomanip>
#include <span>
#include <sstream>
#include <string_view>
#include <thread>

namespace wayport::tools {
namespace {

constexpr std::chrono::seconds kStartPatience{15};
constexpr std::chrono::milliseconds kLookAgain{10};
constexpr std::size_t kOutputBytes = 600;  // of its last lines
constexpr unsigned kGenerationsMax = 8;
constexpr int kAwayDescriptor = 100;
constexpr const char* kDaemonPlaces = ":/usr/sbin:/sbin:/usr/local/sbin";

// Empty: nowhere.
std::string find_program(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::string places = std::string(path ? path : "/usr/bin:/bin") + kDaemonPlaces;
  for (std::size_t at = 0; at < places.size();) {
    const std::size_t end = std::min(places.find(':', at), places.size());
    std::string file = places.substr(at, end - at) + "/" + name;
    if (::access(file.c_str(), X_OK) == 0) return file;
    at = end + 1;
  }
  return {};
}

// After fork, before exec: system calls only.
[[noreturn]] void become(const char* file, char* const* arguments, int core, std::span<int> descriptors, int output,
                         pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);
  if (::getppid() != parent) ::_exit(1);
  if (core >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(core), &set);
    ::sched_setaffinity(0, sizeof(set), &set);
  }
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  // First away from where they shall be, so that none overwrites another.
  for (int& descriptor : descriptors) descriptor = ::fcntl(descriptor, F_DUPFD_CLOEXEC, kAwayDescriptor);
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    ::dup2(descriptors[i], kProgramDescriptor + static_cast<int>(i));
  }
  ::execv(file, arguments);
  ::_exit(127);
}

std::uint64_t cpu_ns_of(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

std::uint64_t cpu_ns_with_children(pid_t pid, unsigned generations) {
  std::uint64_t sum = cpu_ns_of(pid);
  if (generations == 0) return sum;
  const std::string number = std::to_string(pid);
  std::ifstream children("/proc/" + number + "/task/" + number + "/children");
  for (pid_t child = 0; children >> child;) sum += cpu_ns_with_children(child, generations - 1);
  return sum;
}

Result<std::uint16_t> free_port(int type) {
  const Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  sockaddr_storage address{};
  WAYPORT_TRY_ASSIGN(const SocketAddress any, SocketAddress::from_ip("127.0.0.1", 0));
  const socklen_t size = any.store(address);
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    return fail(system_error(errno, "bind to a free port of 127.0.0.1"));
  }
  WAYPORT_TRY_ASSIGN(const SocketAddress bound, local_address(fd.get()));
  return bound.port();
}

bool takes_tcp(std::uint16_t port) {
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Result<SocketAddress> to = SocketAddress::from_ip("127.0.0.1", port);
  if (!fd || !to) return false;
  sockaddr_storage address{};
  const socklen_t size = to->store(address);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0;
}

bool has_udp(std::uint16_t port) {
  std::ostringstream local;  // as the kernel's tables write it: "0100007F:1F90"
  local << ":" << std::hex << std::uppercase << std::setw(4) << std::setfill('0') << port << " ";
  for (const char* const table : {"/proc/net/udp", "/proc/net/udp6"}) {
    std::ifstream file(table);
    for (std::string line; std::getline(file, line);) {
      const std::size_t at = line.find(local.str());
      if (at != std::string::npos && at < line.rfind(':')) return true;
    }
  }
  return false;
}

}  // namespace

Result<Program> Program::start(const ProgramStart& how) {
  const std::string file = find_program(how.name);
  if (file.empty()) {
    return fail(ErrorCode::not_found,
                how.name + " is not installed: apt-get install " + how.package + ", or leave it out with --no-other");
  }
  std::vector<std::string> all{how.name};
  all.insert(all.end(), how.arguments.begin(), how.arguments.end());
  std::vector<char*> pointers;
  for (std::string& argument : all) pointers.push_back(argument.data());
  pointers.push_back(nullptr);

  Program program;
  program.name_ = how.name;
  program.output_ = Fd(::memfd_create("output", MFD_CLOEXEC));
  if (!program.output_) return fail(system_error(errno, "memfd_create"));
  std::vector<int> descriptors = how.descriptors;
  const pid_t parent = ::getpid();
  program.process_.pid = ::fork();
  if (program.process_.pid < 0) return fail(system_error(errno, "fork"));
  if (program.process_.pid == 0)
    become(file.c_str(), pointers.data(), how.core, descriptors, program.output_.get(), parent);
  ::setpgid(program.process_.pid, program.process_.pid);  // whoever is first
  return program;
}

Program::~Program() {
  if (process_.pid <= 0) return;
  ::kill(-process_.pid, SIGKILL);
  ::waitpid(process_.pid, nullptr, 0);
}

bool Program::running() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(process_.pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

Result<Usage> Program::usage() const {
  if (!running()) return fail(ErrorCode::peer_closed, name_ + " ended: " + output());
  Usage usage;
  usage.cpu_ns = cpu_ns_with_children(process_.pid, kGenerationsMax);
  return usage;
}

Result<void> Program::wait_for(bool (*listens)(std::uint16_t), std::uint16_t port) const {
  const auto end = std::chrono::steady_clock::now() + kStartPatience;
  while (!listens(port)) {
    if (!running()) return fail(ErrorCode::peer_closed, name_ + " ended: " + output());
    if (std::chrono::steady_clock::now() > end) {
      return fail(ErrorCode::timed_out, name_ + " does not listen on port " + std::to_string(port) + ": " + output());
    }
    std::this_thread::sleep_for(kLookAgain);
  }
  return {};
}

Result<void> Program::wait_for_tcp_port(std::uint16_t port) const { return wait_for(takes_tcp, port); }
Result<void> Program::wait_for_udp_port(std::uint16_t port) const { return wait_for(has_udp, port); }

std::string Program::output() const {
  struct stat file{};
  if (::fstat(output_.get(), &file) != 0) return {};
  const auto size = static_cast<std::size_t>(file.st_size);
  std::string text(std::min(size, kOutputBytes), '\0');
  const ssize_t read = ::pread(output_.get(), text.data(), text.size(), static_cast<off_t>(size - text.size()));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(read, 0)));
  return text.empty() ? "it printed nothing" : text;
}

Result<std::uint16_t> free_tcp_port() { return free_port(SOCK_STREAM); }
Result<std::uint16_t> free_udp_port() { return free_port(SOCK_DGRAM); }

}  // namespace wayport::tools
