#include "wayport/rpc/peer.h"

#include <atomic>
#include <future>
#include <mutex>

#include "wayport/rpc/arrival.h"
#include "wayport/rpc/hook_chain.h"
#include "wayport/rpc/peer_close.h"
#include "wayport/rpc/peer_state.h"
#include "wayport/transport/default_transports.h"

namespace wayport::rpc {

using transport::Address;
using transport::Incoming;
using transport::Listener;
using transport::Stream;

struct Peer::Implementation {
  Implementation(Runtime& its_runtime, PeerOptions options)
      : runtime(its_runtime),
        shared(std::make_shared<PeerShared>(
            std::move(options),
            options.transports ? *options.transports : transport::default_transports(&its_runtime.log()))) {
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
    run_on(runtime.loop(0), [this] { listening->clear(); });
  }

  Runtime& runtime;
  const std::shared_ptr<PeerShared> shared;
  std::vector<std::shared_ptr<LoopState>> loops;
  const std::shared_ptr<Listening> listening = std::make_shared<Listening>();
  std::vector<std::string> addresses;
  bool started = false;
};

Peer::Peer(Runtime& runtime, PeerOptions options)
    : implementation_(std::make_unique<Implementation>(runtime, std::move(options))) {}

Peer::~Peer() {
  Implementation& all = *implementation_;
  Loop& home = all.runtime.loop(0);
  all.shared->closing.store(true);
  all.shared->aborting.store(true);
  all.stop_listening();
  for (const std::shared_ptr<LoopState>& state : all.loops) {
    run_on(state->environment.loop, [&state] { cancel_dials(*state); });
  }
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> finished = done->get_future();
  run_on(home, [&] {
    close_peer({.loops = all.loops, .listening = all.listening, .log = all.runtime.log(), .graceful = false},
               [done] { done->set_value(); });
  });
  // A loop that the caller drives itself (tests) has nobody else to turn it.
  constexpr int kTurnsMax = 1000;
  for (int turn = 0; home.in_loop_thread() && turn < kTurnsMax; ++turn) {
    if (finished.wait_for(std::chrono::seconds(0)) == std::future_status::ready) break;
    home.run_turn();
  }
  if (!home.in_loop_thread()) finished.wait();
  for (std::shared_ptr<LoopState>& state : all.loops) {
    Loop& loop = state->environment.loop;
    run_on(loop, [&state] { state.reset(); });
  }
}

Router Peer::router() { return Router(implementation_->shared->routes); }
PluginContainer& Peer::plugins() { return implementation_->shared->routes.root().plugins; }
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
  WAYPORT_TRY(all.shared->routes.freeze());
  Result<void> outcome;
  run_on(all.runtime.loop(0), [&] {
    for (const ListenAt& at : all.shared->options.listen) {
      outcome = all.listen_on(at);
      if (!outcome) {
        all.listening->listeners.clear();
        all.addresses.clear();
        return;
      }
    }
  });
  if (!outcome) return outcome;
  for (PostListen* hook : all.shared->routes.session_hooks().post_listen) {
    try {
      outcome = hook->post_listen(*this);
    } catch (...) {
      outcome = fail(ErrorCode::invalid_argument, "a plugin's post_listen: " + status_of_exception().to_string());
    }
    if (outcome) continue;
    // Somebody may be connected already.
    abort_sessions();
    all.addresses.clear();
    break;
  }
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
      const PeerShared& peer = *state->shared;
      if (peer.aborting.load(std::memory_order_relaxed)) {
        return incoming->reject({ErrorCode::local_closed, "the peer is closing", {}});
      }
      if (peer.table.size() >= peer.options.sessions_max) {
        return incoming->reject(
            {ErrorCode::overloaded, "sessions_max reached: " + std::to_string(peer.table.size()), {}});
      }
      return accept_from(state, *incoming, session);
    }
    incoming->reject({ErrorCode::internal, "accepted on a loop that is not the runtime's", {}});
  });
  addresses.push_back((*listener)->address().to_string());
  listening->listeners.push_back(*std::move(listener));
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
          Arrival arrival{*std::move(stream), std::move(session_options), std::move(id), chosen};
          if (state->shared->routes.session_hooks().post_dial.empty()) {
            return end_dial(*state, self, adopt(state, std::move(arrival)));
          }
          arrival.hold = std::make_unique<SessionTable::Hold>(state->shared->table);
          if (!state->dial_handshakes.spawn(greet(state, std::move(arrival), self))) {
            end_dial(*state, self, fail(ErrorCode::local_closed, "the peer is closing"));
          }
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
  return adopt(state, {std::move(stream), std::move(session_options), std::move(session_id), chosen});
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
  for (PreClose* hook : all.shared->routes.session_hooks().pre_close) hook->pre_close(*this);
  all.shared->closing.store(true);
  for (const std::shared_ptr<LoopState>& state : all.loops) {
    state->environment.loop.post([state] { cancel_dials(*state); });
  }
  all.runtime.loop(0).post([closing = PeerClosing{all.loops, all.listening, all.runtime.log(), true},
                            done = std::move(done)]() mutable { close_peer(std::move(closing), std::move(done)); });
}

std::vector<int> Peer::hand_over_listeners() {
  std::vector<int> fds;
  run_on(implementation_->runtime.loop(0), [&] {
    for (const std::unique_ptr<Listener>& listener : implementation_->listening->listeners) {
      const std::vector<int> its = listener->inheritable_fds();
      fds.insert(fds.end(), its.begin(), its.end());
    }
  });
  return fds;
}

void Peer::take_back_listeners() {
  run_on(implementation_->runtime.loop(0), [&] {
    for (const std::unique_ptr<Listener>& listener : implementation_->listening->listeners) listener->take_back();
  });
}

void Peer::abort_sessions() {
  Implementation& all = *implementation_;
  for (PreClose* hook : all.shared->routes.session_hooks().pre_close) hook->pre_close(*this);
  all.shared->closing.store(true);
  all.shared->aborting.store(true);
  all.runtime.loop(0).post([listening = all.listening] { listening->clear(); });
  for (const std::shared_ptr<SessionDriver>& session : all.shared->table.all()) {
    SessionDriver& driver = *session;
    driver.on_loop(
        [&driver] { driver.core().abort(CloseReason::local(ErrorCode::local_closed, "the peer is aborted")); });
  }
  for (const std::shared_ptr<LoopState>& state : all.loops) {
    state->environment.loop.post([state] {
      cancel_dials(*state);
      state->cancel_tasks();
    });
  }
}

}  // namespace wayport::rpc
