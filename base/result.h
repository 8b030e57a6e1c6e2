// Errors as values. Peer bytes and the environment end in a Result; our own bugs end in WAYPORT_ASSERT.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace wayport {

// Chosen by what the receiver of the error can do next.
enum class ErrorCode : unsigned char {
  malformed,         // the peer broke the wire format: close, do not retry the same bytes
  too_large,         // over a stated limit: send less, or raise the limit that the detail names
  overloaded,        // a bound of ours is reached: back off and try again
  timed_out,         // a stated time passed: try again, or allow more time
  peer_closed,       // the other side ended it
  local_closed,      // this side ended it
  canceled,          // the caller withdrew
  unsupported,       // this build, peer or stack cannot do that
  not_found,         // the name is unknown
  invalid_argument,  // the caller's own input, for instance an address or an option
  refused,           // the other side, or the system, said no: credentials, permission, connection refused
  unreachable,       // no route, no name, network down: try again later or elsewhere
  io,                // the system failed in another way; `cause` has its word
  internal,          // a bug of ours that was caught
};
std::string_view to_string(ErrorCode code) noexcept;

struct Error {
  ErrorCode code = ErrorCode::internal;
  // One line for people: what happened, to which peer, the limit or key, the offending values. Peer text in it is
  // escaped.
  std::string detail;
  std::error_code cause{};

  std::string to_string() const;  // "timed_out: no reply from tcp://10.0.0.1:9090 within 5s (Connection timed out)"
};
// An Error from errno-like values; `what` says what was being done to which object.
Error system_error(int errno_value, std::string_view what);

// std::expected, but a dropped one is a compiler warning, and errors propagate from any Result.
template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
  using Base = std::expected<T, Error>;

 public:
  using Base::Base;
  Result(Error error) : Base(std::unexpect, std::move(error)) {}
};

inline std::unexpected<Error> fail(ErrorCode code, std::string detail) {
  return std::unexpected<Error>(Error{code, std::move(detail), {}});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }

// Why a stream, link or session ended, and who ended it.
struct CloseReason {
  enum class By : unsigned char { local, peer, system } by = By::system;
  Error error;  // code and one line; peer_closed for an orderly end by the peer

  static CloseReason local(ErrorCode code, std::string detail) { return {By::local, {code, std::move(detail), {}}}; }
  static CloseReason peer(ErrorCode code, std::string detail) { return {By::peer, {code, std::move(detail), {}}}; }
};
std::string to_string(const CloseReason& reason);  // "closed by the peer: malformed: ..."

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line, const char* message) noexcept;

}  // namespace wayport

// For our own invariants only, in every build; never reachable by peer bytes. Prints and aborts.
#define WAYPORT_ASSERT(expression, message) \
  ((expression) ? static_cast<void>(0) : ::wayport::assertion_failed(#expression, __FILE__, __LINE__, message))

// `WAYPORT_TRY(expr);` returns the error of a Result from the enclosing function; `WAYPORT_TRY_ASSIGN(auto x, expr);`
// also names its value.
#define WAYPORT_TRY(expression)                                                  \
  do {                                                                           \
    if (auto wayport_try_ = (expression); !wayport_try_)                         \
      return std::unexpected<::wayport::Error>(std::move(wayport_try_.error())); \
  } while (false)
#define WAYPORT_TRY_CONCAT_(a, b) a##b
#define WAYPORT_TRY_NAME_(a, b) WAYPORT_TRY_CONCAT_(a, b)
#define WAYPORT_TRY_ASSIGN(declaration, expression) \
  WAYPORT_TRY_ASSIGN_(declaration, expression, WAYPORT_TRY_NAME_(wayport_try_, __LINE__))
#define WAYPORT_TRY_ASSIGN_(declaration, expression, name)                      \
  auto name = (expression);                                                     \
  if (!name) return std::unexpected<::wayport::Error>(std::move(name.error())); \
  declaration = *std::move(name)
