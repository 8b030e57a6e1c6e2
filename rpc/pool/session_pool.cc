#include "wayport/rpc/pool/session_pool.h"

#include <algorithm>
#include <atomic>
#include <list>
#include <optional>
#include <random>

#include "wayport/rpc/session_driver.h"

namespace wayport::rpc {

bool detail::may_repeat(PooledPull& pull, const Status& status, bool idempotent, bool session_healthy) noexcept {
  if (status.never_executed) {
    // On a session that goes on, the same refusal would come again.
    if (session_healthy || pull.repeats_left == 0) return false;
    --pull.repeats_left;
    return true;
  }
  if (!idempotent || pull.repeated_in_doubt || status.origin != Status::Origin::local) return false;
  if (status.code != code::kConnectionClosed && status.code != code::kWriteFailed) return false;
  pull.repeated_in_doubt = true;
  return true;
}

// On the loop, but for `open` and what is const.
struct SessionPool::State : std::enable_shared_from_this<State> {
  // One session that is kept: open, being dialled, or waiting for its back-off to pass.
  struct Slot final : Timer {
    Slot(State& pool, std::size_t index) : state(pool), next_address(index), backoff(pool.options.backoff) {}
    void on_timer() override { state.dial(*this); }

    State& state;
    Session session;
    std::string address;  // that is being dialled, or that the session is with
    TimePoint opened{};
    std::size_t next_address;
    Backoff backoff;
    std::shared_ptr<Canceler> dialing;
  };
  struct Waiting final : Timer {
    Waiting(State& pool, std::shared_ptr<detail::PooledPull> its_pull) : state(pool), pull(std::move(its_pull)) {}
    void on_timer() override { state.give_up(*this); }

    State& state;
    std::shared_ptr<detail::PooledPull> pull;
    TimePoint due{};
    std::list<Waiting>::iterator self;
  };

  State(Peer& its_peer, SessionPoolOptions given)
      : peer(its_peer),
        options(std::move(given)),
        loop(options.dial.loop ? *options.dial.loop
                               : (Loop::current() ? *Loop::current() : its_peer.runtime().next_loop())),
        random(options.seed != 0 ? options.seed : std::random_device{}()) {
    if (options.addresses.empty()) invalid = "SessionPoolOptions::addresses is empty";
    if (options.sessions == 0 || options.sessions > kSessionsMax) {
      invalid = "SessionPoolOptions::sessions must be 1 to " + std::to_string(kSessionsMax) + ", not " +
                std::to_string(options.sessions);
    }
  }

  void start() {
    if (!invalid.empty() || closed) return;
    for (std::size_t i = 0; i < options.sessions; ++i) slots.push_back(std::make_unique<Slot>(*this, i));
    for (const std::unique_ptr<Slot>& slot : slots) dial(*slot);
  }

  void dial(Slot& slot) {
    if (options.addresses.empty()) return;
    counters.dials.add();
    DialOptions how = options.dial;
    how.loop = &loop;
    how.session_id.clear();
    how.canceler = slot.dialing = std::make_shared<Canceler>();
    const std::string address = slot.address = options.addresses[slot.next_address++ % options.addresses.size()];
    peer.dial_async(address, std::move(how), [weak = weak_from_this(), &slot, address](Result<Session> session) {
      const std::shared_ptr<State> self = weak.lock();
      if (!self || self->closed) {
        if (session) session->close("its pool is gone");
        return;
      }
      slot.dialing.reset();
      if (!session) return self->retry(slot, address, session.error());
      if (!self->has(address)) {  // taken away meanwhile
        session->close("its address is no longer served");
        return self->dial(slot);
      }
      slot.opened = self->loop.now();
      slot.session = *session;
      self->open.fetch_add(1, std::memory_order_relaxed);
      session->on_closed([weak, &slot, held = session->driver().get()](const CloseReason&) {
        const std::shared_ptr<State> alive = weak.lock();
        if (alive && !alive->closed && slot.session && slot.session.driver().get() == held) alive->replace(slot);
      });
      if (self->options.on_open) self->options.on_open(slot.session);
      self->serve_waiting();
    });
  }
  bool has(const std::string& address) const {
    return std::ranges::find(options.addresses, address) != options.addresses.end();
  }
  void set_addresses(std::vector<std::string> addresses) {
    if (closed || !invalid.empty()) return;
    options.addresses = std::move(addresses);
    for (const std::unique_ptr<Slot>& slot : slots) {
      if (slot->dialing || (slot->session && has(slot->address))) continue;
      if (slot->session) {
        slot->session.close("its address is no longer served");
        slot->session = {};
        open.fetch_sub(1, std::memory_order_relaxed);
      }
      slot->unlink();
      slot->backoff.reset();
      dial(*slot);
    }
  }
  void retry(Slot& slot, const std::string& address, const Error& error) {
    counters.dials_failed.add();
    const Duration delay = slot.backoff.next(random());
    last_error = address + ": " + error.to_string();
    peer.runtime().log().write(log_limit, loop.now(), LogLevel::warning, "dial failed, will be tried again",
                               {{"address", address}, {"error", error}, {"after", delay}});
    loop.arm(slot, loop.now() + delay);
  }
  // The session is of no use any more; it ends by itself. One that did not last is dialled again after a delay, so that
  // a server that accepts and closes is not dialled in a circle.
  void replace(Slot& slot) {
    slot.session = {};
    open.fetch_sub(1, std::memory_order_relaxed);
    const TimePoint now = loop.now();
    if (now - slot.opened < options.backoff.min) {
      loop.arm(slot, now + slot.backoff.next(random()));
    } else {
      slot.backoff.reset();
      dial(slot);
    }
  }

  Session pick() {
    Session best;
    std::size_t fewest = 0;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      Slot& slot = *slots[(first + i) % slots.size()];
      if (!slot.session) continue;
      if (!slot.session.healthy()) {
        replace(slot);
        continue;
      }
      const std::size_t outstanding = slot.session.driver()->core().outstanding_calls();
      if (best && outstanding >= fewest) continue;
      best = slot.session;
      fewest = outstanding;
    }
    ++first;
    return best;
  }

  void submit(std::shared_ptr<detail::PooledPull> pull) {
    if (!invalid.empty()) return refuse(std::move(pull), code::kWriteFailed, invalid);
    if (closed) return refuse(std::move(pull), code::kCanceled, "the pool is closed");
    if (const Session session = pick()) return pull->start(session);
    if (waiting.size() >= options.waiting_max) {
      counters.pulls_refused.add();
      return refuse(std::move(pull), code::kServiceUnavailable,
                    "waiting_max reached: " + std::to_string(waiting.size()) + " pulls wait for a session" + why());
    }
    counters.pulls_waited.add();
    wait(std::move(pull), after(loop.now(), options.wait_max));
  }
  void wait(std::shared_ptr<detail::PooledPull> pull, TimePoint due) {
    Waiting& entry = waiting.emplace_back(*this, std::move(pull));
    entry.self = std::prev(waiting.end());
    entry.due = due;
    loop.arm(entry, due);
  }
  void give_up(Waiting& entry) {
    counters.pulls_refused.add();
    const std::shared_ptr<detail::PooledPull> pull = std::move(entry.pull);
    waiting.erase(entry.self);
    refuse(pull, code::kServiceUnavailable, "no session within wait_max " + format_duration(options.wait_max) + why());
  }
  void serve_waiting() {
    std::list<Waiting> all;
    all.swap(waiting);
    for (Waiting& entry : all) {
      entry.unlink();
      if (const Session session = pick()) {
        entry.pull->start(session);
      } else {
        wait(std::move(entry.pull), entry.due);
      }
    }
  }
  std::string why() const { return last_error.empty() ? std::string() : "; last dial: " + last_error; }
  // At turn end: a pull never ends from inside the call that makes it.
  void refuse(std::shared_ptr<detail::PooledPull> pull, std::int32_t code, std::string text) {
    loop.post([pull = std::move(pull), status = Status::not_executed(code, std::move(text))]() mutable {
      pull->fail(std::move(status));
    });
  }

  void close() {
    closed = true;
    for (const std::unique_ptr<Slot>& slot : slots) {
      slot->unlink();
      if (slot->dialing) slot->dialing->cancel();
      if (slot->session) slot->session.close("its pool is gone");
      slot->session = {};
    }
    open.store(0, std::memory_order_relaxed);
    std::list<Waiting> all;
    all.swap(waiting);
    for (Waiting& entry : all) {
      entry.unlink();
      refuse(std::move(entry.pull), code::kCanceled, "the pool is closed");
    }
  }

  Peer& peer;
  SessionPoolOptions options;
  Loop& loop;
  std::string invalid;
  std::mt19937_64 random;
  std::vector<std::unique_ptr<Slot>> slots;
  std::list<Waiting> waiting;
  std::size_t first = 0;
  std::string last_error;
  LogLimit log_limit;
  SessionPoolCounters counters;
  std::atomic<std::size_t> open{0};
  bool closed = false;
};

SessionPool::SessionPool(Peer& peer, SessionPoolOptions options)
    : state_(std::make_shared<State>(peer, std::move(options))) {
  state_->loop.post([state = state_] { state->start(); });
}

SessionPool::~SessionPool() {
  Loop& home = state_->loop;
  if (home.in_loop_thread()) {
    state_->close();
    return;
  }
  std::promise<void> done;
  home.post([this, &done] {
    state_->close();
    state_.reset();  // timers belong to the loop
    done.set_value();
  });
  done.get_future().wait();
}

void SessionPool::submit(const std::shared_ptr<State>& state, std::shared_ptr<detail::PooledPull> pull) {
  pull->repeats_left = static_cast<unsigned>(state->options.sessions) + 1;
  state->submit(std::move(pull));
}

void SessionPool::repeat(const std::weak_ptr<State>& state, std::shared_ptr<detail::PooledPull> pull, Status status) {
  const std::shared_ptr<State> alive = state.lock();
  if (!alive || alive->closed) return pull->fail(std::move(status));
  alive->counters.pulls_repeated.add();
  alive->submit(std::move(pull));
}

void SessionPool::set_addresses(std::vector<std::string> addresses) {
  state_->loop.post(
      [state = state_, addresses = std::move(addresses)]() mutable { state->set_addresses(std::move(addresses)); });
}

Session SessionPool::pick() { return state_->pick(); }
Loop& SessionPool::loop() const noexcept { return state_->loop; }
std::size_t SessionPool::open_sessions() const noexcept { return state_->open.load(std::memory_order_relaxed); }
const SessionPoolCounters& SessionPool::counters() const noexcept { return state_->counters; }

}  // namespace wayport::rpc
