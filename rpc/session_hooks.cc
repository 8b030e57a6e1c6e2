// Where a session runs the hooks of plugins (hooks.h). Every function is called only when there may be some.
#include <boost/json.hpp>
#include <string>
#include <utility>

#include "wayport/rpc/hook_chain.h"
#include "wayport/rpc/router_core.h"
#include "wayport/rpc/session_core.h"

namespace wayport::rpc {

Status status_of_exception() noexcept {
  try {
    throw;
  } catch (const StatusError& error) {
    return error.status();
  } catch (const std::exception& error) {
    return Status::make(code::kInternal, std::string("a plugin threw: ") + error.what());
  } catch (...) {
    return Status::make(code::kInternal, "a plugin threw");
  }
}

void SessionCore::log_hook(const char* hook, std::string_view uri, const Status& status) {
  environment_.log.write(environment_.handler_errors_limit, host_.now(), LogLevel::warning, "a plugin's hook failed",
                         {{"hook", hook}, {"peer", host_.peer_name()}, {"uri", uri}, {"status", status.to_string()}});
}

// --- reading ---

bool SessionCore::before_packet() {
  if (stream_closing_ || state_ == State::ended) return false;
  const Status status = run_chain(environment_.router.hooks()->pre_read_header,
                                  [this](PreReadHeader& hook) { return hook.pre_read_header(*this); });
  if (status.ok()) return true;
  environment_.counters.hooks_refused.add();
  reason_ = CloseReason::local(ErrorCode::refused, "pre_read_header of a plugin: " + status.to_string());
  state_ = State::closing;
  end_stream(kErrorLinger);
  return false;
}

bool SessionCore::after_request_header(const PeerHooks& hooks, Call& call) {
  const Status status = call.kind() == Call::Kind::pull
                            ? run_chain(hooks.post_read_pull_header,
                                        [&](PostReadPullHeader& hook) { return hook.post_read_pull_header(call); })
                            : run_chain(hooks.post_read_push_header,
                                        [&](PostReadPushHeader& hook) { return hook.post_read_push_header(call); });
  return status.ok() || refuse_call(call, status);
}

bool SessionCore::refuse_call(Call& call, const Status& status) {
  environment_.counters.hooks_refused.add();
  call.fail(status);
  return false;
}

const RouteHooks* SessionCore::hooks_of(const Call& call) const noexcept {
  if (call.route_) return call.route_->hooks.get();
  const PeerHooks* hooks = environment_.router.hooks();
  return hooks ? &hooks->unrouted : nullptr;
}

bool SessionCore::begin_guards(const RouteHooks& hooks, Call& call) {
  const Status status = run_chain(hooks.guards, [&](CallGuard& guard) {
    Status begun = guard.begin_call(call);
    if (begun.ok()) ++call.guards_;
    return begun;
  });
  return status.ok() || refuse_call(call, status);
}

void SessionCore::end_guards(Call& call) noexcept {
  if (call.guards_ == 0) return;
  const RouteHooks& hooks = *hooks_of(call);
  while (call.guards_ > 0) hooks.guards[--call.guards_]->end_call(call, call.outcome_);
}

bool SessionCore::before_body(const RouteHooks& hooks, Call& call) {
  const Status status =
      call.kind() == Call::Kind::pull
          ? run_chain(hooks.pre_read_pull_body, [&](PreReadPullBody& hook) { return hook.pre_read_pull_body(call); })
          : run_chain(hooks.pre_read_push_body, [&](PreReadPushBody& hook) { return hook.pre_read_push_body(call); });
  return status.ok() || refuse_call(call, status);
}

bool Call::argument_read(const framing::BodyTarget& argument) {
  const RouteHooks* hooks = session_->hooks_of(*this);
  if (!hooks) return true;
  const Status status =
      kind_ == Kind::pull ? run_chain(hooks->post_read_pull_body,
                                      [&](PostReadPullBody& hook) { return hook.post_read_pull_body(*this, argument); })
                          : run_chain(hooks->post_read_push_body, [&](PostReadPushBody& hook) {
                              return hook.post_read_push_body(*this, argument);
                            });
  return status.ok() || session_->refuse_call(*this, status);
}

Status SessionCore::before_reply_body(const PeerHooks& hooks, const IncomingReply& reply) {
  Status status = run_chain(hooks.post_read_reply_header,
                            [&](PostReadReplyHeader& hook) { return hook.post_read_reply_header(reply); });
  if (status.ok()) {
    status =
        run_chain(hooks.pre_read_reply_body, [&](PreReadReplyBody& hook) { return hook.pre_read_reply_body(reply); });
  }
  if (!status.ok()) environment_.counters.hooks_refused.add();
  return status;
}

Status PendingCall::result_read(const framing::PacketView& packet, const framing::BodyTarget& result) {
  const PeerHooks* hooks = session_ ? session_->environment_.router.hooks() : nullptr;
  if (!hooks || hooks->post_read_reply_body.empty()) return {};
  const IncomingReply reply{*session_, packet, started_};
  Status status = run_chain(hooks->post_read_reply_body,
                            [&](PostReadReplyBody& hook) { return hook.post_read_reply_body(reply, result); });
  if (!status.ok()) session_->environment_.counters.hooks_refused.add();
  return status;
}

// --- writing ---

Status SessionCore::before_pull(const PeerHooks& hooks, OutgoingView& view) {
  const Status status = run_chain(hooks.pre_write_pull, [&](PreWritePull& hook) { return hook.pre_write_pull(view); });
  if (status.ok()) return {};
  environment_.counters.hooks_refused.add();
  boost::json::object why;
  why["code"] = status.code;
  why["message"] = status.text;
  return Status::not_executed(code::kWriteFailed, boost::json::serialize(why));
}

void SessionCore::after_pull(const PeerHooks& hooks, const OutgoingView& view) {
  const Status status =
      run_chain(hooks.post_write_pull, [&](PostWritePull& hook) { return hook.post_write_pull(view); });
  if (!status.ok()) log_hook("post_write_pull", view.packet.header.uri, status);
}

void SessionCore::begin_pull_guards(const PeerHooks& hooks, PendingCall& call, const OutgoingView& view) noexcept {
  if (hooks.pull_guards.empty()) return;
  call.guarded_ = true;
  for (std::size_t i = 0; i < hooks.pull_guards.size(); ++i) {
    call.guard_tags_[i] = hooks.pull_guards[i]->begin_pull(view);
  }
}

void SessionCore::end_pull_guards(PendingCall& call, std::int32_t status_code) noexcept {
  if (!std::exchange(call.guarded_, false)) return;
  const std::vector<PullGuard*>& guards = environment_.router.hooks()->pull_guards;
  for (std::size_t i = 0; i < guards.size(); ++i) {
    guards[i]->end_pull(*this, call.guard_tags_[i], call.started_, status_code);
  }
}

Result<void> SessionCore::before_push(const PeerHooks& hooks, OutgoingView& view) {
  const Status status = run_chain(hooks.pre_write_push, [&](PreWritePush& hook) { return hook.pre_write_push(view); });
  if (status.ok()) return {};
  environment_.counters.hooks_refused.add();
  return wayport::fail(ErrorCode::refused, "pre_write_push of a plugin, nothing was sent: " + status.to_string());
}

Result<void> SessionCore::after_push(const PeerHooks& hooks, const OutgoingView& view) {
  const Status status =
      run_chain(hooks.post_write_push, [&](PostWritePush& hook) { return hook.post_write_push(view); });
  if (status.ok()) return {};
  environment_.counters.hooks_refused.add();
  return wayport::fail(ErrorCode::refused, "post_write_push of a plugin, the push was sent: " + status.to_string());
}

void SessionCore::before_reply(const RouteHooks& hooks, OutgoingView& view) {
  const Status status =
      run_chain(hooks.pre_write_reply, [&](PreWriteReply& hook) { return hook.pre_write_reply(view); });
  if (!status.ok()) log_hook("pre_write_reply", view.packet.header.uri, status);
}

void SessionCore::after_reply(const RouteHooks& hooks, const OutgoingView& view) {
  const Status status =
      run_chain(hooks.post_write_reply, [&](PostWriteReply& hook) { return hook.post_write_reply(view); });
  if (!status.ok()) log_hook("post_write_reply", view.packet.header.uri, status);
}

}  // namespace wayport::rpc
