#include "wayport/rpc/session_core.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "wayport/framing/gzip.h"
#include "wayport/framing/teleport/protocol.h"

namespace wayport::rpc {
namespace {

using framing::OutgoingBody;
using framing::OutgoingPacket;
using framing::PacketHeader;
using framing::PacketView;

// Bytes of a refused packet's body that the log shows.
constexpr std::size_t kLoggedBodyBytes = 64;
// The drain notice is a reply to a pull that nobody makes: originals ignore it (spec/teleport 12).
constexpr std::uint64_t kDrainSeq = std::numeric_limits<std::uint64_t>::max();
constexpr std::string_view kDrainUri = "/wayport/drain?from=";
constexpr std::string_view kPeerDrains = "the peer is closing; not executed";

bool fits(const framing::BodyOps& ops, std::uint8_t codec) {
  switch (codec) {
    case framing::kCodecJson:
      return ops.to_json != nullptr;
    case framing::kCodecProtobuf:
      return ops.protobuf_write != nullptr;
    case framing::kCodecString:
      return ops.text != nullptr;
    case framing::kCodecFlatbuffers:
      return ops.flatbuffer != nullptr;
    default:
      return true;  // an application's own; it knows what it takes
  }
}

}  // namespace

std::uint8_t fitting_codec(const framing::BodyOps& ops, std::uint8_t preferred) noexcept {
  if (fits(ops, preferred)) return preferred;
  for (const std::uint8_t id :
       {framing::kCodecJson, framing::kCodecProtobuf, framing::kCodecString, framing::kCodecFlatbuffers}) {
    if (fits(ops, id)) return id;
  }
  return preferred;
}

SessionCore::SessionCore(SessionHost& host, const SessionEnvironment& environment,
                         std::shared_ptr<const SessionOptions> options)
    : host_(host),
      environment_(environment),
      options_(std::move(options)),
      protocol_(options_->protocol ? *options_->protocol : framing::teleport_protocol()),
      read_timeout_(options_->read_timeout),
      write_timeout_(options_->write_timeout),
      read_deadline_(*this, &SessionCore::on_read_deadline),
      write_deadline_(*this, &SessionCore::on_write_deadline),
      close_deadline_(*this, &SessionCore::on_close_deadline) {}

SessionCore::~SessionCore() = default;

// --- events ---

void SessionCore::handle_open() {
  environment_.counters.sessions_opened.add();
  last_packet_ = last_bytes_ = host_.now();
  if (read_timeout_ > Duration::zero()) host_.arm(read_deadline_, last_packet_ + read_timeout_);
  if (environment_.router.hooks()) before_packet();
}

std::size_t SessionCore::handle_bytes(Bytes bytes) {
  if (stream_closing_ || state_ == State::ended) return bytes.size();
  last_bytes_ = host_.now();
  environment_.context.limits = options_->limits;
  const Result<std::size_t> consumed = reader_.read(bytes, protocol_, environment_.context,
                                                    [this](const PacketView& packet) { return handle_packet(packet); });
  if (!consumed) {
    protocol_error(consumed.error());
    return bytes.size();
  }
  environment_.counters.bytes_read.add(*consumed);
  unconsumed_ = bytes.size() - *consumed;
  return stream_closing_ ? bytes.size() : *consumed;
}

void SessionCore::handle_read_end() {
  if (stream_closing_ || state_ == State::ended) return;
  const std::size_t unfinished = unconsumed_ + reader_.buffered();
  if (unfinished > 0) {
    protocol_error({ErrorCode::malformed,
                    "the stream ended inside a packet, of which " + std::to_string(unfinished) + " bytes had come",
                    {}});
    return;
  }
  // No reply can come any more, but ours still can go.
  read_ended_ = true;
  close(CloseReason::peer(ErrorCode::peer_closed, "the peer ended the stream"));
  fail_calls(Status::make(code::kConnectionClosed, "Connection Closed: " + to_string(reason_)));
  finish_if_drained();
}

// Who pauses is owed no reply, so the other side has none unsent, so that one does not pause: two peers never stop reading
// each other. Beyond output_bytes_max a side that may not pause refuses pulls (handle_request).
bool SessionCore::should_pause() {
  return reply_bytes_ >= options_->output_high_water_bytes && owed_replies_ == 0 &&
         reply_backlog() >= options_->output_high_water_bytes;
}

std::size_t SessionCore::reply_backlog() {
  const std::size_t unsent = host_.unsent();
  if (written_ - unsent >= last_reply_end_) reply_bytes_ = 0;  // every reply has left
  return std::min(reply_bytes_, output_.size() + unsent);
}

void SessionCore::set_reading(bool on) {
  if (on == !reading_paused_) return;
  reading_paused_ = !on;
  if (reading_paused_) environment_.counters.reading_paused.add();
  last_packet_ = last_bytes_ = host_.now();  // what waited meanwhile was not the peer's doing
  host_.set_reading(on);
}

void SessionCore::handle_written(bool full) { set_reading(!full || !should_pause()); }

void SessionCore::handle_writable() { set_reading(true); }

void SessionCore::handle_closed(const CloseReason& reason) {
  if (state_ == State::ended) return;
  if (state_ == State::open) reason_ = reason;
  state_ = State::ended;
  stream_closing_ = true;
  environment_.counters.sessions_closed.add();
  read_deadline_.unlink();
  write_deadline_.unlink();
  close_deadline_.unlink();
  output_.clear();
  fail_calls(Status::make(code::kConnectionClosed, "Connection Closed: " + to_string(reason_)));
}

// --- packets ---

bool SessionCore::handle_packet(const PacketView& packet) {
  SessionCounters& counters = environment_.counters;
  counters.packets_read.add();
  last_packet_ = host_.now();
  const std::int32_t type = packet.header.type;
  if (type == framing::kTypePull) {
    counters.pulls_received.add();
    if (state_ == State::open)
      pulls_read_end_ = std::max(pulls_read_end_, std::min(packet.header.seq, kDrainSeq - 1) + 1);
    handle_request(Call::Kind::pull, packet);
  } else if (type == framing::kTypeReply) {
    handle_reply(packet);
  } else if (type == framing::push_type(options_->version)) {
    counters.pushes_received.add();
    handle_request(Call::Kind::push, packet);
  } else {
    handle_unsupported(packet);
  }
  if (environment_.router.hooks() && !before_packet()) return false;
  return may_read_on();
}

bool SessionCore::may_read_on() {
  if (stream_closing_ || state_ == State::ended) return false;
  if (!should_pause()) return true;
  set_reading(false);
  host_.flush_soon();
  return false;
}

void SessionCore::handle_reply(const PacketView& packet) {
  if (packet.header.seq == kDrainSeq && handle_drain(packet)) return;
  if (owed_replies_ > 0 && packet.header.seq < next_pull_seq_) --owed_replies_;
  const std::unique_ptr<PendingCall> call = calls_.take(packet.header.seq);
  if (!call) {
    environment_.counters.replies_unmatched.add();
    return;
  }
  call->unlink();
  Status refused;
  if (const PeerHooks* hooks = environment_.router.hooks()) {
    refused = before_reply_body(*hooks, {*this, packet, call->started_});
    end_pull_guards(*call, refused.ok() ? packet.header.status_code : refused.code);
  }
  try {
    if (!refused.ok()) {
      call->on_failed(std::move(refused));
    } else if (packet.header.status_code == code::kOk) {
      call->on_reply(packet, environment_.context);
    } else if (!call->on_error_reply(packet)) {
      call->on_failed({packet.header.status_code, std::string(packet.header.status), Status::Origin::remote});
    }
  } catch (...) {
    log_completion_exception();
  }
  finish_if_drained();
}

// False: not a drain notice.
bool SessionCore::handle_drain(const PacketView& packet) {
  if (!options_->announce_drain || !packet.header.uri.starts_with(kDrainUri)) return false;
  const std::string_view number = packet.header.uri.substr(kDrainUri.size());
  std::uint64_t from = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), from);
  if (error != std::errc() || end != number.data() + number.size()) return false;
  // Once: each notice looks at every outstanding call.
  if (std::exchange(peer_drains_, true)) return true;
  environment_.counters.drains_received.add();
  host_.peer_drains();
  for (std::unique_ptr<PendingCall>& call : calls_.take_from(from)) {
    fail_later(std::move(call), Status::not_executed(code::kServiceUnavailable, std::string(kPeerDrains)));
  }
  finish_if_drained();
  return true;
}

void SessionCore::announce_drain() {
  if (!options_->announce_drain || read_ended_) return;
  const std::string uri = std::string(kDrainUri) + std::to_string(pulls_read_end_);
  OutgoingPacket notice;
  notice.header = {kDrainSeq, framing::kTypeReply, uri, 0, code::kServiceUnavailable, "draining"};
  notice.header_codec = options_->header_codec;
  if (append(notice)) environment_.counters.drains_announced.add();
}

void SessionCore::handle_request(Call::Kind kind, const PacketView& packet) {
  SessionCounters& counters = environment_.counters;
  Call call(*this, kind, packet, last_packet_);
  if (state_ != State::open) {
    // Unanswered, two peers that close at the same time would each wait for the other's replies until close_timeout.
    counters.requests_after_close.add();
    call.fail(Status::make(code::kServiceUnavailable, "the session is closing; not executed"));
    return;
  }
  const Result<void> parsed = parse_uri(packet.header.uri, call.path_storage_, call.uri_);
  if (const PeerHooks* hooks = environment_.router.hooks(); hooks && !after_request_header(*hooks, call)) return;
  if (!parsed) {
    counters.uris_bad.add();
    call.fail(Status::make(code::kBadUri, parsed.error().detail));
    return;
  }
  if (kind == Call::Kind::pull && reply_bytes_ >= options_->output_bytes_max &&
      reply_backlog() >= options_->output_bytes_max) {
    counters.pulls_shed.add();
    call.fail(Status::make(code::kServiceUnavailable, "output_bytes_max reached: take the replies that wait"));
    return;
  }
  call.route_ = environment_.router.find(kind, call.path());
  route_request(call);
  if (!call.deferred_) end_guards(call);
}

void SessionCore::route_request(Call& call) {
  const RouteHooks* hooks = hooks_of(call);
  if (hooks && !begin_guards(*hooks, call)) return;
  if (!call.route_) {
    environment_.counters.routes_unknown.add();
    call.fail(Status::make(code::kNotFound));
    return;
  }
  if (hooks && !before_body(*hooks, call)) return;
  run_handler(*call.route_->handler, call);
}

void SessionCore::run_handler(Handler& handler, Call& call) {
  ++inline_handlers_;
  try {
    handler.run(call);
    if (!call.answered_ && !call.deferred_) call.fail(Status::make(code::kInternal, "the handler gave no reply"));
  } catch (...) {
    // Once deferred, the call belongs to whoever has the DeferredCall, whose end answers it.
    if (!call.deferred_) fail_with_exception(call, std::current_exception());
  }
  --inline_handlers_;
  finish_if_drained();  // the handler may have closed the session, and is answered now
}

void SessionCore::log_completion_exception() {
  std::string what = "not derived from std::exception";
  try {
    throw;
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {
  }
  environment_.counters.handler_exceptions.add();
  environment_.log.write(environment_.handler_errors_limit, host_.now(), LogLevel::error, "pull completion threw",
                         {{"peer", host_.peer_name()}, {"what", what}});
}

void SessionCore::fail_with_exception(Call& call, std::exception_ptr exception) {
  std::string what = "not derived from std::exception";
  try {
    std::rethrow_exception(std::move(exception));
  } catch (const StatusError& error) {
    call.fail(error.status());
    return;
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {
  }
  environment_.counters.handler_exceptions.add();
  environment_.log.write(environment_.handler_errors_limit, host_.now(), LogLevel::error, "handler threw",
                         {{"peer", host_.peer_name()}, {"uri", call.header().uri}, {"what", what}});
  call.fail(Status::make(code::kInternal));
}

void SessionCore::handle_unsupported(const PacketView& packet) {
  const PacketHeader& header = packet.header;
  environment_.counters.protocol_errors.add();
  environment_.log.write(
      environment_.protocol_errors_limit, host_.now(), LogLevel::warning, "unsupported packet type",
      {{"peer", host_.peer_name()},
       {"type", header.type},
       {"seq", header.seq},
       {"uri", header.uri},
       {"gzip", header.gzip},
       {"status_code", header.status_code},
       {"status", header.status},
       {"header_codec", static_cast<unsigned>(packet.header_codec)},
       {"body_codec", static_cast<unsigned>(packet.body_codec)},
       {"packet_bytes", packet.size},
       {"body_bytes", packet.body_with_codec.size()},
       {"body", to_hex(packet.body_with_codec.first(std::min(packet.body_with_codec.size(), kLoggedBodyBytes)))}});
  if (framing::answers_unsupported_type(options_->version)) {
    // Two peers that answer type 0 do so for ever (spec/teleport 3), so that one stays unanswered.
    if (header.type == framing::kTypeUndefined) return;
    OutgoingPacket answer;
    answer.header.status_code = code::kUnsupportedType;
    answer.header.status = status_text(code::kUnsupportedType);
    answer.header_codec = options_->header_codec;
    static_cast<void>(append_reply(answer));
    return;
  }
  reason_ = CloseReason::peer(ErrorCode::unsupported, "packet type " + std::to_string(header.type) + " from " +
                                                          host_.peer_name() + " is not supported (spec/teleport 3)");
  state_ = State::closing;
  end_stream(kErrorLinger);
}

void SessionCore::protocol_error(const Error& error) {
  if (stream_closing_ || state_ == State::ended) return;
  environment_.counters.protocol_errors.add();
  environment_.log.write(environment_.protocol_errors_limit, host_.now(), LogLevel::warning, "session closed",
                         {{"peer", host_.peer_name()}, {"error", to_string(error.code)}, {"rule", error.detail}});
  reason_ = CloseReason{CloseReason::By::local, error};
  reason_.error.detail = host_.peer_name() + ": " + error.detail;
  state_ = State::closing;
  end_stream(kErrorLinger);
}

// --- commands ---

std::unexpected<Error> SessionCore::refuse_command(ErrorCode error_code, std::string why) {
  if (error_code == ErrorCode::overloaded) environment_.counters.calls_refused.add();
  return wayport::fail(error_code, std::move(why));
}

// Field by field: a header copied as a whole stalls on what was just stored.
void SessionCore::set_request(OutgoingPacket& packet, const Request& request) const {
  packet.header.uri = request.uri;
  packet.header.gzip = request.gzip;
  packet.header.status_code = request.status_code;
  packet.header.status = request.status;
  packet.header_codec = request.header_codec != 0 ? request.header_codec : options_->header_codec;
  packet.body = request.body;
}

Result<void> SessionCore::append(const OutgoingPacket& packet) {
  const std::size_t before = output_.size();
  // Codecs, protocols and conversions may be the application's, and throw; half a packet must not stay.
  try {
    WAYPORT_TRY(protocol_.encode(packet, environment_.context, output_));
  } catch (const std::exception& error) {
    output_.truncate(before);
    return wayport::fail(ErrorCode::internal, std::string("encoding threw: ") + error.what());
  } catch (...) {
    output_.truncate(before);
    return wayport::fail(ErrorCode::internal, "encoding threw");
  }
  environment_.counters.packets_written.add();
  environment_.counters.bytes_written.add(output_.size() - before);
  if (before == 0) host_.flush_soon();
  return {};
}

std::optional<std::uint64_t> SessionCore::pull(const Request& request, std::unique_ptr<PendingCall> call) {
  call->session_ = this;
  if (state_ != State::open) {
    fail_later(std::move(call),
               Status::not_executed(code::kWriteFailed, "connection is closed: " + to_string(reason_)));
    return std::nullopt;
  }
  if (peer_drains_) {
    fail_later(std::move(call), Status::not_executed(code::kServiceUnavailable, std::string(kPeerDrains)));
    return std::nullopt;
  }
  const std::size_t unsent = output_.size() + host_.unsent();
  if (calls_.size() >= options_->calls_max || unsent >= options_->output_bytes_max) {
    environment_.counters.calls_refused.add();
    fail_later(
        std::move(call),
        Status::not_executed(code::kServiceUnavailable,
                             calls_.size() >= options_->calls_max
                                 ? "calls_max reached: " + std::to_string(calls_.size()) + " pulls are outstanding"
                                 : "output_bytes_max reached: " + std::to_string(unsent) + " bytes are unsent"));
    return std::nullopt;
  }
  OutgoingPacket packet;
  packet.header.type = framing::kTypePull;
  set_request(packet, request);
  const TimePoint started = host_.now();
  const PeerHooks* const hooks = environment_.router.hooks();
  OutgoingView view{*this, packet, nullptr, started};
  if (hooks) {
    if (Status refused = before_pull(*hooks, view); !refused.ok()) {
      fail_later(std::move(call), std::move(refused));
      return std::nullopt;
    }
  }
  // Taken once nothing else can come between: hooks may pull and push themselves.
  const std::uint64_t seq = packet.header.seq = next_pull_seq_;
  const std::size_t before = output_.size();
  if (const Result<void> written = append(packet); !written) {
    fail_later(std::move(call), Status::not_executed(code::kWriteFailed, written.error().detail));
    return std::nullopt;
  }
  ++next_pull_seq_;
  const std::size_t packet_bytes = output_.size() - before;
  if (hooks) {
    view.packet_bytes = packet_bytes;
    after_pull(*hooks, view);
    begin_pull_guards(*hooks, *call, view);
  }
  call->started_ = started;
  environment_.counters.pulls_sent.add();
  ++owed_replies_;
  if (request.timeout > Duration::zero()) {
    call->timeout_ = request.timeout;
    host_.arm(*call, after(host_.now(), request.timeout));
  }
  calls_.insert(seq, std::move(call));
  set_reading(true);  // for the reply
  return seq;
}

Result<void> SessionCore::push(const Request& request) {
  if (state_ != State::open) {
    return refuse_command(ErrorCode::local_closed, "connection is closed: " + to_string(reason_));
  }
  if (peer_drains_) return refuse_command(ErrorCode::peer_closed, "the peer is closing; not sent");
  const std::size_t unsent = output_.size() + host_.unsent();
  if (unsent >= options_->output_bytes_max) {
    return refuse_command(ErrorCode::overloaded,
                          "output_bytes_max reached: " + std::to_string(unsent) + " bytes are unsent");
  }
  OutgoingPacket packet;
  packet.header.type = framing::push_type(options_->version);
  set_request(packet, request);
  const PeerHooks* const hooks = environment_.router.hooks();
  OutgoingView view{*this, packet, nullptr, hooks ? host_.now() : TimePoint()};
  if (hooks) {
    WAYPORT_TRY(before_push(*hooks, view));
  }
  packet.header.seq = next_push_seq_;
  const std::size_t before = output_.size();
  WAYPORT_TRY(append(packet));
  ++next_push_seq_;
  environment_.counters.pushes_sent.add();
  if (!hooks) return {};
  view.packet_bytes = output_.size() - before;
  return after_push(*hooks, view);
}

void SessionCore::cancel(std::uint64_t seq) {
  std::unique_ptr<PendingCall> call = calls_.take(seq);
  if (!call) return;
  call->unlink();
  fail_later(std::move(call), Status::make(code::kCanceled));
  finish_if_drained();
}

void SessionCore::close(CloseReason reason) {
  if (state_ != State::open) return;
  reason_ = std::move(reason);
  state_ = State::closing;
  close_due_ = after(host_.now(), options_->close_timeout);
  host_.arm(close_deadline_, close_due_);
  announce_drain();
  finish_if_drained();
}

void SessionCore::abort(CloseReason reason) {
  if (state_ == State::ended) return;
  if (state_ == State::open) reason_ = std::move(reason);
  state_ = State::closing;
  end_stream(Duration::zero());
}

void SessionCore::set_read_timeout(Duration timeout) {
  read_timeout_ = timeout;
  read_deadline_.unlink();
  last_packet_ = host_.now();
  if (state_ != State::ended && timeout > Duration::zero()) host_.arm(read_deadline_, after(last_packet_, timeout));
}

void SessionCore::set_write_timeout(Duration timeout) {
  write_timeout_ = timeout;
  write_deadline_.unlink();
  host_.flush_soon();
}

// --- the end ---

void SessionCore::handler_done() {
  --running_handlers_;
  last_packet_ = host_.now();  // time in handlers is not idle time
  finish_if_drained();
  if (state_ == State::ended && running_handlers_ == 0) host_.handlers_finished();
}

void SessionCore::finish_if_drained() {
  if (state_ != State::closing || stream_closing_) return;
  if (inline_handlers_ != 0 || running_handlers_ != 0 || !calls_.empty()) return;
  end_stream(std::max(close_due_ - host_.now(), Duration::zero()));
}

void SessionCore::end_stream(Duration linger) {
  if (stream_closing_ && linger > Duration::zero()) return;
  stream_closing_ = true;
  fail_calls(Status::make(code::kConnectionClosed, "Connection Closed: " + to_string(reason_)));
  host_.close_stream(reason_, linger);
}

void SessionCore::fail_calls(const Status& status) {
  for (std::unique_ptr<PendingCall>& call : calls_.take_all()) fail_later(std::move(call), status);
}

void SessionCore::fail_later(std::unique_ptr<PendingCall> call, Status status) {
  call->unlink();
  end_pull_guards(*call, status.code);
  failed_.emplace_back(std::move(call), std::move(status));
  host_.flush_soon();
}

Chain SessionCore::flush() {
  // Completions may start new calls, which may fail at once: those wait for the next turn.
  std::vector<std::pair<std::unique_ptr<PendingCall>, Status>> failed;
  failed.swap(failed_);
  for (auto& [call, status] : failed) {
    try {
      call->on_failed(std::move(status));
    } catch (...) {
      log_completion_exception();
    }
  }
  written_ += output_.size();
  if (!output_.empty()) last_output_ = host_.now();
  if (!output_.empty() && write_timeout_ > Duration::zero() && !write_deadline_.armed()) {
    taken_at_check_ = written_ - output_.size() - host_.unsent();
    host_.arm(write_deadline_, host_.now() + write_timeout_);
  }
  return std::move(output_);
}

void PendingCall::on_timer() { session_->time_out(*this); }

void SessionCore::time_out(PendingCall& pending) {
  environment_.counters.calls_timed_out.add();
  fail_later(calls_.take(pending.seq_), Status::make(code::kTimeout, "no reply from " + host_.peer_name() + " within " +
                                                                         format_duration(pending.timeout_)));
  finish_if_drained();
}

void SessionCore::on_read_deadline() {
  const TimePoint due = last_packet_ + read_timeout_;
  if (running_handlers_ != 0 || reading_paused_) {
    host_.arm(read_deadline_, host_.now() + read_timeout_);
  } else if (host_.now() < due) {
    host_.arm(read_deadline_, due);
  } else {
    environment_.counters.read_timeouts.add();
    abort(CloseReason::local(ErrorCode::timed_out, "no whole packet from " + host_.peer_name() +
                                                       " within read_timeout " + format_duration(read_timeout_)));
  }
}

void SessionCore::on_write_deadline() {
  const std::size_t unsent = host_.unsent();
  if (unsent == 0) return;  // armed again with the next output
  const std::uint64_t taken = written_ - unsent;
  if (taken == taken_at_check_) {
    environment_.counters.write_timeouts.add();
    abort(CloseReason::local(ErrorCode::timed_out, host_.peer_name() + " took none of " + std::to_string(unsent) +
                                                       " unsent bytes within write_timeout " +
                                                       format_duration(write_timeout_)));
    return;
  }
  taken_at_check_ = taken;
  host_.arm(write_deadline_, host_.now() + write_timeout_);
}

void SessionCore::on_close_deadline() {
  if (stream_closing_) return;
  end_stream(Duration::zero());
}

// --- replies ---

void SessionCore::send_reply(Call& call, const OutgoingBody& body, std::int32_t status_code, std::string_view text,
                             std::int32_t gzip) {
  if (stream_closing_) {
    environment_.counters.replies_dropped.add();
    return;
  }
  const PacketHeader& request = call.header();
  OutgoingPacket packet;
  packet.header.seq = request.seq;
  packet.header.type = framing::kTypeReply;
  packet.header.uri = request.uri;
  // A reply copies the request's level, but not one that no gzip has (spec/teleport 14, item 5).
  packet.header.gzip = framing::is_gzip_level(gzip) ? gzip : 0;
  packet.header.status_code = status_code;
  packet.header.status = text;
  packet.header_codec = call.header_codec();
  packet.body = body;
  const RouteHooks* const hooks = hooks_of(call);
  OutgoingView view{*this, packet, &call, call.received_};
  if (hooks) before_reply(*hooks, view);
  call.outcome_ = packet.header.status_code;
  const std::size_t before = output_.size();
  if (const Result<void> written = append_reply(packet); !written) return refuse_reply(call, written.error());
  if (!hooks) return;
  view.packet_bytes = output_.size() - before;
  after_reply(*hooks, view);
}

Result<void> SessionCore::append_reply(const OutgoingPacket& packet) {
  const std::size_t before = output_.size();
  WAYPORT_TRY(append(packet));
  reply_bytes_ += output_.size() - before;
  last_reply_end_ = written_ + output_.size();
  return {};
}

// A body that cannot be encoded still leaves the caller with one outcome.
void SessionCore::refuse_reply(Call& call, const Error& why) {
  if (stream_closing_) {
    environment_.counters.replies_dropped.add();
    return;
  }
  const PacketHeader& request = call.header();
  environment_.log.write(environment_.handler_errors_limit, host_.now(), LogLevel::error, "reply cannot be encoded",
                         {{"peer", host_.peer_name()}, {"uri", request.uri}, {"why", why.detail}});
  OutgoingPacket packet;
  packet.header = {request.seq, framing::kTypeReply, request.uri, 0, code::kInternal, why.detail};
  packet.header_codec = call.header_codec();
  call.outcome_ = code::kInternal;
  if (!append_reply(packet)) environment_.counters.replies_dropped.add();
}

// The handler's codec, else the request's, else one that fits the type.
void SessionCore::send_value(Call& call, const framing::BodyView& value) {
  const framing::CodecRegistry& codecs = environment_.context.codecs;
  std::uint8_t id = call.reply_codec_;
  if (id == 0) {
    // An empty body may carry an id that nobody knows.
    const bool known = codecs.find(call.body_codec()) != nullptr;
    id = fitting_codec(*value.ops, known ? call.body_codec() : framing::kCodecJson);
  }
  OutgoingBody body;
  body.form = OutgoingBody::Form::value;
  body.codec = codecs.find(id);
  body.value = value;
  if (body.codec) {
    send_reply(call, body, code::kOk, status_text(code::kOk), call.reply_gzip_.value_or(call.header().gzip));
  } else {
    refuse_reply(call, {ErrorCode::unsupported, "no body codec is registered under id " + std::to_string(id), {}});
  }
}

}  // namespace wayport::rpc
