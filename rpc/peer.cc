#include "wayport/rpc/peer.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <unordered_set>

#include "wayport/base/task_group.h"
#include "wayport/rpc/guard.h"
#include "wayport/rpc/session_table.h"
#include "wayport/transport/default_transports.h"

namespace wayport::rpc {
namespace {

using transport::Address;
using transport::Dial;
using transport::Incoming;
using transport::Listener;
using transport::Stream;
using transport::Transports;

// How long coroutine handlers that were canceled get before a close gives up on them.
constexpr Duration kCancelTime = std::chrono::seconds(1);

// What all loops share. Owned together by the peer and by everything that may call back.
struct Shared {
  explicit Shared(PeerOptions peer_options, const Transports& given)
      : options(std::move(peer_options)),
        transports(given),
        session_options(std::make_shared<const SessionOptions>(options.session)),
        table([this](const std::shared_ptr<SessionDriver>& session) {
          if (!options.on_session_closed) return;
          guarded(session->environment().session.log, "on_session_closed",
                  [&] { options.on_session_closed(Session(session), session->core().close_reason()); });
        }) {}

  const PeerOptions options;
  const Transports transports;
  const std::shared_ptr<const SessionOptions> session_options;
  framing::CodecRegistry codecs;
  RouterCore router;
  SessionTable table;
  std::atomic<bool> closing{false};
};

// One dial in progress. Whoever sets `over` reports its outcome.
struct PendingDial {
  std::unique_ptr<Dial> dial;
  std::move_only_function<void(Result<Session>)> done;
  std::shared_ptr<Canceler> canceler;
  bool over = false;
};

// One loop's share of a peer; on its loop, but for the counters.
struct LoopState {
  LoopState(Loop& its_loop, Runtime& runtime, std::shared_ptr<Shared> all)
      : shared(std::move(all)),
        context{shared->codecs},
        tasks(its_loop, runtime.log(), "handlers"),
        environment{its_loop,
                    context,
                    {context, shared->router, counters, runtime.log(), protocol_errors, handler_errors},
                    tasks,
                    shared->options.coroutines_per_loop_max,
                    runtime.workers(),
                    shared->table} {}

  const std::shared_ptr<Shared> shared;
  framing::ProtocolContext context;
  SessionCounters counters;
  LogLimit protocol_errors;
  LogLimit handler_errors;
  TaskGroup tasks;
  LoopEnvironment environment;
  std::unordered_set<std::shared_ptr<PendingDial>> dials;
};

void end_dial(LoopState& state, const std::shared_ptr<PendingDial>& pending, Result<Session> result) {
  if (std::exchange(pending->over, true)) return;
  // The dial may be what calls: it goes at turn end.
  state.environment.loop.delete_later(std::move(pending->dial));
  state.dials.erase(pending);
  if (pending->canceler) pending->canceler->unbind();
  guarded(state.environment.session.log, "dial", [&] { std::exchange(pending->done, {})(std::move(result)); });
}

void cancel_dials(LoopState& state) {
  for (const std::shared_ptr<PendingDial>& pending : std::vector(state.dials.begin(), state.dials.end())) {
    end_dial(state, pending, fail(ErrorCode::local_closed, "the peer is closing"));
  }
}

// The text of an address that tells sessions apart: without scheme.
std::string default_id(const SocketAddress& address) { return address.to_string(); }

Session adopt(const std::shared_ptr<LoopState>& state, std::unique_ptr<Stream> stream,
              std::shared_ptr<const SessionOptions> options, std::string id, bool chosen) {
  std::shared_ptr<LoopEnvironment> environment(state, &state->environment);
  const std::shared_ptr<SessionDriver> driver =
      SessionDriver::create(std::move(stream), std::move(environment), std::move(options), {});
  state->shared->table.add(driver, std::move(id), chosen);
  Session session(driver);
  if (state->shared->options.on_session) {
    guarded(state->environment.session.log, "on_session", [&] { state->shared->options.on_session(session); });
  }
  driver->start();
  // One that came while the peer began to close was not told.
  if (state->shared->closing.load()) {
    driver->begin_close(CloseReason::local(ErrorCode::local_closed, "the peer is closing"));
  }
  return session;
}

// Runs `work` on the loop and waits for it; directly when called there.
void run_on(Loop& loop, std::move_only_function<void()> work) {
  if (loop.in_loop_thread()) return work();
  std::promise<void> done;
  loop.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace

struct Peer::Implementation {
  Implementation(Runtime& its_runtime, PeerOptions options)
      : runtime(its_runtime),
        shared(std::make_shared<Shared>(std::move(options), options.transports
                                                                ? *options.transports
                                                                : transport::default_transports(&its_runtime.log()))) {
    for (std::size_t i = 0; i < runtime.loop_count(); ++i) {
      Loop& loop = runtime.loop(i);
      run_on(loop, [&] { loops.push_back(std::make_shared<LoopState>(loop, runtime, shared)); });
    }
  }

  std::shared_ptr<LoopState> state_of(const Loop& loop) const {
    for (const std::shared_ptr<LoopState>& state : loops) {
      if (&state->environment.loop == &loop) return state;
    }
    return nullptr;
  }

  Result<void> listen_on(const ListenAt& at);
  void stop_listening() {
    run_on(runtime.loop(0), [this] { listeners.clear(); });
  }

  Runtime& runtime;
  const std::shared_ptr<Shared> shared;
  std::vector<std::shared_ptr<LoopState>> loops;
  std::vector<std::unique_ptr<Listener>> listeners;  // on loop 0
  std::vector<std::string> addresses;
  bool started = false;
};

namespace {

// One graceful end. Lives on loop 0 and keeps itself alive until it is done.
class CloseOperation final : public Timer, public std::enable_shared_from_this<CloseOperation> {
 public:
  CloseOperation(std::vector<std::shared_ptr<LoopState>> loops, Log& log, std::move_only_function<void()> done)
      : loops_(std::move(loops)), home_(loops_.front()->environment.loop), log_(log), done_(std::move(done)) {}

  void start(bool graceful) {
    self_ = shared_from_this();
    Duration longest{0};
    for (const std::shared_ptr<SessionDriver>& session : table().all()) {
      longest = std::max(longest, std::min<Duration>(session->options().close_timeout, std::chrono::hours(24 * 365)));
      SessionDriver& driver = *session;
      driver.on_loop([&driver, graceful] {
        CloseReason why = CloseReason::local(ErrorCode::local_closed, "the peer is closing");
        graceful ? driver.begin_close(std::move(why)) : driver.core().abort(std::move(why));
      });
    }
    if (!graceful) cancel_handlers();
    home_.arm(*this, home_.now() + (graceful ? longest : Duration::zero()) + kCancelTime);
    table().when_empty([self = self_] { self->home_.post([self] { self->finish(); }); });
  }

 private:
  SessionTable& table() { return loops_.front()->shared->table; }

  void cancel_handlers() {
    for (const std::shared_ptr<LoopState>& state : loops_) {
      state->environment.loop.post([state] { state->tasks.cancel(); });
    }
  }
  void on_timer() override {
    if (!std::exchange(canceled_, true)) {
      for (const std::shared_ptr<SessionDriver>& session : table().all()) {
        SessionDriver& driver = *session;
        driver.on_loop([&driver] {
          driver.core().abort(CloseReason::local(ErrorCode::local_closed, "the peer's close_timeout is over"));
        });
      }
      cancel_handlers();
      home_.arm(*this, home_.now() + kCancelTime);
      return;
    }
    log_.write(
        LogLevel::error, "close gives up on handlers that do not end",
        {{"sessions", table().size()}, {"advice", "a blocking handler or a coroutine ignores its cancellation"}});
    finish();
  }
  void finish() {
    unlink();
    const std::shared_ptr<CloseOperation> keep = std::move(self_);
    if (!keep) return;
    loops_.clear();  // here, on a loop: what goes with them belongs to loops
    guarded(log_, "close", [this] { std::exchange(done_, {})(); });
  }

  std::vector<std::shared_ptr<LoopState>> loops_;
  Loop& home_;  // loop 0
  Log& log_;
  std::move_only_function<void()> done_;
  std::shared_ptr<CloseOperation> self_;
  bool canceled_ = false;
};

}  // namespace

Peer::Peer(Runtime& runtime, PeerOptions options)
    : implementation_(std::make_unique<Implementation>(runtime, std::move(options))) {}

Peer::~Peer() {
  Implementation& all = *implementation_;
  Loop& home = all.runtime.loop(0);
  all.shared->closing.store(true);
  all.stop_listening();
  for (const std::shared_ptr<LoopState>& state : all.loops) {
    run_on(state->environment.loop, [&state] { cancel_dials(*state); });
  }
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> finished = done->get_future();
  auto operation = std::make_shared<CloseOperation>(all.loops, all.runtime.log(), [done] { done->set_value(); });
  run_on(home, [&] { operation->start(false); });
  // A loop that the caller drives itself (tests) has nobody else to turn it.
  constexpr int kTurnsMax = 1000;
  for (int turn = 0; home.in_loop_thread() && turn < kTurnsMax; ++turn) {
    if (finished.wait_for(std::chrono::seconds(0)) == std::future_status::ready) break;
    home.run_turn();
  }
  if (!home.in_loop_thread()) finished.wait();
  operation.reset();
  for (std::shared_ptr<LoopState>& state : all.loops) {
    Loop& loop = state->environment.loop;
    run_on(loop, [&state] { state.reset(); });
  }
}

Router Peer::router() { return Router(implementation_->shared->router); }
framing::CodecRegistry& Peer::codecs() { return implementation_->shared->codecs; }
Runtime& Peer::runtime() noexcept { return implementation_->runtime; }
std::vector<std::string> Peer::addresses() const { return implementation_->addresses; }
const SessionCounters& Peer::counters(std::size_t loop_index) const {
  return implementation_->loops.at(loop_index)->counters;
}

Result<void> Peer::start() {
  Implementation& all = *implementation_;
  if (all.started) return fail(ErrorCode::invalid_argument, "the peer is started already");
  all.started = true;
  all.shared->router.freeze();
  Result<void> outcome;
  run_on(all.runtime.loop(0), [&] {
    for (const ListenAt& at : all.shared->options.listen) {
      outcome = all.listen_on(at);
      if (!outcome) {
        all.listeners.clear();
        all.addresses.clear();
        return;
      }
    }
  });
  return outcome;
}

Result<void> Peer::Implementation::listen_on(const ListenAt& at) {
  WAYPORT_TRY_ASSIGN(const Address address, Address::parse(at.address));
  transport::ListenOptions options = shared->options.listen_options;
  if (!options.log) options.log = &runtime.log();
  if (options.loops.empty()) {
    for (std::size_t i = 0; i < runtime.loop_count(); ++i) options.loops.push_back(&runtime.loop(i));
  }
  Result<std::unique_ptr<Listener>> listener = shared->transports.listen(runtime.loop(0), address, options);
  if (!listener) {
    Error error = std::move(listener.error());
    error.detail = "cannot listen on " + address.to_log() + ": " + error.detail;
    return fail(std::move(error));
  }
  std::shared_ptr<const SessionOptions> session =
      at.session ? std::make_shared<const SessionOptions>(*at.session) : shared->session_options;
  (*listener)->start([states = loops, session](std::unique_ptr<Incoming> incoming) {
    Loop* const loop = Loop::current();
    for (const std::shared_ptr<LoopState>& state : states) {
      if (&state->environment.loop != loop) continue;
      const Shared& peer = *state->shared;
      if (peer.closing.load(std::memory_order_relaxed)) {
        return incoming->reject({ErrorCode::local_closed, "the peer is closing", {}});
      }
      if (peer.table.size() >= peer.options.sessions_max) {
        return incoming->reject(
            {ErrorCode::overloaded, "sessions_max reached: " + std::to_string(peer.table.size()), {}});
      }
      std::string id = default_id(incoming->peer().remote);
      static_cast<void>(adopt(state, incoming->accept(), session, std::move(id), false));
      return;
    }
    incoming->reject({ErrorCode::internal, "accepted on a loop that is not the runtime's", {}});
  });
  addresses.push_back((*listener)->address().to_string());
  listeners.push_back(*std::move(listener));
  return {};
}

void Peer::dial_async(std::string_view address_text, DialOptions options,
                      std::move_only_function<void(Result<Session>)> done) {
  Implementation& all = *implementation_;
  Loop* const current = Loop::current();
  std::shared_ptr<LoopState> state;
  if (options.loop) {
    state = all.state_of(*options.loop);
    if (!state) {
      options.loop->post([done = std::move(done)]() mutable {
        done(fail(ErrorCode::invalid_argument, "DialOptions::loop is not one of the peer's runtime"));
      });
      return;
    }
  }
  if (!state && current) state = all.state_of(*current);
  if (!state) state = all.state_of(all.runtime.next_loop());
  Loop& loop = state->environment.loop;
  Result<Address> address = Address::parse(address_text);
  if (!address) {
    loop.post([done = std::move(done), error = std::move(address.error())]() mutable { done(fail(std::move(error))); });
    return;
  }
  std::shared_ptr<const SessionOptions> session_options =
      options.session ? std::make_shared<const SessionOptions>(*options.session) : all.shared->session_options;
  // Posted even on the loop itself: `done` never runs from inside this call.
  loop.post([state, session_options = std::move(session_options), address = *std::move(address),
             options = std::move(options), done = std::move(done)]() mutable {
    if (state->shared->closing.load()) return done(fail(ErrorCode::local_closed, "the peer is closing"));
    const auto pending = std::make_shared<PendingDial>();
    pending->done = std::move(done);
    pending->canceler = options.canceler;
    state->dials.insert(pending);
    if (options.canceler) {
      options.canceler->bind([home = std::weak_ptr(state), weak = std::weak_ptr(pending)] {
        const std::shared_ptr<LoopState> its = home.lock();
        if (!its) return;
        Loop& its_loop = its->environment.loop;
        its_loop.post([its, weak] {
          const std::shared_ptr<PendingDial> alive = weak.lock();
          if (alive) end_dial(*its, alive, fail(ErrorCode::canceled, "the dial was canceled"));
        });
      });
    }
    transport::DialOptions dial_options;
    dial_options.timeout = options.timeout;
    dial_options.stream = options.stream;
    pending->dial = state->shared->transports.dial(
        state->environment.loop, address, dial_options,
        [state, weak = std::weak_ptr(pending), session_options = std::move(session_options),
         id = std::move(options.session_id)](Result<std::unique_ptr<Stream>> stream) mutable {
          // A dial that was canceled in this turn goes only at its end, and may still call.
          const std::shared_ptr<PendingDial> self = weak.lock();
          if (!self || self->over) return;
          if (!stream) return end_dial(*state, self, fail(std::move(stream.error())));
          const bool chosen = !id.empty();
          if (!chosen) id = default_id((*stream)->peer().local);
          end_dial(*state, self, adopt(state, *std::move(stream), std::move(session_options), std::move(id), chosen));
        });
  });
}

namespace {

// A dial whose awaiting coroutine was canceled may still succeed; nobody would hold that session.
struct Awaited {
  std::mutex mutex;
  bool abandoned = false;
  Session session;
};

}  // namespace

boost::asio::awaitable<Result<Session>> Peer::dial(std::string address, DialOptions options) {
  if (!options.canceler) options.canceler = std::make_shared<Canceler>();
  const std::shared_ptr<Canceler> canceler = options.canceler;
  const auto awaited = std::make_shared<Awaited>();
  Result<Result<Session>> session = co_await async_callback<Result<Session>>([&](Completion<Result<Session>> done) {
    dial_async(address, options, [awaited, done = std::move(done)](Result<Session> outcome) mutable {
      if (outcome) {
        const std::lock_guard lock(awaited->mutex);
        awaited->session = *outcome;
        if (awaited->abandoned) return outcome->abort("its dial was canceled");
      }
      done(std::move(outcome));
    });
    return [canceler] { canceler->cancel(); };
  });
  if (session) co_return *std::move(session);
  {
    const std::lock_guard lock(awaited->mutex);
    awaited->abandoned = true;
    if (awaited->session) awaited->session.abort("its dial was canceled");
  }
  co_return fail(std::move(session.error()));
}

Result<Session> Peer::dial_blocking(std::string_view address, DialOptions options) {
  if (Loop::current()) {
    return fail(ErrorCode::invalid_argument, "a blocking dial on a loop thread would wait for itself: await dial()");
  }
  std::promise<Result<Session>> promise;
  std::future<Result<Session>> future = promise.get_future();
  dial_async(address, std::move(options),
             [&promise](Result<Session> session) { promise.set_value(std::move(session)); });
  return future.get();
}

Result<Session> Peer::wrap(std::unique_ptr<Stream> stream, std::optional<SessionOptions> options,
                           std::string session_id) {
  const std::shared_ptr<LoopState> state = implementation_->state_of(stream->loop());
  if (implementation_->shared->closing.load()) return fail(ErrorCode::local_closed, "the peer is closing");
  if (!state) return fail(ErrorCode::invalid_argument, "the stream's loop is not one of the peer's runtime");
  std::shared_ptr<const SessionOptions> session_options =
      options ? std::make_shared<const SessionOptions>(*std::move(options)) : state->shared->session_options;
  const bool chosen = !session_id.empty();
  if (!chosen) session_id = default_id(stream->peer().remote);
  return adopt(state, std::move(stream), std::move(session_options), std::move(session_id), chosen);
}

Session Peer::find(std::string_view id) const { return Session(implementation_->shared->table.find(id)); }
std::size_t Peer::session_count() const { return implementation_->shared->table.live(); }
void Peer::for_each(const std::function<void(const Session&)>& visit) const {
  for (const std::shared_ptr<SessionDriver>& session : implementation_->shared->table.all()) visit(Session(session));
}

boost::asio::awaitable<void> Peer::close() {
  static_cast<void>(co_await async_callback<bool>(
      [this](Completion<bool> done) { close_async([done = std::move(done)]() mutable { done(true); }); }));
}

void Peer::close_blocking() {
  WAYPORT_ASSERT(!Loop::current(), "close_blocking on a loop thread would wait for itself");
  std::promise<void> closed;
  std::future<void> future = closed.get_future();
  close_async([&closed] { closed.set_value(); });
  future.wait();
}

void Peer::close_async(std::move_only_function<void()> done) {
  Implementation& all = *implementation_;
  all.shared->closing.store(true);
  auto operation = std::make_shared<CloseOperation>(all.loops, all.runtime.log(), std::move(done));
  for (const std::shared_ptr<LoopState>& state : all.loops) {
    state->environment.loop.post([state] { cancel_dials(*state); });
  }
  all.runtime.loop(0).post([&all, operation] {
    all.listeners.clear();
    operation->start(true);
  });
}

}  // namespace wayport::rpc
