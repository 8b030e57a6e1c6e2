// How a case says that a promise was not kept: what was expected, what came. Thrown by the code of cases only, which reads
// as a list of steps that way, and caught in one place (interop.cc).
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/base/result.h"

namespace wayport::tools::interop {

class Failure : public std::exception {
 public:
  // One line for people; peers' text in it is escaped.
  explicit Failure(std::string why) : why_(std::move(why)) {}
  const char* what() const noexcept override { return why_.c_str(); }

 private:
  std::string why_;
};

inline void expect(bool held, std::string_view expected, std::string_view came) {
  if (!held) throw Failure("expected " + std::string(expected) + "; came: " + std::string(came));
}

// The value of a step that has to work.
template <class T>
T take(Result<T> result, std::string_view step) {
  expect(result.has_value(), step, result ? "" : result.error().to_string());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

}  // namespace wayport::tools::interop
