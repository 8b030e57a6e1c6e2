// Another program that a benchmark is measured beside: started, looked at, and killed with all that it started.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/tools/bench/usage.h"

namespace wayport::tools {

struct ProgramStart {
  std::string name;     // looked for in PATH, and where the system keeps its daemons
  std::string package;  // of the distribution, for who has not installed it
  std::vector<std::string> arguments{};
  int core = -1;                   // to be pinned to; -1: anywhere
  std::vector<int> descriptors{};  // become its descriptors kProgramDescriptor, and so on
};
inline constexpr int kProgramDescriptor = 3;

class Program {
 public:
  // Errors: not_found, with the package that has it.
  static Result<Program> start(const ProgramStart& how);
  Program(Program&&) noexcept = default;
  Program& operator=(Program&&) = delete;
  ~Program();

  // CPU time only: of it and of the processes that it started and that still live.
  Result<Usage> usage() const;
  // Waits until it listens on that port of 127.0.0.1. timed_out, or peer_closed if it ended, with what it said.
  Result<void> wait_for_tcp_port(std::uint16_t port) const;
  Result<void> wait_for_udp_port(std::uint16_t port) const;
  // The last lines that it printed.
  std::string output() const;

 private:
  Program() = default;
  bool running() const;
  Result<void> wait_for(bool (*listens)(std::uint16_t), std::uint16_t port) const;

  struct Process {
    Process() = default;
    Process(Process&& other) noexcept : pid(std::exchange(other.pid, -1)) {}
    pid_t pid = -1;  // and of its process group
  };
  std::string name_;
  Process process_;
  Fd output_;
};

// A port that was free a moment ago, for programs that cannot choose one and say which.
Result<std::uint16_t> free_tcp_port();
Result<std::uint16_t> free_udp_port();

}  // namespace wayport::tools
