// Program: a process that a test started: waited for by what it prints, ended by SIGTERM, killed if the test leaves early.
//
//   auto peer = *Program::start({.arguments = {"path/to/peer", "--port", "0"}});
//   std::string line = *peer->wait_for_line("listening at ");
//   ...
//   EXPECT_EQ(*peer->stop(), 0);
//
// Both of its outputs go into one log, which a thread reads all the time, so that no program waits for its reader. The log
// keeps its first and last bytes (log_bytes_max). Any thread, but not two in wait_for_line() at once; of two in stop() or wait()
// the second one gets local_closed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"

namespace wayport::harness {

inline constexpr std::chrono::seconds kPatience{30};

// `path` as Bazel's $(rootpath ...) gives it, from the working directory of a test, of this repository or another one. A path
// that leads nowhere comes back as it is.
std::string runfile(const std::string& path);
// The same of an environment variable's value; not_found names the variable.
Result<std::string> runfile_of(const std::string& variable);

struct ProgramOptions {
  std::vector<std::string> arguments{};    // the first one is the program
  std::vector<std::string> environment{};  // "KEY=value", in place of the test's own KEY
  std::string directory{};                 // where it runs; empty: here
  std::size_t log_bytes_max = 8 * 1024 * 1024;
};

class Program {
 public:
  static Result<std::unique_ptr<Program>> start(const ProgramOptions& options);
  ~Program();  // kills
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const;  // -1: it was waited for
  // The first line that holds `part` and was not passed by before. timed_out and peer_closed (it ended) show the log's end.
  Result<std::string> wait_for_line(std::string_view part, std::chrono::milliseconds limit = kPatience);
  std::string log() const;

  void signal(int number) const;
  // SIGTERM, and its exit code, or minus the signal that ended it. timed_out: it is killed.
  Result<int> stop(std::chrono::milliseconds limit = kPatience);
  // The same without a signal.
  Result<int> wait(std::chrono::milliseconds limit = kPatience);

 private:
  Program(pid_t pid, Fd output, std::size_t log_bytes_max);
  void read_output(Fd output);
  void cut_log();               // locked
  std::string log_end() const;  // locked

  mutable std::mutex
      process_mutex_;  // held while the process is signalled, so that its number is nobody else's by then
  pid_t pid_;          // -1: waited for
  bool somebody_waits_ = false;

  const std::size_t log_bytes_max_;
  const Fd stop_;  // readable: the reader ends

  mutable std::mutex mutex_;
  std::condition_variable grown_;
  std::string log_;
  std::size_t passed_ = 0;  // up to here lines were given out
  bool output_ended_ = false;
  std::jthread reader_;
};

}  // namespace wayport::harness
