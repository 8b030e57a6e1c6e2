// The seam between callbacks and coroutines: the one place that turns a callback into an awaitable Result.
//
// Coroutines are for handlers, tools, tests and sequences (dial, handshake); nothing per message goes through here.
#pragma once

#include <atomic>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"

namespace wayport {

namespace asio = boost::asio;

namespace detail {

// Everything on its loop, except complete().
//
// A suspended coroutine and what it waits for own each other, so neither would go when the loop ends: the loop knows
// this state while it is suspended, and has it let go of the coroutine when it closes.
template <class T>
class CallbackState final : private LoopCloseHook, public std::enable_shared_from_this<CallbackState<T>> {
 public:
  using Handler = std::move_only_function<void(Result<T>)>;

  explicit CallbackState(Loop& loop) : loop_(loop) {}

  bool completed() const noexcept { return result_.has_value(); }
  Result<T> take() { return *std::move(result_); }

  void suspend(Handler handler) {
    handler_ = std::move(handler);
    loop_.at_close(*this);
  }
  void set_cancel(std::move_only_function<void()> hook) { cancel_ = std::move(hook); }

  // Any thread.
  void complete(Result<T> result, bool resume_inline) {
    if (loop_closed_.load(std::memory_order_acquire)) return;
    if (Loop::current() == &loop_) return complete_here(std::move(result), resume_inline);
    loop_.post([self = this->shared_from_this(), moved = std::move(result)]() mutable {
      self->complete_here(std::move(moved), true);
    });
  }
  // The hook may complete by itself. Never resumes inline: the caller is inside a cancellation_signal that the
  // coroutine may own.
  void cancel() {
    if (completed() || loop_closed_.load(std::memory_order_relaxed)) return;
    const auto keep = this->shared_from_this();
    canceling_ = true;
    if (auto hook = std::exchange(cancel_, nullptr)) hook();
    if (!completed()) complete_here(fail(ErrorCode::canceled, "the waiting coroutine was canceled"), false);
  }

 private:
  void complete_here(Result<T> result, bool resume_inline) {
    if (completed() || loop_closed_.load(std::memory_order_relaxed)) return;
    result_.emplace(std::move(result));
    cancel_ = nullptr;
    if (!handler_) return;  // not suspended yet: async_callback() looks
    if (resume_inline && !canceling_) {
      resume();
    } else {
      loop_.post([self = this->shared_from_this()] { self->resume(); });
    }
  }
  void resume() {
    this->unlink();
    Handler handler = std::exchange(handler_, nullptr);
    if (handler) handler(take());
  }
  void on_loop_close() noexcept override {
    const auto keep = this->weak_from_this().lock();
    loop_closed_.store(true, std::memory_order_release);
    cancel_ = nullptr;
    handler_ = nullptr;
  }

  Loop& loop_;
  Handler handler_;
  std::move_only_function<void()> cancel_;
  std::optional<Result<T>> result_;
  bool canceling_ = false;
  std::atomic<bool> loop_closed_{false};
};

}  // namespace detail

// What async_callback() waits for. Call it once with the outcome, on any thread; dropping it uncalled is `canceled`.
template <class T>
class Completion {
 public:
  Completion() noexcept = default;
  explicit Completion(std::shared_ptr<detail::CallbackState<T>> state) noexcept : state_(std::move(state)) {}
  Completion(Completion&&) noexcept = default;
  Completion& operator=(Completion&& other) noexcept {
    Completion moved(std::move(other));
    std::swap(state_, moved.state_);
    return *this;
  }
  ~Completion() {
    if (state_) state_->complete(fail(ErrorCode::canceled, "the callback was dropped uncalled"), false);
  }

  explicit operator bool() const noexcept { return state_ != nullptr; }
  // Resumes the coroutine before it returns, if called on its loop; else posts to the loop. REQUIRES: not called
  // before.
  void operator()(Result<T> result) {
    const auto state = std::exchange(state_, nullptr);
    WAYPORT_ASSERT(state != nullptr, "a Completion is called twice");
    state->complete(std::move(result), true);
  }

 private:
  std::shared_ptr<detail::CallbackState<T>> state_;
};

// Runs `initiate(Completion<T>)` and suspends until the completion is called. `initiate` may return a function that
// cancels what it started; canceling the coroutine calls it, and resumes with `canceled` even if it does nothing.
// The coroutine runs on the asio() of a Loop.
//
//   Result<Packet> packet = co_await async_callback<Packet>([&](Completion<Packet> done) {
//     session.pull(path, std::move(done));
//   });
template <class T, class Initiate>
asio::awaitable<Result<T>> async_callback(Initiate initiate) {
  WAYPORT_ASSERT(Loop::current() != nullptr, "this coroutine runs on no Loop: spawn it on Loop::asio()");
  const auto state = std::make_shared<detail::CallbackState<T>>(*Loop::current());
  if constexpr (std::is_void_v<std::invoke_result_t<Initiate&, Completion<T>>>) {
    initiate(Completion<T>(state));
  } else {
    auto cancel = initiate(Completion<T>(state));
    if (!state->completed()) state->set_cancel(std::move(cancel));
  }
  if (state->completed()) co_return state->take();
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Result<T>)>(
      [&state](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
          slot.assign([weak = std::weak_ptr(state)](asio::cancellation_type) {
            if (const auto alive = weak.lock()) alive->cancel();
          });
        }
        state->suspend(std::move(handler));
      },
      asio::use_awaitable);
}

// On the wheel of `loop`, in its notion of time. `canceled` when the coroutine is.
asio::awaitable<Result<void>> sleep_until(Loop& loop, TimePoint due);
asio::awaitable<Result<void>> sleep_for(Loop& loop, Duration duration);

}  // namespace wayport
