#include "wayport/rpc/peer_state.h"

#include <future>

#include "wayport/rpc/guard.h"
#include "wayport/rpc/hook_chain.h"
#include "wayport/rpc/pre_session.h"

namespace wayport::rpc {
void PeerShared::on_ended(const std::shared_ptr<SessionDriver>& session) {
  Log& log = session->environment().session.log;
  const CloseReason& reason = session->core().close_reason();
  for (PostDisconnect* hook : routes.session_hooks().post_disconnect) {
    guarded(log, "post_disconnect", [&] { hook->post_disconnect(Session(session), reason); });
  }
  session->accept_ticket.reset();
  if (!options.on_session_closed) return;
  guarded(log, "on_session_closed", [&] { options.on_session_closed(Session(session), reason); });
}

AcceptTicket::AcceptTicket(std::shared_ptr<const PeerShared> shared, const transport::PeerInfo& peer)
    : shared_(std::move(shared)) {
  peer_.remote = peer.remote;
  peer_.local = peer.local;
  peer_.unix_peer = peer.unix_peer;
  peer_.scheme = peer.scheme;
  status_ = run_chain(shared_->routes.session_hooks().accept_guards, [&](AcceptGuard& guard) {
    Status status = guard.begin_session(peer);
    begun_ += status.ok() ? 1 : 0;
    return status;
  });
}

AcceptTicket::~AcceptTicket() {
  while (begun_ > 0) shared_->routes.session_hooks().accept_guards[--begun_]->end_session(peer_);
}

void Listening::finish(std::move_only_function<void()> done) {
  waiting_.push_back(std::move(done));
  if (!std::exchange(finishing_, true)) {
    open_ = listeners.size() + 1;
    // Only clear() changes the vector, and it does not run in here: one more is open.
    for (const std::unique_ptr<transport::Listener>& listener : listeners) {
      listener->finish([weak = weak_from_this()] {
        if (const std::shared_ptr<Listening> self = weak.lock()) self->one_finished();
      });
    }
    return one_finished();
  }
  if (open_ == 0) tell();
}

void Listening::clear() {
  finishing_ = true;
  open_ = 0;
  listeners.clear();
  tell();
}

void Listening::one_finished() {
  if (open_ != 0 && --open_ == 0) clear();
}

void Listening::tell() {
  std::vector<std::move_only_function<void()>> waiting;
  waiting.swap(waiting_);
  for (auto& done : waiting) done();
}

LoopState::LoopState(Loop& its_loop, Runtime& runtime, std::shared_ptr<PeerShared> all)
    : shared(std::move(all)),
      context{shared->codecs},
      tasks(its_loop, runtime.log(), "handlers"),
      handshakes(its_loop, runtime.log(), "handshakes", {shared->options.handshakes_per_loop_max}),
      dial_handshakes(its_loop, runtime.log(), "handshakes of dials"),
      environment{its_loop,
                  context,
                  {context, shared->routes.core(), counters, runtime.log(), protocol_errors, handler_errors},
                  tasks,
                  shared->options.coroutines_per_loop_max,
                  runtime.workers(),
                  shared->table} {}

void LoopState::cancel_tasks() {
  handshakes.cancel();
  dial_handshakes.cancel();
  tasks.cancel();
}

void LoopState::hurry_handshakes() {
  for (PreSession* const handshake : open_handshakes) handshake->hurry(kHandshakeGrace);
}

void end_dial(LoopState& state, const std::shared_ptr<PendingDial>& pending, Result<Session> result) {
  if (std::exchange(pending->over, true)) return;
  // The dial may be what calls: it goes at turn end.
  state.environment.loop.delete_later(std::move(pending->dial));
  state.dials.erase(pending);
  if (pending->canceler) pending->canceler->unbind();
  if (pending->handshake && !result) pending->handshake->abort(result.error());
  guarded(state.environment.session.log, "dial", [&] { std::exchange(pending->done, {})(std::move(result)); });
}

void cancel_dials(LoopState& state) {
  for (const std::shared_ptr<PendingDial>& pending : std::vector(state.dials.begin(), state.dials.end())) {
    end_dial(state, pending, fail(ErrorCode::local_closed, "the peer is closing"));
  }
}

void run_on(Loop& loop, std::move_only_function<void()> work) {
  if (loop.in_loop_thread()) return work();
  std::promise<void> done;
  loop.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace wayport::rpc
