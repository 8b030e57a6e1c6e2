// A second process of the same program, so that each side's CPU time and memory can be told apart. The parent asks for
// its Usage whenever it likes; the child ends when the parent does.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/tools/bench/usage.h"

namespace wayport::tools {

// What a child says when it is ready: names and values, for instance where it listens.
using Hello = std::map<std::string, std::string>;

// The parent's end.
class Child {
 public:
  // Starts this program again: the first arguments of this process, as many as `own_arguments` says (1: the program's
  // name only), then `arguments`. Waits for the hello.
  static Result<Child> start(std::size_t own_arguments, std::vector<std::string> arguments);
  Child(Child&&) noexcept = default;
  Child& operator=(Child&&) = delete;
  // Waits for the child's end.
  ~Child();

  const Hello& hello() const noexcept { return hello_; }
  Result<Usage> usage() const;
  // The same; its peaks begin anew afterwards.
  Result<Usage> take_usage() const;
  // What the child counts, by name; empty if it counts nothing.
  Result<std::map<std::string, std::uint64_t>> counters() const;

 private:
  Child() = default;
  Result<Usage> ask_usage(char question) const;

  struct Process {
    Process() = default;
    Process(Process&& other) noexcept : pid(std::exchange(other.pid, -1)) {}
    pid_t pid = -1;
  };
  Fd control_;
  Process process_;
  Hello hello_;
};

// The child's end: says hello, then answers until the parent is gone. `counters` is what Child::counters() gets. Returns
// the exit code.
using CountersOf = std::function<std::map<std::string, std::uint64_t>()>;
int answer_parent(const Hello& hello, const CountersOf& counters = {});
// Instead of a hello: why there is none.
int refuse_parent(const std::string& why);

// How many of this process's arguments came before those of a function that was given `argc` of them, itself included.
std::size_t arguments_before(int argc);

}  // namespace wayport::tools
