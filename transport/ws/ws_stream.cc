#include "wayport/transport/ws/ws_stream.h"

#include <algorithm>
#include <array>
#include <utility>

namespace wayport::transport {
namespace {

using ws::CloseCode;
using ws::FrameEvent;
using ws::Opcode;

// How long a Close frame for an error may take to leave, and in any case the peer to end the connection.
constexpr Linger kCloseLinger{std::chrono::seconds(1)};

void count(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

// What leaves from some moment on: bytes of the lower stream's queue then, and of what was handed down since.
struct WsStream::Output {
  std::uint64_t handed;    // all of them
  std::uint64_t gone = 0;  // of them, when last looked at

  // Whether some left since the last look.
  bool moved(std::uint64_t queued) {
    const std::uint64_t before = std::exchange(gone, handed - std::min(handed, queued));
    return gone > before;
  }

  // Of a ping that is due:
  std::uint64_t ping_end = 0;  // bytes up to its last one; 0: not framed yet
  bool in_queue = true;        // it was not seen to have left

  // Whether the peer's time begins now: the ping has just left, or what is in front of it moves.
  bool begins(std::uint64_t queued) {
    if (!in_queue) return false;
    const bool any = moved(queued);
    in_queue = ping_end == 0 || gone < ping_end;
    return any || !in_queue;
  }
};

PeerInfo ws_peer_info(const PeerInfo& lower, bool secure, std::unique_ptr<const HttpRequest> http) {
  PeerInfo info;
  info.remote = lower.remote;
  info.local = lower.local;
  info.unix_peer = lower.unix_peer;
  if (lower.tls) info.tls = std::make_unique<TlsPeer>(*lower.tls);
  info.scheme = secure ? "wss" : "ws";
  info.http = std::move(http);
  return info;
}

StreamOptions WsStream::lower_options(StreamOptions options) noexcept {
  options.queue_bytes_max += options.queue_bytes_max / 4 + 64 * 1024;
  return options;
}

WsStream::WsStream(std::unique_ptr<Stream> lower, Side side, const WsOptions& options, const StreamOptions& stream,
                   PeerInfo peer, ws::RandomSource* random, std::shared_ptr<WsCounters> counters,
                   std::optional<CloseReason> dead)
    : lower_(std::move(lower)),
      reader_(
          {.from_client = side == Side::server, .text = options.text, .message_bytes_max = options.message_bytes_max}),
      random_(random),
      counters_(std::move(counters)),
      ping_(options.ping),
      ping_timeout_(options.ping_timeout),
      close_wait_(options.close_wait),
      queue_bytes_max_(stream.queue_bytes_max),
      high_water_bytes_(stream.high_water_bytes),
      low_water_bytes_(stream.low_water_bytes),
      client_(side == Side::client),
      messages_(options.messages),
      peer_(std::move(peer)) {
  WAYPORT_ASSERT(!client_ || random_, "a client masks what it sends");
  if (dead) {
    dead_ = std::make_unique<CloseReason>(*std::move(dead));
  } else {
    lower_->replace_events(*this);
  }
}

WsStream::~WsStream() = default;

// --- the consumer's side ---

void WsStream::start(StreamEvents& events) {
  WAYPORT_ASSERT(!events_, "a stream is started once");
  events_ = &events;
  if (dead_) return schedule();
  arm_ping();
  if (reading_) lower_->read(true);
}

void WsStream::read(bool on) {
  if (closing_ || on == reading_) return;
  reading_ = on;
  lower_->read(on && events_ != nullptr);
  if (!on) return;
  if (showing_ || !kept_.empty()) show_again_ = true;
  if (show_again_ || tell_read_end_) schedule();
}

Pressure WsStream::write(Chain&& chain, bool message_end) {
  Chain taken = std::move(chain);
  if (closing_ || shutdown_wanted_ || dead_) return Pressure::none;
  const std::size_t total = queued() + taken.size();
  if (total > queue_bytes_max_) {
    fail(CloseReason::local(ErrorCode::overloaded, "queue (" + peer_.remote_url() + "): " + std::to_string(total) +
                                                       " bytes are more than queue_bytes_max " +
                                                       std::to_string(queue_bytes_max_)),
         {});
    return Pressure::high;
  }
  pending_.append(std::move(taken));
  if (message_end) frame_pending(true);
  schedule();
  if (total < high_water_bytes_) return Pressure::none;
  pressed_ = true;
  return Pressure::high;
}

void WsStream::shutdown_write() {
  if (closing_ || shutdown_wanted_) return;
  shutdown_wanted_ = true;
  schedule();
}

void WsStream::close(CloseReason reason, Linger linger) {
  if (told_closed_) return;
  if (!closing_ && !dead_ && linger.time > Duration::zero()) {
    frame_pending(false);
    const CloseCode code = ws::close_code_of(reason.error.code);
    send_close(read_end_ ? peer_code_ : code, code == CloseCode::normal ? "" : to_string(reason.error.code));
  }
  fail(std::move(reason), linger);
}

void WsStream::replace_events(StreamEvents& events) {
  events_ = &events;
  if (closing_) return;
  if (!kept_.empty()) show_again_ = true;
  if (read_end_) tell_read_end_ = true;
  if (show_again_ || tell_read_end_) schedule();
}

// --- the lower stream's side ---

std::size_t WsStream::on_bytes(MutableBytes bytes, bool) {
  if (closing_ || read_end_) return bytes.size();
  if (!events_ || !reading_) return 0;
  heard_ = true;
  DropWatch watch(*this);
  if (show_again_) {
    show_kept();
    if (watch.dropped() || closing_) return bytes.size();
  }
  std::size_t at = 0;
  while (reading_) {
    const FrameEvent event = reader_.next(bytes.subspan(at));
    at += event.consumed;
    switch (event.kind) {
      case FrameEvent::Kind::more:
        return at;
      case FrameEvent::Kind::data:
        // An empty message, or the empty end of one, is something only where messages matter.
        if (!event.payload.empty() || messages_) deliver(event.payload, event.message_end);
        break;
      case FrameEvent::Kind::ping:
        handle_ping(event.payload);
        break;
      case FrameEvent::Kind::pong:
        break;
      case FrameEvent::Kind::close:
        handle_close(event);
        return bytes.size();
      case FrameEvent::Kind::failed:
        count(event.code == CloseCode::too_big ? counters_->messages_too_large : counters_->protocol_errors);
        break_off(event.code, {CloseReason::By::peer,
                               {event.code == CloseCode::too_big            ? ErrorCode::too_large
                                : event.code == CloseCode::unsupported_data ? ErrorCode::unsupported
                                                                            : ErrorCode::malformed,
                                "websocket with " + peer_.remote_url() + ": " + event.why,
                                {}}});
        return bytes.size();
    }
    if (watch.dropped() || closing_) return bytes.size();
  }
  return at;
}

// One piece of a message, behind what was kept.
void WsStream::deliver(MutableBytes payload, bool message_end) {
  if (kept_.empty()) return show(payload, message_end);
  const MutableBytes scratch = loop().scratch(scratch_depth());
  if (scratch.size() - kept_.size() >= payload.size()) {
    const std::size_t kept = kept_.copy_to(scratch);
    std::ranges::copy(payload, scratch.begin() + static_cast<std::ptrdiff_t>(kept));
    kept_.clear();
    return show(scratch.first(kept + payload.size()), message_end);
  }
  kept_.append(payload);
  kept_end_ = message_end;
  show_kept();
}

// Same rules as every stream's.
void WsStream::show(MutableBytes bytes, bool message_end) {
  DropWatch watch(*this);
  showing_ = true;
  for (;;) {
    StreamEvents* const consumer = events_;
    const std::size_t consumed = consumer->on_bytes(bytes, message_end);
    if (watch.dropped()) return;
    WAYPORT_ASSERT(consumed <= bytes.size(), "on_bytes() consumed more than it was shown");
    bytes = bytes.subspan(consumed);
    if (bytes.empty() || events_ == consumer || !reading_ || closing_) break;
  }
  showing_ = false;
  if (closing_ || bytes.empty()) return;
  if (reading_ && bytes.size() > kUnconsumedBytesMax) {
    return fail(CloseReason::local(ErrorCode::internal, "consumer (" + peer_.remote_url() + ") left " +
                                                            std::to_string(bytes.size()) + " bytes unconsumed"),
                {});
  }
  // In front of what did not fit into the scratch.
  Chain rest;
  rest.append(bytes);
  if (kept_.empty()) {
    kept_end_ = message_end;
  } else {
    rest.append(std::move(kept_));
  }
  kept_ = std::move(rest);
}

void WsStream::show_kept() {
  show_again_ = false;
  DropWatch watch(*this);
  for (;;) {
    if (kept_.empty()) return;
    const std::size_t before = kept_.size();
    const MutableBytes scratch = loop().scratch(scratch_depth());
    const std::size_t shown = kept_.copy_to(scratch);
    kept_.consume(shown);
    show(scratch.first(shown), kept_.empty() && kept_end_);
    // Again only if there was more than fits, and the consumer makes progress.
    if (watch.dropped() || closing_ || !reading_ || shown == before || kept_.size() == before) return;
  }
}

void WsStream::handle_ping(Bytes payload) {
  if (close_sent_) return;
  if (pong_due_) count(counters_->pings_unanswered);
  pong_.clear();
  pong_.append(payload);
  pong_due_ = true;
  if (!lower_pressed_) schedule();
}

void WsStream::handle_close(const FrameEvent& event) {
  read_end_ = true;
  peer_code_ = event.code;
  if (!ws::is_orderly(event.code)) {
    return break_off(event.code, ws::reason_of(event.code, as_text(event.payload), peer_.remote_url()));
  }
  tell_read_end_ = true;
  if (!close_sent_) {
    output_ = std::make_unique<Output>(Output{.handed = lower_->queued()});
    loop().arm(*this, after(loop().now(), close_wait_));
  }
  schedule();
}

void WsStream::on_writable() {
  lower_pressed_ = false;
  schedule();
}

void WsStream::on_read_end() {
  if (closing_ || read_end_) return;
  fail({CloseReason::By::peer,
        {ErrorCode::peer_closed,
         "websocket with " + peer_.remote_url() + " was truncated: it ended without a close frame",
         {}}},
       {});
}

void WsStream::on_closed(const CloseReason& reason) {
  loop().disarm(*this);
  if (leaving_) leaving_->stop();
  if (!events_) {
    dead_ = std::make_unique<CloseReason>(reason);
    return;
  }
  closing_ = true;
  told_closed_ = true;
  events_->on_closed(reason);  // `this` may be gone
}

void WsStream::on_turn_end() {
  DropWatch watch(*this);
  if (dead_) {
    if (!events_ || told_closed_) return;
    closing_ = true;
    told_closed_ = true;
    const CloseReason reason = *dead_;
    return events_->on_closed(reason);  // `this` may be gone
  }
  if (closing_) return;
  frame_pending(false);
  if (!lower_pressed_ && !close_sent_) {
    if (output_ && output_->ping_end == 0 && !read_end_) {
      // With nothing in front of it, it leaves in this turn.
      output_->in_queue = !framed_.empty() || lower_->queued() != 0;
      frame(Opcode::ping, true, Chain());
      output_->ping_end = output_->handed + framed_.size();
    }
    if (pong_due_) frame(Opcode::pong, true, std::exchange(pong_, Chain()));
    pong_due_ = false;
  }
  if (shutdown_wanted_ && !close_sent_) send_close(read_end_ ? peer_code_ : CloseCode::normal, "");
  hand_down();
  if (!events_) return;
  // A lower stream below its high water will not call.
  if (pressed_ && (queued() <= low_water_bytes_ || !lower_pressed_)) {
    pressed_ = false;
    events_->on_writable();
    if (watch.dropped()) return;
  }
  if (show_again_ && reading_ && !closing_) show_kept();
  if (watch.dropped()) return;
  if (tell_read_end_ && reading_ && !show_again_ && !closing_) {
    tell_read_end_ = false;
    events_->on_read_end();
    if (watch.dropped()) return;
  }
  if (read_end_ && !tell_read_end_ && close_sent_ && !closing_ && !leaving_) leave();
}

// Both Close frames are there; bytes may be queued in front of ours. The lower stream may end in order by itself before
// the verdict.
void WsStream::leave() {
  loop().disarm(*this);
  lower_->shutdown_write();
  leaving_ = std::make_unique<QueueWatch>(*lower_, [this](QueueWatch::Verdict verdict) {
    const std::string who = "websocket with " + peer_.remote_url();
    if (verdict == QueueWatch::Verdict::empty) {
      return fail({CloseReason::By::peer, {ErrorCode::peer_closed, who + " ended in order", {}}}, kCloseLinger);
    }
    fail(CloseReason::local(ErrorCode::timed_out, who + ": of " + std::to_string(lower_->queued()) +
                                                      " bytes up to our close frame none left in " +
                                                      format_duration(QueueWatch::kStallMax)),
         {});
  });
}

// --- liveness ---

void WsStream::arm_ping() {
  if (ping_ > Duration::zero()) loop().arm(*this, after(loop().now(), ping_));
}

void WsStream::on_timer() {
  if (closing_) return;
  if (read_end_) {
    if (close_sent_) return;
    if (output_->moved(lower_->queued())) return loop().arm(*this, after(loop().now(), close_wait_));
    return break_off(
        peer_code_, {CloseReason::By::local,
                     {ErrorCode::timed_out,
                      "websocket with " + peer_.remote_url() + ": our side did not end after the peer's close frame, " +
                          "and nothing left within close_wait " + format_duration(close_wait_),
                      {}}});
  }
  // Who does not read does not hear; and after our Close frame nothing may be asked.
  if (heard_ || !reading_ || close_sent_) {
    heard_ = false;
    output_.reset();
    return arm_ping();
  }
  if (!output_) {
    output_ = std::make_unique<Output>(Output{.handed = lower_->queued()});
    schedule();
  } else if (!output_->begins(lower_->queued())) {
    count(counters_->ping_timeouts);
    const std::string what = output_->in_queue
                                 ? ": nothing came and nothing of what is queued left, with a ping due, within "
                                 : ": nothing came after a ping within ";
    return break_off(CloseCode::policy_violation,
                     {CloseReason::By::local,
                      {ErrorCode::timed_out,
                       "websocket with " + peer_.remote_url() + what + "ping_timeout " + format_duration(ping_timeout_),
                       {}}});
  }
  loop().arm(*this, after(loop().now(), ping_timeout_));
}

// --- output ---

// Frames what was written. `whole_message`: it ends here.
void WsStream::frame_pending(bool whole_message) {
  if (close_sent_) return pending_.clear();
  if (messages_ || whole_message) {
    if (pending_.empty() && !whole_message) return;
    if (pending_.empty() && !messages_) return;
    const Opcode opcode = open_message_ ? Opcode::continuation : Opcode::binary;
    open_message_ = !whole_message;
    return frame(opcode, whole_message, std::exchange(pending_, Chain()));
  }
  while (!pending_.empty()) {
    frame(Opcode::binary, true, pending_.split(std::min(pending_.size(), kMessageBytesSent)));
  }
}

void WsStream::frame(Opcode opcode, bool final, Chain payload) {
  std::array<std::byte, ws::kFrameHeaderBytesMax> header;
  if (!client_) {
    framed_.append(Bytes(header.data(), ws::write_frame_header(header.data(), opcode, final, payload.size(), nullptr)));
    return framed_.append(std::move(payload));
  }
  ws::MaskKey key;
  random_->fill(key);
  framed_.append(Bytes(header.data(), ws::write_frame_header(header.data(), opcode, final, payload.size(), &key)));
  for (std::size_t offset = 0; !payload.empty();) {
    Bytes piece = payload.front();
    piece = piece.first(std::min(piece.size(), kMessageBytesSent / 2));
    ws::copy_masked(piece, framed_.append_uninitialized(piece.size()).data(), key, offset);
    offset += piece.size();
    payload.consume(piece.size());
  }
}

void WsStream::send_close(CloseCode code, std::string_view text) {
  if (close_sent_) return;
  Chain payload;
  if (code != CloseCode::no_status) {
    store_be(payload.append_uninitialized(2).data(), static_cast<std::uint16_t>(code));
    payload.append(text.substr(0, ws::kControlBytesMax - 2));
  }
  frame(Opcode::close, true, std::move(payload));
  close_sent_ = shutdown_wanted_ = true;
}

void WsStream::hand_down() {
  if (framed_.empty()) return;
  if (output_) output_->handed += framed_.size();
  if (lower_->write(std::exchange(framed_, Chain())) == Pressure::high) lower_pressed_ = true;
}

// With a Close frame, for what the stream itself finds.
void WsStream::break_off(CloseCode code, CloseReason reason) {
  frame_pending(false);
  send_close(code, code == CloseCode::normal || read_end_ ? "" : to_string(reason.error.code));
  fail(std::move(reason), kCloseLinger);
}

void WsStream::fail(CloseReason reason, Linger linger) {
  if (told_closed_) return;
  loop().disarm(*this);
  if (leaving_) leaving_->stop();
  closing_ = true;
  pending_.clear();
  kept_.clear();
  hand_down();
  if (!dead_) return lower_->close(std::move(reason), linger);
  // It has closed, and only we know.
  closing_ = false;
  schedule();
}

}  // namespace wayport::transport
