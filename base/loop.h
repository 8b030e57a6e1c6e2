// Loop: one thread's event loop. Everything that belongs to a loop is called, and calls back, on its thread.
//
// A turn: wait -> fd events and posted work -> due timers -> turn-end nodes until none is left -> wait again. Output
// collected during a turn leaves at its end in one gathered write per stream, which is where the speed comes from.
//
// The loop keeps its descriptors in an epoll set of its own and sleeps in it. Once asio() was asked for, it sleeps in
// the io_context instead, with the set nested there as one descriptor: two system calls more per wake (loop.cc has
// figures), so pure RPC loops never pay for Asio. Idle descriptors cost the object that watches them and nothing here.
// Timers are intrusive nodes in one wheel behind one timerfd. A turn handles a bounded number of events
// (LoopOptions::events_per_turn_max), then flushes.
//
// Threads: post(), stop() and asio() from any thread; everything else on the loop's thread (the thread inside run() or
// run_turn(); before the first run and after the last, the one that constructs or destroys). Nodes unlink themselves
// when destroyed.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/intrusive_list.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/base/timer_wheel.h"

namespace boost::asio {
class io_context;
}

namespace wayport {

class Loop;

// Receives readiness of one descriptor. `events` is the EPOLL* mask.
class FdEvents {
 public:
  virtual void on_fd(std::uint32_t events) = 0;

 protected:
  ~FdEvents() = default;
};

// Work to be done once at the end of the current turn (or of the next one, when armed outside a turn).
class TurnEnd : public ListNode<TurnEnd> {
 public:
  virtual void on_turn_end() = 0;

 protected:
  ~TurnEnd() = default;  // unlinks
};

// Hears that its loop closes, while everything of the loop still works.
class LoopCloseHook : public ListNode<LoopCloseHook> {
 public:
  virtual void on_loop_close() noexcept = 0;

 protected:
  ~LoopCloseHook() = default;  // unlinks
};

enum class Interest : std::uint8_t {
  none = 0,  // hears nothing, not even that the peer is gone
  read = 1,
  write = 2,
  read_write = 3,
  broken = 4,  // only EPOLLERR and EPOLLHUP, when they come up: not in every turn
};

struct LoopOptions {
  Clock* clock = nullptr;                  // null: SystemClock. A ManualClock makes the loop a test loop (advance()).
  std::size_t events_per_turn_max = 256;   // descriptors served before output is flushed
  std::size_t posts_per_turn_max = 1024;   // posted functions run before output is flushed
  std::size_t scratch_bytes = 256 * 1024;  // per layer depth; at least 128 KiB
  unsigned index = 0;                      // position in a Runtime; names the thread and labels metrics
};

class Loop {
 public:
  explicit Loop(LoopOptions options = {});
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // --- time ---
  TimePoint now() const noexcept { return now_ != kUnread ? now_ : read_clock(); }  // read once per turn
  TimePoint exact_now() const noexcept;                                             // reads the clock, each time
  // Re-arming a node moves it. kNever disarms. Expiry is never early, and at most 2 ms late on an idle machine.
  void arm(Timer& node, TimePoint due) noexcept;
  void disarm(Timer& node) noexcept;

  // --- descriptors ---
  // Level-triggered, but for Interest::broken. The fd stays the caller's, and must be unwatched before it is closed.
  // `events` outlives the watch.
  Result<void> watch(int fd, Interest interest, FdEvents& events);
  Result<void> change(int fd, Interest interest, FdEvents& events);
  // After this no callback for `events` is made, not even for readiness already fetched in this turn.
  void unwatch(int fd, FdEvents& events) noexcept;

  // --- work ---
  // Runs `work` on the loop, in order per posting thread; any thread. What is left when the loop closes is destroyed
  // unrun. The queue has no bound: what is sent per message goes through a Mailbox, which has one.
  void post(std::move_only_function<void()> work);
  // FIFO; a node already queued stays where it is. Nodes queued by nodes run before the next poll.
  void at_turn_end(TurnEnd& node) noexcept;
  // Takes ownership and destroys at turn end: how an object leaves while one of its callbacks is on the stack.
  template <class T>
  void delete_later(std::unique_ptr<T> object) {
    if (object) delete_later(object.release(), [](void* p) { delete static_cast<T*>(p); });
  }
  // Read buffer of `scratch_bytes`, one per layer depth (0: the socket, 1: TLS over it, ...), lent until the callback
  // returns.
  MutableBytes scratch(unsigned depth);
  ChunkPool& chunks() noexcept { return ChunkPool::of_this_thread(); }

  // Signals, users' coroutines, anything that is not per message. Include <boost/asio/...> in the .cc that needs it. Do
  // not run it. Any thread; made at the first call, which makes each wake of this loop cost a little more from then on.
  boost::asio::io_context& asio() noexcept;

  // --- running ---
  void run();  // until stop()
  // Ends the current run(), or the next if none is running. Any thread; the current turn is finished.
  void stop() noexcept;
  // One turn, waiting at most `wait` for something to do. True if anything was done. For tests and embedding.
  bool run_turn(Duration wait = Duration::zero());
  // Test loops: runs turns until nothing is ready, then moves the ManualClock to the next due timer or by what is left
  // of `by`, and so on until `by` has passed. Never sleeps.
  void advance(Duration by);
  // Test loops: turns until one did nothing.
  void drain();

  void at_close(LoopCloseHook& node) noexcept;
  // The end: calls at_close() nodes, destroys what was posted, what waits in the io_context (suspended coroutines) and
  // what delete_later() holds, on the calling thread, which counts as the loop's now. Later posts are destroyed at
  // once. The destructor does it, too; those who own several loops close all of them before they destroy the first.
  void close() noexcept;

  unsigned index() const noexcept { return options_.index; }
  bool in_loop_thread() const noexcept;
  // The loop whose turn the calling thread is in, else null: blocking calls check it.
  static Loop* current() noexcept;

 private:
  static constexpr TimePoint kUnread = TimePoint::min();

  void delete_later(void* object, void (*destroy)(void*));
  TimePoint read_clock() const noexcept;

  struct Implementation;
  LoopOptions options_;
  mutable TimePoint now_;  // kUnread: not yet in this turn
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace wayport
