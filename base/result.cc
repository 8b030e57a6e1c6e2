#include "wayport/base/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace wayport {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::malformed:
      return "malformed";
    case ErrorCode::too_large:
      return "too_large";
    case ErrorCode::overloaded:
      return "overloaded";
    case ErrorCode::timed_out:
      return "timed_out";
    case ErrorCode::peer_closed:
      return "peer_closed";
    case ErrorCode::local_closed:
      return "local_closed";
    case ErrorCode::canceled:
      return "canceled";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::refused:
      return "refused";
    case ErrorCode::unreachable:
      return "unreachable";
    case ErrorCode::io:
      return "io";
    case ErrorCode::internal:
      return "internal";
  }
  return "unknown";
}

std::string Error::to_string() const {
  std::string text(wayport::to_string(code));
  if (!detail.empty()) text += ": " + detail;
  if (cause) text += " (" + cause.message() + ")";
  return text;
}

std::string to_string(const CloseReason& reason) {
  const char* by = "by the system";
  if (reason.by == CloseReason::By::local) by = "by this side";
  if (reason.by == CloseReason::By::peer) by = "by the peer";
  return std::string("closed ") + by + ": " + reason.error.to_string();
}

namespace {

ErrorCode code_of(int errno_value) noexcept {
  switch (errno_value) {
    case ETIMEDOUT:
      return ErrorCode::timed_out;
    case ECONNREFUSED:
    case EACCES:
    case EPERM:
    case ECONNABORTED:
      return ErrorCode::refused;
    case ECONNRESET:
    case EPIPE:
      return ErrorCode::peer_closed;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
      return ErrorCode::unreachable;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN:
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::overloaded;
    case ENOENT:
      return ErrorCode::not_found;
    case ECANCELED:
      return ErrorCode::canceled;
    case EMSGSIZE:
    case ENAMETOOLONG:
    case E2BIG:
      return ErrorCode::too_large;
    case EADDRINUSE:
    case EADDRNOTAVAIL:
    case EINVAL:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case EDESTADDRREQ:
      return ErrorCode::invalid_argument;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case EOPNOTSUPP:
    case ENOSYS:
    case ENOPROTOOPT:
      return ErrorCode::unsupported;
    case EBADF:
    case EFAULT:
    case ENOTSOCK:
    case EISCONN:
    case EALREADY:
      return ErrorCode::internal;
    default:
      return ErrorCode::io;
  }
}

}  // namespace

Error system_error(int errno_value, std::string_view what) {
  return Error{code_of(errno_value), std::string(what), std::error_code(errno_value, std::system_category())};
}

void assertion_failed(const char* expression, const char* file, int line, const char* message) noexcept {
  std::fprintf(stderr, "%s:%d: %s [%s is false]\n", file, line, message, expression);
  std::fflush(stderr);
  std::abort();
}

}  // namespace wayport
