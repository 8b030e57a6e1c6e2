// PullQueue: many asynchronous pulls complete into one queue, in the order of their replies.
//
// Thread-safe: pulls may be started by several threads, and taken by several. Bounded: a pull reserves its place when
// it starts, so completions never have to wait or be dropped.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "wayport/rpc/session.h"

namespace wayport::rpc {

template <class R>
class PullQueue {
 public:
  struct Completion {
    std::uint64_t tag;  // what pull_into was given
    Reply<R> reply;
  };

  // At most `capacity` pulls that are outstanding or not yet taken.
  explicit PullQueue(std::size_t capacity = 65'536) : state_(std::make_shared<State>()) { state_->free = capacity; }

  // Waits for the next completion; nullopt after `wait`. Not on a loop thread.
  std::optional<Completion> next(Duration wait) {
    std::unique_lock lock(state_->mutex);
    if (!state_->ready.wait_for(lock, std::min<Duration>(wait, std::chrono::hours(24 * 365)),
                                [this] { return !state_->completions.empty(); }))
      return std::nullopt;
    return take();
  }
  // Without waiting.
  std::optional<Completion> try_next() {
    const std::lock_guard lock(state_->mutex);
    if (state_->completions.empty()) return std::nullopt;
    return take();
  }
  std::size_t ready() const {
    const std::lock_guard lock(state_->mutex);
    return state_->completions.size();
  }

 private:
  friend class Session;
  struct State {
    std::mutex mutex;
    std::condition_variable ready;
    std::deque<Completion> completions;
    std::size_t free = 0;
  };
  std::optional<Completion> take() {
    std::optional<Completion> first(std::move(state_->completions.front()));
    state_->completions.pop_front();
    ++state_->free;
    return first;
  }

  // Pulls that outlive the queue complete into the state alone.
  std::shared_ptr<State> state_;
};

template <class R, class A>
Result<void> Session::pull_into(PullQueue<R>& queue, std::uint64_t tag, std::string_view uri, const A& argument,
                                const CallOptions& options) const {
  {
    const std::lock_guard lock(queue.state_->mutex);
    if (queue.state_->free == 0) return fail(ErrorCode::overloaded, "the pull queue's capacity is reached");
    --queue.state_->free;
  }
  pull_async<R>(uri, argument, options, [state = queue.state_, tag](Reply<R> reply) {
    {
      const std::lock_guard lock(state->mutex);
      state->completions.push_back({tag, std::move(reply)});
    }
    state->ready.notify_one();
  });
  return {};
}

}  // namespace wayport::rpc
