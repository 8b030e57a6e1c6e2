// SessionPool: a number of sessions to one service that are dialled, watched and dialled again, and pulls that go over
// whichever is open.
//
//   rpc::SessionPool pool(peer, {.addresses = {"tcp://a:9090", "tcp://b:9090"}, .sessions = 2});
//   rpc::Reply<int> sum = co_await pool.pull<int>("/home/sum", std::array{1, 2}, {.idempotent = true});
//
// A pull takes the open session with the fewest outstanding pulls. It is made again, on another session, when it is
// proven that it was not executed (Status::never_executed: it did not leave, or the peer's drain notice said so,
// spec/teleport 12) and its session is going: as often as all of the pool's sessions can drain one after the other, and
// once more; and, if the caller says `idempotent`, once when the connection was lost before the reply. While no session is open, pulls wait for one: `waiting_max` of them, for `wait_max` at most.
//
// Addresses are dialled in turn, each slot with a back-off of its own. All sessions live on one loop. Methods from any
// thread; callbacks on that loop. The pool goes before its peer.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/co.h"
#include "wayport/base/counters.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/pool/backoff.h"
#include "wayport/rpc/session.h"

namespace wayport::rpc {

struct SessionPoolOptions {
  std::vector<std::string> addresses{};  // at least one; set_addresses() changes them
  std::size_t sessions = 1;              // kept open; 1 to kSessionsMax
  DialOptions dial{};                    // `session_id` and `canceler` are not used
  BackoffOptions backoff{};              // between failed dials of one slot
  Duration wait_max = std::chrono::seconds(5);
  std::size_t waiting_max = 1024;
  std::uint64_t seed = 0;  // of the jitter; 0: a random one
  // On the pool's loop: a session has been opened; pick() may give it.
  std::function<void(const Session&)> on_open{};
};

struct PoolCallOptions {
  CallOptions call{};       // `timeout` is of each attempt; `canceler` of the one that is under way
  bool idempotent = false;  // executing it twice does no harm
};

struct SessionPoolCounters {
  Counter dials;
  Counter dials_failed;
  Counter pulls_repeated;  // made again
  Counter pulls_waited;    // found no open session
  Counter pulls_refused;   // waiting_max, or wait_max was over
};

namespace detail {

// One pull, through all its attempts. On the pool's loop.
class PooledPull {
 public:
  virtual ~PooledPull() = default;
  virtual void start(const Session& session) = 0;
  virtual void fail(Status status) = 0;

  unsigned repeats_left = 0;       // when proven not to be executed
  bool repeated_in_doubt = false;  // executed perhaps
};

// Whether a pull that ended with `status` may be made again. Counts it if so.
bool may_repeat(PooledPull& pull, const Status& status, bool idempotent, bool session_healthy) noexcept;

}  // namespace detail

class SessionPool {
 public:
  static constexpr std::size_t kSessionsMax = 1024;

  // Dialling begins at once. REQUIRES: the peer is started. Options that cannot be: every pull fails with their error.
  SessionPool(Peer& peer, SessionPoolOptions options);
  // Pulls that wait end with 499; sessions close gracefully, and their outstanding pulls get their outcomes.
  ~SessionPool();
  SessionPool(const SessionPool&) = delete;
  SessionPool& operator=(const SessionPool&) = delete;

  template <class R = void, class A = framing::NoBody>
  boost::asio::awaitable<Reply<R>> pull(std::string uri, A argument = {}, PoolCallOptions options = {});
  // `done` runs once, on the pool's loop, never from inside this call.
  template <class R = void, class A, class F>
  void pull_async(std::string uri, A argument, PoolCallOptions options, F done);
  // Not on a loop thread.
  template <class R = void, class A = framing::NoBody>
  Reply<R> pull_blocking(std::string uri, A argument = {}, PoolCallOptions options = {});

  // What is dialled from now on; for addresses from a registry. Sessions to addresses that are gone close gracefully and
  // are replaced. Empty: nothing is dialled, and pulls wait. Any thread.
  void set_addresses(std::vector<std::string> addresses);

  // An open session, to push on or to keep; an empty handle if there is none. On the pool's loop.
  Session pick();
  Loop& loop() const noexcept;
  // Open sessions. Any thread.
  std::size_t open_sessions() const noexcept;
  const SessionPoolCounters& counters() const noexcept;

 private:
  struct State;
  template <class R, class A, class F>
  class Pull;

  // On the loop: starts it now, or lets it wait.
  static void submit(const std::shared_ptr<State>& state, std::shared_ptr<detail::PooledPull> pull);
  static void repeat(const std::weak_ptr<State>& state, std::shared_ptr<detail::PooledPull> pull, Status status);

  std::shared_ptr<State> state_;
};

template <class R, class A, class F>
class SessionPool::Pull final : public detail::PooledPull, public std::enable_shared_from_this<Pull<R, A, F>> {
 public:
  Pull(std::weak_ptr<State> pool, std::string uri, A argument, PoolCallOptions options, F done)
      : pool_(std::move(pool)),
        uri_(std::move(uri)),
        argument_(std::move(argument)),
        options_(std::move(options)),
        done_(std::move(done)) {}

  void start(const Session& session) override {
    session.pull_async<R>(uri_, argument_, options_.call, [self = this->shared_from_this(), session](Reply<R> reply) {
      if (reply.ok() || !detail::may_repeat(*self, reply.status(), self->options_.idempotent, session.healthy())) {
        return self->done_(std::move(reply));
      }
      repeat(self->pool_, self, reply.status());
    });
  }
  void fail(Status status) override { done_(Reply<R>(std::move(status))); }

 private:
  const std::weak_ptr<State> pool_;
  const std::string uri_;
  const A argument_;
  const PoolCallOptions options_;
  F done_;
};

template <class R, class A, class F>
void SessionPool::pull_async(std::string uri, A argument, PoolCallOptions options, F done) {
  auto pull =
      std::make_shared<Pull<R, A, F>>(state_, std::move(uri), std::move(argument), std::move(options), std::move(done));
  Loop& home = loop();
  if (home.in_loop_thread()) return submit(state_, std::move(pull));
  home.post([state = state_, pull = std::move(pull)]() mutable { submit(state, std::move(pull)); });
}

template <class R, class A>
boost::asio::awaitable<Reply<R>> SessionPool::pull(std::string uri, A argument, PoolCallOptions options) {
  if (!options.call.canceler) options.call.canceler = std::make_shared<Canceler>();
  const std::shared_ptr<Canceler> canceler = options.call.canceler;
  Result<Reply<R>> reply = co_await async_callback<Reply<R>>([&](Completion<Reply<R>> done) {
    pull_async<R>(std::move(uri), std::move(argument), std::move(options),
                  [done = std::move(done)](Reply<R> outcome) mutable { done(std::move(outcome)); });
    return [canceler] { canceler->cancel(); };
  });
  if (!reply) co_return Status::make(code::kCanceled);
  co_return *std::move(reply);
}

template <class R, class A>
Reply<R> SessionPool::pull_blocking(std::string uri, A argument, PoolCallOptions options) {
  if (Loop::current()) {
    return Status::not_executed(code::kWriteFailed, "a blocking pull on a loop thread would wait for itself");
  }
  std::promise<Reply<R>> promise;
  std::future<Reply<R>> future = promise.get_future();
  pull_async<R>(std::move(uri), std::move(argument), std::move(options),
                [&promise](Reply<R> reply) { promise.set_value(std::move(reply)); });
  return future.get();
}

}  // namespace wayport::rpc
