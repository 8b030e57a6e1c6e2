#include "wayport/rpc/arrival.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "wayport/rpc/guard.h"
#include "wayport/rpc/hook_chain.h"
#include "wayport/rpc/pre_session.h"

namespace wayport::rpc {
namespace {

boost::asio::awaitable<Status> run_handshake(const SessionHooks& hooks, PreSession& session) {
  Status status;
  try {
    if (session.dialled()) {
      for (PostDial* hook : hooks.post_dial) {
        if (status = co_await hook->post_dial(session); !status.ok()) break;
      }
    } else {
      for (PostAccept* hook : hooks.post_accept) {
        if (status = co_await hook->post_accept(session); !status.ok()) break;
      }
    }
  } catch (...) {
    status = status_of_exception();
  }
  co_return status;
}

// Known to its loop, and to its dial, while it runs.
class OpenHandshake {
 public:
  OpenHandshake(LoopState& state, PendingDial* dial) noexcept : state_(state), dial_(dial) {}
  ~OpenHandshake() { set(nullptr); }
  OpenHandshake(const OpenHandshake&) = delete;
  OpenHandshake& operator=(const OpenHandshake&) = delete;

  void set(PreSession* handshake) {
    if (current_) state_.open_handshakes.erase(current_);
    current_ = handshake;
    if (current_) state_.open_handshakes.insert(current_);
    if (dial_) dial_->handshake = current_;
  }

 private:
  LoopState& state_;
  PendingDial* dial_;
  PreSession* current_ = nullptr;
};

}  // namespace

std::string default_id(const SocketAddress& address) { return address.to_string(); }

Session adopt(const std::shared_ptr<LoopState>& state, Arrival arrival, PreSession* handshake) {
  const PeerShared& shared = *state->shared;
  std::shared_ptr<LoopEnvironment> environment(state, &state->environment);
  const std::shared_ptr<SessionDriver> driver =
      SessionDriver::create(std::move(arrival.stream), std::move(environment), std::move(arrival.options), {});
  driver->accepted = arrival.accepted;
  driver->accept_ticket = std::move(arrival.ticket);
  if (handshake) driver->store().take(handshake->store());
  state->shared->table.add(driver, std::move(arrival.id), arrival.chosen);
  Session session(driver);
  Log& log = state->environment.session.log;
  for (PostStart* hook : shared.routes.session_hooks().post_start) {
    guarded(log, "post_start", [&] { hook->post_start(session); });
  }
  if (shared.options.on_session) guarded(log, "on_session", [&] { shared.options.on_session(session); });
  driver->start(handshake != nullptr);
  // One that came while the peer began to close was not told.
  if (shared.closing.load()) {
    driver->begin_close(CloseReason::local(ErrorCode::local_closed, "the peer is closing"));
  }
  return session;
}

boost::asio::awaitable<void> greet(std::shared_ptr<LoopState> state, Arrival arrival,
                                   std::shared_ptr<PendingDial> dial) {
  const PeerShared& shared = *state->shared;
  const Duration patience = shared.options.handshake_timeout;
  const std::string remote = arrival.stream->peer().remote_url();
  OpenHandshake open(*state, dial.get());
  PreSession handshake(std::move(arrival.stream), dial != nullptr, arrival.options, state->context,
                       shared.options.handshake_bytes_max,
                       shared.closing.load() ? std::min(patience, LoopState::kHandshakeGrace) : patience);
  open.set(&handshake);
  const Status status = co_await run_handshake(shared.routes.session_hooks(), handshake);
  open.set(nullptr);
  // From here on nothing waits but for the stream's end, which comes.
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  const bool canceled =
      (co_await boost::asio::this_coro::cancellation_state).cancelled() != boost::asio::cancellation_type::none;
  const bool wanted = !canceled && !(dial && dial->over);
  if (wanted && status.ok()) arrival.stream = handshake.release();
  if (arrival.stream) {
    if (!handshake.id().empty()) {
      arrival.id = handshake.id();
      arrival.chosen = true;
    }
    const Session session = adopt(state, std::move(arrival), &handshake);
    if (dial) end_dial(*state, dial, session);
    co_return;
  }
  Error why = handshake.failure();
  if (canceled) {
    why = {ErrorCode::local_closed, "the peer closed before the handshake with " + remote + " was over", {}};
  } else if (!status.ok() && wanted) {
    why = {ErrorCode::refused, "a plugin refused " + remote + ": " + status.to_string(), {}};
  }
  if (wanted) {
    state->environment.session.log.write(state->refused_handshakes, state->environment.loop.now(), LogLevel::warning,
                                         "handshake failed", {{"peer", remote}, {"why", why}});
  }
  if (dial) end_dial(*state, dial, fail(why));
  co_await handshake.finish(std::move(why));
}

void accept_from(const std::shared_ptr<LoopState>& state, transport::Incoming& incoming,
                 const std::shared_ptr<const SessionOptions>& options) {
  const SessionHooks& hooks = state->shared->routes.session_hooks();
  std::shared_ptr<AcceptTicket> ticket;
  if (!hooks.accept_guards.empty()) {
    ticket = std::make_shared<AcceptTicket>(state->shared, incoming.peer());
    if (!ticket->status().ok()) {
      return incoming.reject({ErrorCode::overloaded, "a plugin refused: " + ticket->status().to_string(), {}});
    }
  }
  if (!hooks.post_accept.empty() && state->handshakes.running() >= state->shared->options.handshakes_per_loop_max) {
    return incoming.reject(
        {ErrorCode::overloaded, "handshakes_per_loop_max reached: " + std::to_string(state->handshakes.running()), {}});
  }
  std::string id = default_id(incoming.peer().remote);
  Arrival arrival{incoming.accept(), options, std::move(id), false, true, std::move(ticket)};
  if (hooks.post_accept.empty()) {
    static_cast<void>(adopt(state, std::move(arrival)));
    return;
  }
  arrival.hold = std::make_unique<SessionTable::Hold>(state->shared->table);
  // Refused only while the peer aborts; the stream goes with the task.
  static_cast<void>(state->handshakes.spawn(greet(state, std::move(arrival), nullptr)));
}

}  // namespace wayport::rpc
