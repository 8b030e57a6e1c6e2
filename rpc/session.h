// Session: a handle to one connection with a peer; both sides may pull and push on it at any time.
//
// Copyable, cheap, usable from any thread; commands of other threads are posted to the session's loop, in order. A
// handle does not keep the connection open, only its memory, and must go before the Runtime. Empty handles must not be
// used.
//
// An argument or result type T is anything framing/body.h lists: numbers, strings, containers and described structs
// (json), protobuf messages, FlatBuffer<Root>, boost::json::value, RawBody (bytes that are encoded already); NoBody and
// void: none.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/base/co.h"
#include "wayport/framing/body_ops.h"
#include "wayport/rpc/calls.h"
#include "wayport/rpc/canceler.h"
#include "wayport/rpc/session_store.h"
#include "wayport/rpc/status.h"
#include "wayport/transport/stream.h"

namespace wayport::rpc {

class SessionDriver;
struct SessionOptions;

// Per packet. What is not set comes from SessionOptions.
struct CallOptions {
  // Pulls; zero: wait until the connection ends. After it a local 504; negative: it is over already.
  std::optional<Duration> timeout{};
  std::uint8_t body_codec = 0;         // an id; 0: the session's default, or one that fits the type
  std::uint8_t header_codec = 0;       // 'j' or 'p'
  std::optional<std::int32_t> gzip{};  // level; 0: not compressed
  std::int32_t status_code = 0;        // sent along in the header; receivers of pulls and pushes may look at it
  std::string status{};
  std::shared_ptr<Canceler> canceler{};  // pulls
};

namespace detail {

// An argument without its type.
struct Argument {
  framing::BodyView value{};  // ops null: no body
  const framing::RawBody* raw = nullptr;
};
template <class A>
Argument argument(const A& value) {
  if constexpr (std::is_same_v<A, framing::NoBody>) {
    return {};
  } else if constexpr (std::is_same_v<A, framing::RawBody>) {
    return {{}, &value};
  } else {
    return {{&framing::body_ops<A>(), &value}, nullptr};
  }
}

// Starts a pull on any thread. `call` gets exactly one outcome, on the session's loop, never from inside this call.
void start_pull(SessionDriver& session, std::string_view uri, const Argument& argument, const CallOptions& options,
                std::unique_ptr<PendingCall> call);

// framing::decode_body, with what an application's codec throws as an error.
Result<void> decode_reply(const framing::PacketView& packet, framing::ProtocolContext& context,
                          const framing::BodyTarget& target) noexcept;

template <class R, class F>
class TypedCall final : public PendingCall {
 public:
  explicit TypedCall(F done) : done_(std::move(done)) {}
  void on_reply(const framing::PacketView& packet, framing::ProtocolContext& context) override {
    if constexpr (std::is_void_v<R>) {
      done_(Reply<void>(result_read(packet, {})).with_cost(cost()));
    } else {
      R value{};
      const framing::BodyTarget target{&framing::body_ops<R>(), &value};
      Result<void> decoded = decode_reply(packet, context, target);
      Status status =
          decoded ? result_read(packet, target) : Status::make(code::kBadReply, std::move(decoded.error().detail));
      done_((status.ok() ? Reply<R>(std::move(value)) : Reply<R>(std::move(status))).with_cost(cost()));
    }
  }
  void on_failed(Status status) override { done_(Reply<R>(std::move(status)).with_cost(cost())); }

 private:
  F done_;
};

}  // namespace detail

template <class R>
class PullQueue;

class Session {
 public:
  Session() = default;
  explicit Session(std::shared_ptr<SessionDriver> driver) noexcept : driver_(std::move(driver)) {}
  explicit operator bool() const noexcept { return driver_ != nullptr; }
  friend bool operator==(const Session&, const Session&) = default;

  // --- identity ---
  // Unique within a peer. First the remote address of an accepted session and the local one of a dialled session, or
  // what DialOptions said.
  std::string id() const;
  // A session that holds this id already is closed gracefully (spec/teleport 9).
  void rename(std::string id);
  std::string remote() const;  // "tcp://10.0.0.1:50112"
  std::string local() const;
  // On the session's loop only, or while the caller knows the session to be open.
  const transport::PeerInfo& peer() const;
  Loop& loop() const;
  SessionStore& store() const;
  bool healthy() const;                             // open, and not closing
  std::optional<CloseReason> close_reason() const;  // once it is closed: who and why
  void set_read_timeout(Duration timeout) const;    // as SessionOptions::read_timeout
  void set_write_timeout(Duration timeout) const;

  // --- pull: exactly one outcome, a value or a status ---
  // Uri: "/path?query". Awaited by a coroutine on any loop. Cancellation of the awaiting coroutine ends it with 499.
  template <class R = void, class A = framing::NoBody>
  boost::asio::awaitable<Reply<R>> pull(std::string uri, A argument = {}, CallOptions options = {}) const;
  // `done` runs on the session's loop, never from inside this call.
  template <class R = void, class A, class F>
  void pull_async(std::string_view uri, const A& argument, const CallOptions& options, F done) const {
    detail::start_pull(*driver_, uri, detail::argument(argument), options,
                       std::make_unique<detail::TypedCall<R, F>>(std::move(done)));
  }
  template <class R = void, class A = framing::NoBody>
  std::future<Reply<R>> pull_future(std::string_view uri, const A& argument = {},
                                    const CallOptions& options = {}) const;
  // Blocks the calling thread. On a loop thread, which would wait for itself: status 100 at once.
  template <class R = void, class A = framing::NoBody>
  Reply<R> pull_blocking(std::string_view uri, const A& argument = {}, const CallOptions& options = {}) const;
  // Many pulls may complete into one queue (pull_queue.h); `tag` tells them apart. overloaded: the queue's bound is
  // reached.
  template <class R, class A = framing::NoBody>
  Result<void> pull_into(PullQueue<R>& queue, std::uint64_t tag, std::string_view uri, const A& argument = {},
                         const CallOptions& options = {}) const;

  // --- push: no reply ---
  // Success: queued here, not received there. overloaded: SessionOptions::output_bytes_max. From another thread an
  // encode error is reported, but not an error that the loop finds later.
  template <class A = framing::NoBody>
  Result<void> push(std::string_view uri, const A& argument = {}, const CallOptions& options = {}) const {
    return push_argument(uri, detail::argument(argument), options);
  }

  // --- end ---
  // Graceful, bounded by SessionOptions::close_timeout: running handlers finish and are answered, outstanding pulls get
  // their replies, nothing new is executed or taken.
  void close(std::string why = "closed by the application") const;
  void abort(std::string why = "aborted by the application") const;
  // `callback` runs once on the session's loop; also when the session is closed already.
  void on_closed(std::move_only_function<void(const CloseReason&)> callback) const;
  boost::asio::awaitable<CloseReason> closed() const;

  const std::shared_ptr<SessionDriver>& driver() const noexcept { return driver_; }

 private:
  Result<void> push_argument(std::string_view uri, const detail::Argument& argument, const CallOptions& options) const;
  static Status blocked_loop();

  std::shared_ptr<SessionDriver> driver_;
};

template <class R, class A>
boost::asio::awaitable<Reply<R>> Session::pull(std::string uri, A argument, CallOptions options) const {
  // The frame owns copies of everything: the handle may be a temporary.
  const std::shared_ptr<SessionDriver> driver = driver_;
  if (!options.canceler) options.canceler = std::make_shared<Canceler>();
  const std::shared_ptr<Canceler> canceler = options.canceler;
  Result<Reply<R>> reply = co_await async_callback<Reply<R>>([&](Completion<Reply<R>> done) {
    auto complete = [done = std::move(done)](Reply<R> outcome) mutable { done(std::move(outcome)); };
    detail::start_pull(*driver, uri, detail::argument(argument), options,
                       std::make_unique<detail::TypedCall<R, decltype(complete)>>(std::move(complete)));
    return [canceler] { canceler->cancel(); };
  });
  if (!reply) co_return Status::make(code::kCanceled);
  co_return *std::move(reply);
}

template <class R, class A>
std::future<Reply<R>> Session::pull_future(std::string_view uri, const A& argument, const CallOptions& options) const {
  std::promise<Reply<R>> promise;
  std::future<Reply<R>> future = promise.get_future();
  pull_async<R>(uri, argument, options,
                [promise = std::move(promise)](Reply<R> reply) mutable { promise.set_value(std::move(reply)); });
  return future;
}

template <class R, class A>
Reply<R> Session::pull_blocking(std::string_view uri, const A& argument, const CallOptions& options) const {
  if (Loop::current()) return blocked_loop();
  return pull_future<R>(uri, argument, options).get();
}

}  // namespace wayport::rpc
