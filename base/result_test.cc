#include "wayport/base/result.h"

#include <cerrno>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace wayport {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(ErrorCode::invalid_argument, std::to_string(value) + " is odd");
  return value / 2;
}
Result<std::string> quarter(int value) {
  WAYPORT_TRY_ASSIGN(const int once, half(value));
  WAYPORT_TRY_ASSIGN(const int twice, half(once));
  return std::to_string(twice);
}
Result<void> check(int value) {
  WAYPORT_TRY(half(value));
  return {};
}

TEST(Result, PassesErrorsThroughFunctionsOfOtherTypes) {
  EXPECT_EQ(quarter(8).value(), "2");
  EXPECT_EQ(quarter(6).error().detail, "3 is odd");
  EXPECT_TRUE(check(2));
  EXPECT_EQ(check(1).error().code, ErrorCode::invalid_argument);
}

TEST(Error, PrintsCodeDetailAndCause) {
  EXPECT_EQ((Error{ErrorCode::malformed, "length 5 of 4", {}}).to_string(), "malformed: length 5 of 4");
  EXPECT_EQ(system_error(ETIMEDOUT, "connect to 10.0.0.1:9").to_string(),
            "timed_out: connect to 10.0.0.1:9 (Connection timed out)");
  EXPECT_EQ((Error{ErrorCode::canceled, "", {}}).to_string(), "canceled");
}

TEST(Error, TellsFromErrnoWhatCanBeDone) {
  const std::pair<int, ErrorCode> cases[] = {
      {ETIMEDOUT, ErrorCode::timed_out},
      {ECONNREFUSED, ErrorCode::refused},
      {EACCES, ErrorCode::refused},
      {EPERM, ErrorCode::refused},
      {ECONNRESET, ErrorCode::peer_closed},
      {EPIPE, ErrorCode::peer_closed},
      {ENETUNREACH, ErrorCode::unreachable},
      {EHOSTUNREACH, ErrorCode::unreachable},
      {EMFILE, ErrorCode::overloaded},
      {ENFILE, ErrorCode::overloaded},
      {ENOMEM, ErrorCode::overloaded},
      {ENOBUFS, ErrorCode::overloaded},
      {ENOENT, ErrorCode::not_found},
      {EADDRINUSE, ErrorCode::invalid_argument},
      {EINVAL, ErrorCode::invalid_argument},
      {EAFNOSUPPORT, ErrorCode::unsupported},
      {EIO, ErrorCode::io},
  };
  for (const auto& [number, code] : cases) {
    const Error error = system_error(number, "x");
    EXPECT_EQ(to_string(error.code), to_string(code)) << number;
    EXPECT_EQ(error.cause.value(), number);
  }
}

TEST(Assert, SaysWhatIsWrongAndWhere) {
  const int count = 3;
  EXPECT_DEATH(WAYPORT_ASSERT(count == 2, "two are needed"), "result_test.cc:.*two are needed .count == 2");
}

}  // namespace
}  // namespace wayport
