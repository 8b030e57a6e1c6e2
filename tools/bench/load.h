// What every client of the benchmarks has in common: when requests go out, how replies are timed, what a round gives.
//
//   closed loop   `outstanding` requests are under way at any time; each reply sends the next request
//   open loop     `rate` requests per second are due at fixed times, whatever the replies do. Latency counts from the
//   time
//                 at which a request was due, so that a stall is seen by all requests that it delayed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/tools/bench/histogram.h"

namespace wayport::tools {

struct Load {
  std::size_t outstanding = 1;
  double rate = 0;  // above 0: open loop
  Duration time{0};
};

struct Round {
  std::uint64_t messages = 0;  // replies that were as they should be
  std::uint64_t wrong = 0;     // replies that were not
  std::uint64_t failed = 0;    // requests without a reply
  std::uint64_t sum = 0;       // of what was in the replies: the work cannot be optimised away
  double seconds = 0;          // first request to last reply
  Histogram latency;           // ns
};

// One connection to a server that answers. run() returns when all replies are there. Not on a loop thread.
class LoadClient {
 public:
  virtual ~LoadClient() = default;
  virtual Result<Round> run(const Load& load) = 0;
  // Bytes of one request and of its reply, for the comparison with frames of equal size.
  virtual std::size_t request_bytes() const = 0;
  virtual std::size_t reply_bytes() const = 0;
};

// CLOCK_MONOTONIC; one clock for all clients.
std::uint64_t now_ns() noexcept;

// Paces one round. The client sends a request with send(due) whenever told to; the numbers come from here.
class Pacer {
 public:
  Pacer(const Load& load, std::uint64_t now) noexcept;

  // How many requests to send now, and when the oldest of them was due. Open loop: those whose time has come.
  // Closed loop: `outstanding` at the first call, none later.
  template <class Send>
  void send_due(std::uint64_t now, Send&& send) {
    if (interval_ns_ == 0) {
      if (started_) return;
      started_ = true;
      for (std::size_t i = 0; i < outstanding_max_; ++i) begin(now, send);
      return;
    }
    while (next_due_ <= now && next_due_ < end_) {
      begin(next_due_, send);
      ++sent_;
      next_due_ = start_ + static_cast<std::uint64_t>(static_cast<double>(sent_) * interval_ns_);
    }
    if (next_due_ >= end_) all_sent_ = true;
  }

  // A reply to a request that was due at `due`, which is right if it brought what was expected. Sends the next one, in
  // a closed loop.
  template <class Send>
  void reply(std::uint64_t due, bool right, std::uint64_t content, Send&& send) {
    const std::uint64_t now = now_ns();
    round_.latency.add(now - due);
    round_.sum += content;
    ++(right ? round_.messages : round_.wrong);
    last_ = now;
    --under_way_;
    if (interval_ns_ != 0) return;
    if (now < end_) {
      begin(now, send);
    } else {
      all_sent_ = true;
    }
  }
  // A request will never be answered.
  void failed() noexcept {
    ++round_.failed;
    --under_way_;
    all_sent_ = true;
  }

  bool open() const noexcept { return interval_ns_ != 0; }
  bool all_sent() const noexcept { return all_sent_; }
  bool done() const noexcept { return all_sent_ && under_way_ == 0; }
  // Open loop: when send_due() has something to do next.
  std::uint64_t next_due() const noexcept { return next_due_; }
  Round finish();

 private:
  template <class Send>
  void begin(std::uint64_t due, Send& send) {
    ++under_way_;
    send(due);
  }

  std::size_t outstanding_max_;
  double interval_ns_;
  std::uint64_t start_;
  std::uint64_t end_;
  std::uint64_t last_;
  std::uint64_t next_due_;
  std::uint64_t sent_ = 0;
  std::size_t under_way_ = 0;
  bool started_ = false;
  bool all_sent_ = false;
  Round round_;
};

// A timerfd, because requests of an open loop are due between the ticks of a loop's timers.
class PaceTimer {
 public:
  PaceTimer();
  int fd() const noexcept { return fd_.get(); }
  // Becomes readable at `at` (now_ns() time), or soon after if that is too near.
  void arm(std::uint64_t at);
  void clear() noexcept;  // reads what makes it readable

 private:
  Fd fd_;
};

// A PaceTimer watched by a Loop, for the clients that run on one.
class LoopPace final : private FdEvents {
 public:
  LoopPace(Loop& loop, std::function<void()> on_due);
  ~LoopPace();
  LoopPace(const LoopPace&) = delete;
  LoopPace& operator=(const LoopPace&) = delete;
  void arm(std::uint64_t at) { timer_.arm(at); }

 private:
  void on_fd(std::uint32_t events) override;

  Loop& loop_;
  PaceTimer timer_;
  std::function<void()> on_due_;
};

}  // namespace wayport::tools
