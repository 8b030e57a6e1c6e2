// The demo's output: a step per line, with how long it took, and what was seen and checked. Counts what did not happen.
#pragma once

#include <cstddef>
#include <functional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace wayport::tools {

// A step that did not happen as it should have.
class StepFailed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
inline void expect(bool holds, const std::string& what) {
  if (!holds) throw StepFailed(what);
}

class Report {
 public:
  explicit Report(std::ostream& out) : out_(out) {}

  void title(std::string_view text);
  void section(std::string_view name, std::string_view text);
  // Runs `step`, which returns what it saw, in one or more lines, or throws. Text that came from a peer is escaped
  // here.
  void step(std::string_view name, const std::function<std::string()>& step);
  // The last line. True if all steps happened.
  bool summary();

 private:
  std::ostream& out_;
  std::size_t done_ = 0;
  std::size_t failed_ = 0;
  double milliseconds_ = 0;
};

}  // namespace wayport::tools
