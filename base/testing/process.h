// A program under test: started, spoken to, waited for. Nothing here sleeps; a program that does not end in time is
// killed, and what it had printed is in the failure.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/socket.h"

namespace wayport::testing {

struct Finished {
  int exit_code = -1;  // minus the signal, if one ended it
  std::string out;
  std::string err;
};

struct ProcessOptions {
  std::string input{};                     // its standard input
  std::string directory{};                 // where it runs; empty: here
  std::vector<std::string> environment{};  // "KEY=value", on top of this process's own
};

class Process {
 public:
  // arguments[0] is the program. `input` is its standard input. Aborts the test if it cannot be started.
  explicit Process(const std::vector<std::string>& arguments, std::string_view input = {})
      : Process(arguments, ProcessOptions{.input = std::string(input)}) {}
  Process(const std::vector<std::string>& arguments, const ProcessOptions& options);
  ~Process();  // kills
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const noexcept { return pid_; }
  // The first line of standard output that holds `part`, without its end, and that was not returned before. Empty: the
  // program ended, or printed none in time.
  std::string wait_for_line(std::string_view part);
  // The same of standard error.
  std::string wait_for_error_line(std::string_view part);
  // Standard error has it anywhere, in lines that were returned as well: of two processes that write there, the order of
  // lines is not known.
  bool wait_until_error_has(std::string_view part);
  void signal(int number) const;
  // Waits for the end.
  Finished finish();

 private:
  static constexpr std::chrono::seconds kPatience{60};

  struct Output {
    Fd fd;
    std::string text;
    std::size_t returned = 0;  // up to here lines were given out
  };
  // False: both outputs have ended, or the time is over.
  bool read_some(std::chrono::steady_clock::time_point due);
  std::string wait_in(Output& output, std::string_view part);

  pid_t pid_ = -1;
  Output out_;
  Output err_;
};

// Runs to the end.
Finished run(const std::vector<std::string>& arguments, std::string_view input = {});
Finished run(const std::vector<std::string>& arguments, const ProcessOptions& options);

// Of a file of the runfiles, such as "tools/wayport/wayport".
std::string runfile(const std::string& path);

}  // namespace wayport::testing
