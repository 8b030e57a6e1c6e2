#include "wayport/rpc/call.h"

#include "wayport/rpc/router_core.h"
#include "wayport/rpc/session_core.h"

namespace wayport::rpc {

using framing::OutgoingBody;
using framing::PacketHeader;

Result<void> Call::decode(const framing::BodyTarget& target) {
  Result<void> decoded = framing::decode_body(packet_, session_->environment_.context, target);
  if (!decoded) refuse_body(decoded.error());
  return decoded;
}

TimePoint Call::deadline() const noexcept {
  return route_ && route_->deadline > Duration::zero() ? after(received_, route_->deadline) : kNever;
}

void Call::set_path(std::string_view path) {
  path_storage_ = std::string(path);
  uri_.path = path_storage_;
}

void Call::refuse_body(const Error& error) {
  answered_ = true;
  outcome_ = 0;
  Error named = error;
  named.detail = "body for " + escape(packet_.header.uri) + ": " + error.detail;
  session_->protocol_error(named);
}

void Call::reply(const framing::BodyView& value) {
  if (answered_ || deferred_) return;
  answered_ = true;
  session_->send_value(*this, value);
}

void Call::reply_empty() {
  if (answered_ || deferred_) return;
  answered_ = true;
  OutgoingBody body;
  body.form = framing::no_body_form(session_->options_->version, framing::PacketKind::reply);
  body.codec_id = reply_codec_;
  session_->send_reply(*this, body, code::kOk, status_text(code::kOk), reply_gzip_.value_or(packet_.header.gzip));
}

void Call::reply_verbatim(Bytes with_codec) {
  if (answered_ || deferred_) return;
  answered_ = true;
  OutgoingBody body;
  body.form = OutgoingBody::Form::verbatim;
  body.bytes = with_codec;
  session_->send_reply(*this, body, code::kOk, status_text(code::kOk), reply_gzip_.value_or(packet_.header.gzip));
}

void Call::reply_encoded(std::uint8_t codec_id, Bytes bytes) {
  if (answered_ || deferred_) return;
  answered_ = true;
  OutgoingBody body;
  body.form = OutgoingBody::Form::encoded;
  body.codec_id = codec_id;
  body.bytes = bytes;
  session_->send_reply(*this, body, code::kOk, status_text(code::kOk), reply_gzip_.value_or(packet_.header.gzip));
}

void Call::reply_forwarded(Bytes with_codec, std::int32_t gzip, std::int32_t status_code, std::string_view text) {
  if (answered_ || deferred_) return;
  answered_ = true;
  OutgoingBody body;
  if (!with_codec.empty()) {
    body.form = OutgoingBody::Form::verbatim;
    body.bytes = with_codec;
  }
  session_->send_reply(*this, body, status_code, text, gzip);
}

void Call::fail(const Status& status) {
  if (kind_ == Kind::push && !deferred_) outcome_ = status.code;
  if (answered_ || deferred_) return;
  fail_as(status, reply_gzip_.value_or(packet_.header.gzip));
}

void Call::fail_as(const Status& status, std::int32_t gzip) {
  answered_ = true;
  // A handler that fails with 200 would make its caller see success.
  if (status.code == code::kOk) {
    session_->send_reply(*this, {}, code::kInternal, "the handler failed with status 200", gzip);
  } else {
    session_->send_reply(*this, {}, status.code, status.text, gzip);
  }
}

std::unique_ptr<DeferredCall> Call::defer() {
  WAYPORT_ASSERT(!deferred_, "a call is deferred once; its DeferredCall answers");
  SessionCore& core = *session_;
  if (core.running_handlers_ >= core.options_->handlers_max) {
    core.environment_.counters.handlers_refused.add();
    fail(Status::make(code::kServiceUnavailable,
                      "handlers_max reached: " + std::to_string(core.running_handlers_) + " handlers are running"));
    return nullptr;
  }
  ++core.running_handlers_;
  deferred_ = true;
  return std::unique_ptr<DeferredCall>(new DeferredCall(*this, core.host_.keep_alive()));
}

DeferredCall::DeferredCall(const Call& call, std::shared_ptr<void> keep_alive)
    : Call(call), keep_alive_(std::move(keep_alive)) {
  deferred_ = false;
  const PacketHeader& header = packet_.header;
  storage_.reserve(header.uri.size() + header.status.size() + uri_.path.size() + uri_.raw_query.size() +
                   packet_.body_with_codec.size());
  const auto keep = [this](std::string_view text) {
    const std::size_t at = storage_.size();
    storage_.append(text);
    return std::string_view(storage_).substr(at);
  };
  packet_.header.uri = keep(packet_.header.uri);
  packet_.header.status = keep(packet_.header.status);
  uri_.path = keep(uri_.path);
  uri_.raw_query = keep(uri_.raw_query);
  packet_.body_with_codec = as_bytes(keep(as_text(packet_.body_with_codec)));
  packet_.body = packet_.has_body_codec ? packet_.body_with_codec.subspan(1) : Bytes();
  path_storage_.clear();
  if (const TimePoint due = deadline(); due != kNever && kind_ == Kind::pull) session_->host_.arm(*this, due);
}

// A worker thread may be using the call: only what it does not touch is read here.
void DeferredCall::on_timer() {
  if (answered_) return;
  session_->environment_.counters.deadlines_missed.add();
  fail_as(Status::make(code::kTimeout, "no answer within the route's deadline of " + format_duration(route_->deadline)),
          packet_.header.gzip);
}

DeferredCall::~DeferredCall() {
  if (!answered_) fail(Status::make(code::kInternal, "the handler gave no reply"));
  session_->end_guards(*this);
  session_->handler_done();  // keep_alive_ goes after this
}

}  // namespace wayport::rpc
