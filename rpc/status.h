// The outcome of a call: a value, or a status (spec/teleport 6).
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/base/result.h"
#include "wayport/base/time.h"

namespace wayport::rpc {

// Codes of the original. Applications use codes above 1000; any int32 travels.
namespace code {
inline constexpr std::int32_t kUndefined = 0;
inline constexpr std::int32_t kWriteFailed = 100;       // local only: the call never left
inline constexpr std::int32_t kConnectionClosed = 101;  // local only: the session ended while the call was outstanding
inline constexpr std::int32_t kOk = 200;
inline constexpr std::int32_t kBadUri = 400;
inline constexpr std::int32_t kUnauthorized = 401;
inline constexpr std::int32_t kNotFound = 404;
inline constexpr std::int32_t kConflict = 409;
inline constexpr std::int32_t kUnsupportedType = 410;
inline constexpr std::int32_t kUnsupportedCodec = 415;
inline constexpr std::int32_t kInternal = 500;
inline constexpr std::int32_t kServiceUnavailable = 503;  // a bound is reached: try again later
inline constexpr std::int32_t kTimeout = 504;
// Not in the original: always local.
inline constexpr std::int32_t kCanceled = 499;  // the caller withdrew
inline constexpr std::int32_t kBadReply = 502;  // a reply came, but its body does not fit the type that was asked for
}  // namespace code

// The text that the original sends with a code; empty for codes it has no text for.
std::string_view status_text(std::int32_t status_code) noexcept;

// Success is exactly 200. Code 0 with a text is an error, too.
struct Status {
  enum class Origin : std::uint8_t { local, remote };  // who decided: this process, or the peer's reply

  std::int32_t code = code::kOk;
  std::string text;
  Origin origin = Origin::local;
  // Proven: no handler of the peer ran, or ever will, so the call may be made again on another session. False: perhaps.
  bool never_executed = false;

  bool ok() const noexcept { return code == code::kOk; }
  // "404 Not Found (from the peer)"
  std::string to_string() const;

  // With the framework's text when `text` is empty.
  static Status make(std::int32_t code, std::string text = {});
  // A call that did not leave, or that the peer said it will not execute.
  static Status not_executed(std::int32_t code, std::string text = {});
};

// Thrown by a handler, becomes its reply; anything else that a handler throws becomes 500.
class StatusError : public std::exception {
 public:
  explicit StatusError(Status status) : status_(std::move(status)), what_(status_.to_string()) {}
  StatusError(std::int32_t code, std::string text) : StatusError(Status::make(code, std::move(text))) {}
  const Status& status() const noexcept { return status_; }
  const char* what() const noexcept override { return what_.c_str(); }

 private:
  Status status_;
  std::string what_;
};

// A value, or why there is none. Handlers may return it; pulls always do.
template <class T>
class [[nodiscard]] Reply {
 public:
  Reply(T value) : value_(std::move(value)) {}
  Reply(Status status) : status_(std::move(status)) {
    WAYPORT_ASSERT(!status_.ok(), "a Reply without value needs an error status");
  }

  bool ok() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  // REQUIRES: ok(); else throws StatusError.
  T& value() & { return check(), *value_; }
  const T& value() const& { return check(), *value_; }
  T&& value() && { return check(), *std::move(value_); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Status& status() const noexcept { return status_; }  // ok() when there is a value
  // Pulls: from the call to its outcome, by the session's loop; zero for one that was never sent.
  Duration cost() const noexcept { return cost_; }
  Reply&& with_cost(Duration cost) && noexcept { return cost_ = cost, std::move(*this); }

 private:
  void check() const {
    if (!value_) throw StatusError(status_);
  }
  std::optional<T> value_;
  Status status_;
  Duration cost_{0};
};

template <>
class [[nodiscard]] Reply<void> {
 public:
  Reply() = default;
  Reply(Status status) : status_(std::move(status)) {}

  bool ok() const noexcept { return status_.ok(); }
  explicit operator bool() const noexcept { return ok(); }
  void value() const {
    if (!ok()) throw StatusError(status_);
  }
  const Status& status() const noexcept { return status_; }
  Duration cost() const noexcept { return cost_; }
  Reply&& with_cost(Duration cost) && noexcept { return cost_ = cost, std::move(*this); }

 private:
  Status status_;
  Duration cost_{0};
};

}  // namespace wayport::rpc
