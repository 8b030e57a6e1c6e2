#include "wayport/base/loop.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <mutex>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "wayport/base/socket.h"
#include "wayport/base/system_clock.h"

namespace wayport {
namespace {

constexpr unsigned kDepths = 8;
constexpr std::size_t kPageBytes = 4096;
// Nodes and objects served at one turn's end; those that re-queue themselves for ever must not starve the descriptors.
constexpr std::size_t kTurnEndsMax = 100'000;
// A test loop that is still busy after so many turns will never be idle.
constexpr std::size_t kDrainTurnsMax = 10'000'000;
constexpr Duration kForever = Duration::max();

using Work = std::move_only_function<void()>;

// The address of a thread's copy is the thread's identity: cheaper to compare than std::thread::id.
constinit thread_local Loop* current_loop = nullptr;

const void* this_thread() noexcept { return &current_loop; }

// Loop::current() while in a turn.
class InTurn {
 public:
  explicit InTurn(Loop* loop) noexcept : outer_(std::exchange(current_loop, loop)) {
    WAYPORT_ASSERT(outer_ != loop, "a loop is run from inside its own turn");
  }
  InTurn(const InTurn&) = delete;
  InTurn& operator=(const InTurn&) = delete;
  ~InTurn() { current_loop = outer_; }

 private:
  Loop* const outer_;
};

Clock* system_clock() noexcept {
  static SystemClock clock;
  return &clock;
}

std::uint32_t mask_of(Interest interest) noexcept {
  if (interest == Interest::broken) return EPOLLET;  // errors and hang-ups need not be asked for
  std::uint32_t mask = 0;
  if (static_cast<unsigned>(interest) & static_cast<unsigned>(Interest::read)) mask |= EPOLLIN | EPOLLRDHUP;
  if (static_cast<unsigned>(interest) & static_cast<unsigned>(Interest::write)) mask |= EPOLLOUT;
  return mask;
}

int milliseconds_up(Duration wait) noexcept {
  if (wait == kForever) return -1;
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  return static_cast<int>(std::clamp<std::int64_t>(rounded, 0, 1 << 30));
}

struct Deletion {
  void* object;
  void (*destroy)(void*);
};

}  // namespace

// How the loop sleeps, and what a wake for one readable socket costs (64-byte echo, one outstanding; loop_bench.cc,
// this repository's reference machine: 2 cores, clang 19 -O2):
//
//                           system calls                                              server CPU per frame
//   raw epoll               epoll_wait, recv, send                                    1.60 us
//   loop without Asio       the same                                                  1.70 us
//   loop with Asio          Asio's epoll_wait, the set's epoll_wait, recv, send,      2.47 us
//                           epoll_ctl to await the set again
//
// Over TCP a raw echo costs 6.5 us, which makes 2 % and 13 %. Asio's own set cannot be the inner one: an io_context
// that is merely polled does not make its descriptor readable when another thread posts to it.
struct Loop::Implementation {
  Implementation(Loop& owner, const LoopOptions& options)
      : loop(owner),
        clock(options.clock),
        manual(dynamic_cast<ManualClock*>(options.clock)),
        set(::epoll_create1(EPOLL_CLOEXEC)),
        wake_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        wheel(clock->now()),
        fetched(std::max<std::size_t>(options.events_per_turn_max, 1)),
        thread(this_thread()) {
    if (!set || !wake_fd) throw std::system_error(errno, std::system_category(), "Loop: epoll_create1 or eventfd");
    add_own(wake_fd.get(), &wake_fd);
    // Not at the first timer: that may be what has to wait until descriptors are to be had again.
    if (manual == nullptr) {
      timer_fd = Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
      if (!timer_fd) throw std::system_error(errno, std::system_category(), "Loop: timerfd_create");
      add_own(timer_fd.get(), &timer_fd);
    }
  }

  // Own descriptors are edge-triggered: a write or an expiry is seen once, and nobody has to read them.
  void add_own(int fd, void* tag) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = tag;
    if (::epoll_ctl(set.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      throw std::system_error(errno, std::system_category(), "Loop: epoll_ctl");
    }
  }

  // --- other threads ---

  void wake() noexcept {
    if (!sleeping.load() || !sleeping.exchange(false)) return;
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_fd.get(), &one, sizeof(one)));
  }

  void post(Work work) {
    {
      const std::lock_guard lock(mutex);
      if (!closed) {
        posted.push_back(std::move(work));
        has_posted.store(true);
      }
    }
    // `work` is destroyed here, outside the lock, if it was not taken. A loop never has to wake itself.
    if (current_loop != &loop) wake();
  }

  // --- one turn ---

  // True if a wait would be wrong now. Sets `sleeping`, so that whatever comes after the look wakes the loop: the other
  // side writes first and then looks at `sleeping`, this side the other way round (both sequentially consistent).
  bool must_not_sleep() {
    if (!turn_ends.empty() || !deletions.empty() || next_running != running.size()) return true;
    if (!set_timer()) return true;
    sleeping.store(true);
    if (has_posted.load() || stopping.load() || (asio != nullptr) != (asio_made.load() != nullptr)) {
      sleeping.store(false);
      return true;
    }
    return false;
  }

  // Makes the timerfd expire in time for the earliest timer; usually there is nothing to do, because timers are armed
  // for later than those that wait already. False: a timer is due.
  bool set_timer() {
    if (manual != nullptr) return due > clock->now();
    if (due >= timer_fd_due) return true;
    const Duration left = due - clock->now();
    if (left <= Duration::zero()) return false;
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    itimerspec spec{};
    spec.it_value.tv_sec = seconds.count();
    spec.it_value.tv_nsec = (left - seconds).count();
    ::timerfd_settime(timer_fd.get(), 0, &spec, nullptr);
    timer_fd_due = due;
    return true;
  }

  bool turn(Duration wait) {
    adopt_asio();
    if (wait > Duration::zero() && must_not_sleep()) wait = Duration::zero();
    bool did = false;
    int ready = 0;
    if (asio == nullptr) {
      ready = ::epoll_wait(set.get(), fetched.data(), static_cast<int>(fetched.size()), milliseconds_up(wait));
      if (wait != Duration::zero()) sleeping.store(false, std::memory_order_relaxed);
      loop.now_ = clock->now();
    } else {
      did = turn_asio(wait);
      // Without a wait nobody may have told whether the set is ready.
      if (set_ready || wait == Duration::zero()) {
        set_ready = false;
        ready = ::epoll_wait(set.get(), fetched.data(), static_cast<int>(fetched.size()), 0);
      }
      if (loop.now_ == kUnread) loop.read_clock();
    }
    did |= dispatch(ready);
    did |= run_posted();
    if (due <= loop.now_) {
      did |= wheel.expire(loop.now_) != 0;
      due = wheel.next_due();
    }
    if (timer_fd_due <= loop.now_) timer_fd_due = kNever;
    did |= end_turn();
    return did;
  }

  void adopt_asio() {
    if (asio != nullptr) return;
    asio = asio_made.load(std::memory_order_acquire);
    if (asio == nullptr) return;
    asio_work.emplace(asio->get_executor());
    set_in_asio.emplace(*asio, set.get());
  }

  // Runs one handler of the io_context; the set's own readiness is one. A handler that asks for the time gets it read
  // after the sleep.
  bool turn_asio(Duration wait) {
    if (!set_awaited) {
      set_awaited = true;
      set_in_asio->async_wait(boost::asio::posix::stream_descriptor::wait_read,
                              [this](const boost::system::error_code& error) {
                                set_awaited = false;
                                set_ready = !error;
                              });
    }
    loop.now_ = kUnread;
    std::size_t ran = 0;
    if (wait == Duration::zero()) {
      ran = asio->poll_one();
    } else {
      ran = wait == kForever ? asio->run_one() : asio->run_one_for(wait);
      sleeping.store(false, std::memory_order_relaxed);
    }
    return ran != 0 && !set_ready;
  }

  bool dispatch(int ready) {
    bool did = false;
    fetched_end = ready > 0 ? static_cast<std::size_t>(ready) : 0;
    for (fetched_next = 0; fetched_next < fetched_end;) {
      const epoll_event event = fetched[fetched_next++];
      void* const tag = event.data.ptr;
      if (tag == nullptr || tag == &wake_fd || tag == &timer_fd) continue;
      did = true;
      static_cast<FdEvents*>(tag)->on_fd(event.events);
    }
    fetched_next = fetched_end = 0;
    return did;
  }

  bool run_posted() {
    if (next_running == running.size()) {
      running.clear();
      next_running = 0;
      if (!has_posted.load(std::memory_order_relaxed)) return false;
      const std::lock_guard lock(mutex);
      running.swap(posted);
      has_posted.store(false);
    }
    const std::size_t end =
        std::min(running.size(), next_running + std::max<std::size_t>(loop.options_.posts_per_turn_max, 1));
    const bool did = next_running != end;
    while (next_running != end) {
      Work work = std::move(running[next_running++]);
      work();
    }
    return did;
  }

  bool end_turn() {
    std::size_t served = 0;
    while (served < kTurnEndsMax) {
      if (TurnEnd* node = turn_ends.pop_front()) {
        node->on_turn_end();
      } else if (!deletions.empty()) {
        delete_all();
      } else {
        break;
      }
      ++served;
    }
    return served != 0;
  }

  void delete_all() {
    deleting.swap(deletions);
    for (const Deletion& deletion : deleting) deletion.destroy(deletion.object);
    deleting.clear();
  }

  Loop& loop;
  Clock* const clock;
  ManualClock* const manual;
  Fd set;
  Fd wake_fd;
  Fd timer_fd;

  TimerWheel wheel;
  TimePoint due = kNever;           // no timer is due earlier
  TimePoint timer_fd_due = kNever;  // what the timerfd is set to

  std::vector<epoll_event> fetched;
  std::size_t fetched_next = 0;
  std::size_t fetched_end = 0;

  List<TurnEnd> turn_ends;
  List<LoopCloseHook> close_hooks;
  std::vector<Deletion> deletions;
  std::vector<Deletion> deleting;
  std::array<std::byte*, kDepths> scratch{};

  std::mutex mutex;  // of the next three
  std::vector<Work> posted;
  bool closed = false;
  std::unique_ptr<boost::asio::io_context> asio_owner;

  std::atomic<bool> has_posted{false};
  std::atomic<bool> sleeping{false};
  std::atomic<bool> stopping{false};
  std::atomic<boost::asio::io_context*> asio_made{nullptr};
  std::atomic<const void*> thread;

  std::vector<Work> running;
  std::size_t next_running = 0;

  boost::asio::io_context* asio = nullptr;  // asio_made, once the loop sleeps in it
  // An io_context without work counts as stopped, and would not sleep.
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> asio_work;
  std::optional<boost::asio::posix::stream_descriptor> set_in_asio;
  bool set_awaited = false;
  bool set_ready = false;
};

Loop::Loop(LoopOptions options) : options_(options) {
  if (options_.clock == nullptr) options_.clock = system_clock();
  WAYPORT_ASSERT(options_.scratch_bytes >= 128 * 1024, "LoopOptions::scratch_bytes is at least 128 KiB");
  now_ = options_.clock->now();
  implementation_ = std::make_unique<Implementation>(*this, options_);
}

Loop::~Loop() {
  close();
  for (std::byte* block : implementation_->scratch) {
    if (block != nullptr) ::operator delete(block, std::align_val_t(kPageBytes));
  }
}

TimePoint Loop::exact_now() const noexcept { return options_.clock->now(); }
TimePoint Loop::read_clock() const noexcept { return now_ = options_.clock->now(); }

void Loop::arm(Timer& node, TimePoint due) noexcept {
  if (due == kNever) {
    implementation_->wheel.disarm(node);
    return;
  }
  implementation_->wheel.arm(node, due);
  if (due < implementation_->due) {
    implementation_->due = std::min(implementation_->due, implementation_->wheel.fires_at(due));
  }
}

void Loop::disarm(Timer& node) noexcept { implementation_->wheel.disarm(node); }

Result<void> Loop::watch(int fd, Interest interest, FdEvents& events) {
  if (interest == Interest::none) return {};
  epoll_event event{};
  event.events = mask_of(interest);
  event.data.ptr = &events;
  if (::epoll_ctl(implementation_->set.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail(system_error(errno, "epoll_ctl(ADD) of descriptor " + std::to_string(fd)));
  }
  return {};
}

// A descriptor of which nothing is wanted leaves the set: epoll would report its errors and hang-ups in every turn.
Result<void> Loop::change(int fd, Interest interest, FdEvents& events) {
  if (interest == Interest::none) {
    unwatch(fd, events);
    return {};
  }
  epoll_event event{};
  event.events = mask_of(interest);
  event.data.ptr = &events;
  if (::epoll_ctl(implementation_->set.get(), EPOLL_CTL_MOD, fd, &event) == 0) return {};
  if (errno == ENOENT) return watch(fd, interest, events);
  return fail(system_error(errno, "epoll_ctl(MOD) of descriptor " + std::to_string(fd)));
}

void Loop::unwatch(int fd, FdEvents& events) noexcept {
  ::epoll_ctl(implementation_->set.get(), EPOLL_CTL_DEL, fd, nullptr);  // fails if nothing was wanted
  for (std::size_t i = implementation_->fetched_next; i < implementation_->fetched_end; ++i) {
    if (implementation_->fetched[i].data.ptr == &events) implementation_->fetched[i].data.ptr = nullptr;
  }
}

void Loop::post(std::move_only_function<void()> work) { implementation_->post(std::move(work)); }

void Loop::at_turn_end(TurnEnd& node) noexcept {
  if (!node.linked()) implementation_->turn_ends.push_back(node);
}

void Loop::delete_later(void* object, void (*destroy)(void*)) {
  implementation_->deletions.push_back({object, destroy});
}

MutableBytes Loop::scratch(unsigned depth) {
  WAYPORT_ASSERT(depth < kDepths, "more than 8 layers of streams");
  std::byte*& block = implementation_->scratch[depth];
  if (block == nullptr) {
    block = static_cast<std::byte*>(::operator new(options_.scratch_bytes, std::align_val_t(kPageBytes)));
  }
  return {block, options_.scratch_bytes};
}

boost::asio::io_context& Loop::asio() noexcept {
  if (boost::asio::io_context* made = implementation_->asio_made.load(std::memory_order_acquire)) return *made;
  boost::asio::io_context* made = nullptr;
  {
    const std::lock_guard lock(implementation_->mutex);
    WAYPORT_ASSERT(!implementation_->closed, "asio() of a closed loop");
    if (!implementation_->asio_owner) implementation_->asio_owner = std::make_unique<boost::asio::io_context>(1);
    made = implementation_->asio_owner.get();
    implementation_->asio_made.store(made);
  }
  implementation_->wake();
  return *made;
}

void Loop::run() {
  const InTurn in_turn(this);
  implementation_->thread.store(this_thread(), std::memory_order_relaxed);
  while (!implementation_->stopping.load(std::memory_order_relaxed)) implementation_->turn(kForever);
  implementation_->stopping.store(false);
}

void Loop::stop() noexcept {
  implementation_->stopping.store(true);
  implementation_->wake();
}

bool Loop::run_turn(Duration wait) {
  const InTurn in_turn(this);
  implementation_->thread.store(this_thread(), std::memory_order_relaxed);
  return implementation_->turn(wait);
}

void Loop::drain() {
  for (std::size_t turns = 0; run_turn(); ++turns) {
    WAYPORT_ASSERT(turns < kDrainTurnsMax, "the loop never becomes idle");
  }
}

void Loop::advance(Duration by) {
  ManualClock* const clock = implementation_->manual;
  WAYPORT_ASSERT(clock != nullptr, "advance() needs a loop with a ManualClock");
  const TimePoint target = clock->now() + by;
  drain();
  while (implementation_->due <= target) {
    clock->set(std::max(implementation_->due, clock->now()));
    drain();
  }
  clock->set(target);
  drain();
}

void Loop::close() noexcept {
  Implementation& self = *implementation_;
  const InTurn in_turn(this);
  self.thread.store(this_thread(), std::memory_order_relaxed);
  {
    const std::lock_guard lock(self.mutex);
    self.closed = true;
  }
  self.running.clear();
  self.next_running = 0;
  std::vector<Work> dropped;
  {
    const std::lock_guard lock(self.mutex);
    dropped.swap(self.posted);
    self.has_posted.store(false);
  }
  dropped.clear();
  while (LoopCloseHook* hook = self.close_hooks.pop_front()) hook->on_loop_close();
  if (self.set_in_asio) {
    self.set_in_asio->release();
    self.set_in_asio.reset();
    self.asio_work.reset();
  }
  // Suspended coroutines are destroyed by it; what they own may still use the loop.
  self.asio_owner.reset();
  self.asio_made.store(nullptr);
  self.asio = nullptr;
  while (!self.deletions.empty()) self.delete_all();
  self.turn_ends.clear();
}

bool Loop::in_loop_thread() const noexcept {
  return implementation_->thread.load(std::memory_order_relaxed) == this_thread();
}

void Loop::at_close(LoopCloseHook& node) noexcept { implementation_->close_hooks.push_back(node); }

Loop* Loop::current() noexcept { return current_loop; }

}  // namespace wayport
