// Typed handlers: plain functions, coroutines and blocking functions of almost any shape become a Handler.
//
// Accepted: f(Context&, A), f(A), f(Context&), f(); A is a value type of framing/body.h or RawBodyView (by value,
// const& or &&). Results: void, T, Status, Reply<T>, Reply<void>, or boost::asio::awaitable of any of these. One
// function object serves all sessions and loops, so what it shares must be thread-safe. A body that does not decode
// into A closes the session and nothing runs.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "wayport/rpc/call.h"
#include "wayport/rpc/context.h"

namespace wayport::rpc {

class Plugin;

// A body as it came, without a copy: argument and result of handlers that only pass bytes on. As an argument it lives
// as long as the handler runs; as a result it goes out as it is, with the gzip level of the request in the header.
struct RawBodyView {
  Bytes with_codec;  // codec id in front; empty: no body. Compressed if the header's gzip says so.

  std::uint8_t codec_id() const noexcept { return with_codec.empty() ? 0 : static_cast<std::uint8_t>(with_codec[0]); }
  Bytes bytes() const noexcept { return with_codec.empty() ? with_codec : with_codec.subspan(1); }
};

struct HandlerOptions {
  // Runs on the runtime's worker pool instead of the loop; for functions that sleep, read files, call others and wait.
  bool blocking = false;
  // Coroutines and blocking functions: a pull that they have not answered so long after it was read is answered with
  // 504; what they answer later is dropped. They see it in Context::deadline(). Zero: none.
  Duration deadline{0};
  // What is pushed here goes on with something that was admitted already, such as the data of a stream: limiters let it
  // pass, for one lost push would end all of it.
  bool continuation = false;
  // Of this route only; hooks of headers and sessions can never run here and are refused (plugin.h).
  std::vector<std::shared_ptr<Plugin>> plugins{};
};

namespace detail {

template <class T>
struct IsAwaitable : std::false_type {};
template <class T>
struct IsAwaitable<boost::asio::awaitable<T>> : std::true_type {
  using Value = T;
};

template <class T>
struct IsReply : std::false_type {};
template <class T>
struct IsReply<Reply<T>> : std::true_type {};

// Parameter list of a callable.
template <class... Parameters>
struct Shape {
  static_assert(sizeof...(Parameters) == 0, "a handler takes (Context&, A), (A), (Context&) or nothing");
  using Argument = framing::NoBody;
  static constexpr bool kContext = false;
  static constexpr bool kArgument = false;
};
template <>
struct Shape<Context&> {
  using Argument = framing::NoBody;
  static constexpr bool kContext = true;
  static constexpr bool kArgument = false;
};
template <class A>
struct Shape<A> {
  using Argument = std::remove_cvref_t<A>;
  static constexpr bool kContext = false;
  static constexpr bool kArgument = true;
};
template <class A>
struct Shape<Context&, A> {
  using Argument = std::remove_cvref_t<A>;
  static constexpr bool kContext = true;
  static constexpr bool kArgument = true;
};

template <class F>
struct Signature : Signature<decltype(&F::operator())> {};
template <class R, class... P>
struct Signature<R (*)(P...)> {
  using Result = R;
  using Parameters = Shape<P...>;
};
template <class R, class... P>
struct Signature<R (*)(P...) noexcept> : Signature<R (*)(P...)> {};
template <class C, class R, class... P>
struct Signature<R (C::*)(P...)> : Signature<R (*)(P...)> {};
template <class C, class R, class... P>
struct Signature<R (C::*)(P...) const> : Signature<R (*)(P...)> {};
template <class C, class R, class... P>
struct Signature<R (C::*)(P...) noexcept> : Signature<R (*)(P...)> {};
template <class C, class R, class... P>
struct Signature<R (C::*)(P...) const noexcept> : Signature<R (*)(P...)> {};

template <class Parameters, class F>
decltype(auto) invoke_handler(F& function, Context& context, typename Parameters::Argument& argument) {
  if constexpr (Parameters::kContext && Parameters::kArgument) {
    return function(context, std::move(argument));
  } else if constexpr (Parameters::kContext) {
    return function(context);
  } else if constexpr (Parameters::kArgument) {
    return function(std::move(argument));
  } else {
    return function();
  }
}

// False: the session is closing because the body does not decode, or a plugin refused the call.
template <class A>
bool decode_argument(Call& call, A& argument) {
  if constexpr (std::is_same_v<A, framing::NoBody>) {
    return call.argument_read({});
  } else if constexpr (std::is_same_v<A, RawBodyView>) {
    argument.with_codec = call.packet().body_with_codec;
    return call.argument_read({});
  } else {
    const framing::BodyTarget target{&framing::body_ops<A>(), &argument};
    return call.decode(target).has_value() && call.argument_read(target);
  }
}
// After a call was deferred, views must point into its copy.
template <class A>
void move_views(const Call& call, A& argument) {
  if constexpr (std::is_same_v<A, RawBodyView>) argument.with_codec = call.packet().body_with_codec;
}

// Turns a handler's result into the reply.
template <class R>
void answer(Call& call, const R& result) {
  if constexpr (std::is_same_v<R, Status>) {
    if (!result.ok()) return call.fail(result);
    call.reply_empty();
  } else if constexpr (std::is_same_v<R, RawBodyView>) {
    call.reply_verbatim(result.with_codec);
  } else if constexpr (IsReply<R>::value) {
    if (!result.ok()) return call.fail(result.status());
    if constexpr (std::is_same_v<R, Reply<void>>) {
      call.reply_empty();
    } else {
      answer(call, *result);
    }
  } else if constexpr (std::is_same_v<R, framing::RawBody>) {
    if (result.codec_id != 0) {
      call.reply_encoded(result.codec_id, as_bytes(result.bytes));
    } else {
      call.reply_verbatim(as_bytes(result.bytes));
    }
  } else if constexpr (std::is_same_v<R, framing::NoBody>) {
    call.reply_empty();
  } else {
    call.reply({&framing::body_ops<R>(), &result});
  }
}

// Starts `task`, which owns `call`, among the tasks of the session's loop; too many of them answer 503.
void spawn_handler(DeferredCall& call, boost::asio::awaitable<void> task);
// Runs `work` on the worker pool, then `finish` on the session's loop, then drops `call` there. A refusing pool answers
// 503.
void run_blocking(std::unique_ptr<DeferredCall> call, std::move_only_function<void(Call&)> work,
                  std::move_only_function<void(Call&)> finish);
void fail_with_exception(Call& call, std::exception_ptr exception);

template <class F>
class PlainHandler final : public Handler {
  using Parameters = typename Signature<F>::Parameters;
  using Output = typename Signature<F>::Result;

 public:
  explicit PlainHandler(F function) : function_(std::move(function)) {}
  void run(Call& call) override {
    typename Parameters::Argument argument{};
    if (!decode_argument(call, argument)) return;
    Context context(call);
    if constexpr (std::is_void_v<Output>) {
      invoke_handler<Parameters>(function_, context, argument);
      call.reply_empty();
    } else {
      const std::remove_cvref_t<Output> result = invoke_handler<Parameters>(function_, context, argument);
      answer(call, result);
    }
  }

 private:
  F function_;
};

template <class F>
class CoroutineHandler final : public Handler {
  using Parameters = typename Signature<F>::Parameters;
  using Argument = typename Parameters::Argument;
  using Output = typename IsAwaitable<typename Signature<F>::Result>::Value;

 public:
  explicit CoroutineHandler(F function) : function_(std::move(function)) {}
  void run(Call& call) override {
    Argument argument{};
    if (!decode_argument(call, argument)) return;
    std::unique_ptr<DeferredCall> deferred = call.defer();
    if (!deferred) return;
    move_views(*deferred, argument);
    DeferredCall& waiting = *deferred;
    spawn_handler(waiting, later(&function_, std::move(deferred), std::move(argument)));
  }

 private:
  // Parameters by value: they live in the coroutine's frame. The function lives in the router, which outlives the task.
  static boost::asio::awaitable<void> later(F* function, std::unique_ptr<DeferredCall> call, Argument argument) {
    Context context(*call);
    try {
      if constexpr (std::is_void_v<Output>) {
        co_await invoke_handler<Parameters>(*function, context, argument);
        call->reply_empty();
      } else {
        const Output result = co_await invoke_handler<Parameters>(*function, context, argument);
        answer(static_cast<Call&>(*call), result);
      }
    } catch (...) {
      fail_with_exception(*call, std::current_exception());
    }
  }

  F function_;
};

template <class F>
class BlockingHandler final : public Handler {
  using Parameters = typename Signature<F>::Parameters;
  using Argument = typename Parameters::Argument;
  using Output = typename Signature<F>::Result;
  static_assert(!IsAwaitable<Output>::value,
                "a coroutine does not block: register it without HandlerOptions::blocking");
  struct Nothing {};
  using Stored = std::conditional_t<std::is_void_v<Output>, Nothing, Output>;

 public:
  explicit BlockingHandler(F function) : function_(std::move(function)) {}
  void run(Call& call) override {
    auto job = std::make_shared<Job>();
    if (!decode_argument(call, job->argument)) return;
    std::unique_ptr<DeferredCall> deferred = call.defer();
    if (!deferred) return;
    move_views(*deferred, job->argument);
    run_blocking(
        std::move(deferred),
        [this, job](Call& later) {
          try {
            Context context(later);
            if constexpr (std::is_void_v<Output>) {
              invoke_handler<Parameters>(function_, context, job->argument);
              job->result.emplace();
            } else {
              job->result.emplace(invoke_handler<Parameters>(function_, context, job->argument));
            }
          } catch (...) {
            job->exception = std::current_exception();
          }
        },
        [job](Call& later) {
          if (job->exception) return fail_with_exception(later, std::move(job->exception));
          if constexpr (std::is_void_v<Output>) {
            later.reply_empty();
          } else {
            answer(later, *job->result);
          }
        });
  }

 private:
  struct Job {
    Argument argument{};
    std::optional<Stored> result;
    std::exception_ptr exception;
  };
  F function_;
};

}  // namespace detail

template <class F>
std::shared_ptr<Handler> make_handler(F function, const HandlerOptions& options = {}) {
  using Output = typename detail::Signature<F>::Result;
  if constexpr (detail::IsAwaitable<Output>::value) {
    if (options.blocking)
      throw std::logic_error("a coroutine does not block: register it without HandlerOptions::blocking");
    return std::make_shared<detail::CoroutineHandler<F>>(std::move(function));
  } else {
    if (options.blocking) return std::make_shared<detail::BlockingHandler<F>>(std::move(function));
    return std::make_shared<detail::PlainHandler<F>>(std::move(function));
  }
}

}  // namespace wayport::rpc
