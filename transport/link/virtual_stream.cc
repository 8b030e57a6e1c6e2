#include "wayport/transport/link/virtual_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace wayport::link {

using transport::DropWatch;
using transport::kUnconsumedBytesMax;
using transport::StreamEvents;

// draining: output still leaves until the time is over. Else on_closed() follows at turn end.
struct VirtualStream::Closing final : Timer {
  Closing(VirtualStream& owner, CloseReason why) : stream(owner), reason(std::move(why)) {}
  void on_timer() override { stream.finish(reason); }

  VirtualStream& stream;
  CloseReason reason;
  TimePoint due = kNever;
  bool draining = false;
};

VirtualStream::VirtualStream(std::unique_ptr<VirtualConnection> connection, const transport::StreamOptions& options)
    : loop_(connection->loop()),
      lower_(std::move(connection)),
      connection_id_(lower_->id()),
      remote_id_(lower_->remote_id()),
      queue_bytes_max_(options.queue_bytes_max),
      high_water_bytes_(options.high_water_bytes),
      low_water_bytes_(options.low_water_bytes),
      scratch_depth_(lower_->scratch_depth() + 1) {
  const transport::PeerInfo& gateway = lower_->peer();
  peer_.scheme = "link";
  peer_.remote = gateway.remote;
  peer_.local = gateway.local;
}

VirtualStream::~VirtualStream() = default;

// --- the consumer's side ---

void VirtualStream::start(StreamEvents& events) {
  WAYPORT_ASSERT(!events_, "a stream is started once");
  events_ = &events;
  if (closing_) return schedule();
  lower_->start(*this);
  if (!reading_) lower_->read(false);
}

void VirtualStream::read(bool on) {
  if (closing_ || on == reading_) return;
  reading_ = on;
  if (events_ && lower_) lower_->read(on);
  if (!on || (!showing_ && kept_.empty() && !ended_)) return;
  show_again_ = true;
  schedule();
}

Pressure VirtualStream::write(Chain&& chain, bool message_end) {
  Chain taken = std::move(chain);
  if (closing_ || ended_ || shutdown_) return Pressure::none;
  const std::size_t total = queued() + taken.size();
  if (total > queue_bytes_max_) {
    finish(CloseReason::local(ErrorCode::overloaded,
                              "link queue (" + peer_.remote_url() + ", virtual connection " +
                                  std::to_string(connection_id_) + "): " + std::to_string(total) +
                                  " bytes are more than queue_bytes_max " + std::to_string(queue_bytes_max_)));
    return Pressure::high;
  }
  open_bytes_ += taken.size();
  plain_.append(std::move(taken));
  if (message_end && open_bytes_ != 0) ends_.push_back(std::exchange(open_bytes_, 0));
  if (!plain_.empty() && !lower_pressed_) schedule();
  if (total < high_water_bytes_) return Pressure::none;
  pressed_ = true;
  return Pressure::high;
}

void VirtualStream::close(CloseReason reason, Linger linger) {
  if (told_closed_) return;
  if (linger.time <= Duration::zero() || ended_ || !events_) return finish(std::move(reason));
  const TimePoint due = after(loop_.now(), linger.time);
  if (closing_) {
    if (!closing_->draining || due >= closing_->due) return;
  } else {
    closing_ = std::make_unique<Closing>(*this, std::move(reason));
    closing_->draining = true;
    kept_.clear();
    // What arrives is dropped, and must not wait.
    lower_->read(true);
  }
  closing_->due = due;
  loop_.arm(*closing_, due);
  drain();
}

// When everything was handed down the connection closes, and its end is the end.
void VirtualStream::drain() {
  hand_down();
  if (!plain_.empty()) return;
  lower_->close(closing_->reason, {closing_->due == kNever ? Duration::max() : closing_->due - loop_.now()});
}

void VirtualStream::finish(CloseReason reason) {
  if (told_closed_ || (closing_ && !closing_->draining)) return;
  if (!closing_) closing_ = std::make_unique<Closing>(*this, std::move(reason));
  closing_->draining = false;
  loop_.disarm(*closing_);
  plain_.clear();
  ends_.clear();
  kept_.clear();
  lower_.reset();
  schedule();
}

void VirtualStream::replace_events(StreamEvents& events) {
  events_ = &events;
  if (closing_) return;
  if (showing_ || !kept_.empty() || ended_) {
    told_end_ = false;
    show_again_ = true;
    schedule();
  }
}

// --- reading ---

void VirtualStream::on_message(MutableBytes message) {
  if (closing_ || message.empty()) return;
  deliver(message);  // `this` may be gone
}

void VirtualStream::on_closed(const CloseReason& reason) {
  if (closing_) return finish(closing_->reason);
  if (reason.error.code != ErrorCode::peer_closed) return finish(reason);
  ended_ = std::make_unique<CloseReason>(reason);
  plain_.clear();
  ends_.clear();
  lower_pressed_ = false;
  schedule();
}

// Shows what was kept and then `fresh`, contiguous as far as a scratch buffer goes. Same rules as every stream's.
void VirtualStream::deliver(MutableBytes fresh) {
  DropWatch watch(*this);
  show_again_ = false;
  while (events_ && reading_ && !(fresh.empty() && kept_.empty())) {
    MutableBytes shown = std::exchange(fresh, {});
    if (!kept_.empty()) {
      const MutableBytes scratch = loop_.scratch(scratch_depth_);
      const std::size_t old = kept_.copy_to(scratch);
      kept_.consume(old);
      const std::size_t add = kept_.empty() ? std::min(scratch.size() - old, shown.size()) : 0;
      if (add != 0) std::memcpy(scratch.data() + old, shown.data(), add);
      fresh = shown.subspan(add);
      shown = scratch.first(old + add);
    }
    const bool all_shown = fresh.empty() && kept_.empty();
    const std::size_t consumed = show(shown, all_shown);
    if (watch.dropped() || closing_) return;
    const MutableBytes left = shown.subspan(consumed);
    if (!left.empty()) {
      Chain front;
      front.append(left);
      front.append(std::exchange(kept_, Chain()));
      kept_ = std::move(front);
    }
    if (all_shown || left.size() > kUnconsumedBytesMax) break;
  }
  kept_.append(fresh);
  if (events_ && reading_ && kept_.size() > kUnconsumedBytesMax) {
    finish(CloseReason::local(ErrorCode::internal, "consumer (" + peer_.remote_url() + ") left " +
                                                       std::to_string(kept_.size()) + " bytes unconsumed"));
  }
}

// `this` may be gone afterwards.
std::size_t VirtualStream::show(MutableBytes bytes, bool message_end) {
  DropWatch watch(*this);
  showing_ = true;
  const std::size_t consumed = events_->on_bytes(bytes, message_end);
  if (watch.dropped()) return bytes.size();
  showing_ = false;
  WAYPORT_ASSERT(consumed <= bytes.size(), "on_bytes() consumed more than it was shown");
  return consumed;
}

// --- writing ---

void VirtualStream::hand_down() {
  while (!plain_.empty() && !ended_) {
    const bool whole = !ends_.empty();
    const std::size_t size =
        std::min({whole ? ends_.front() : kFrameBytes, lower_->message_bytes_max(), plain_.size()});
    if (!lower_->has_room(size)) {
      lower_pressed_ = true;
      return;
    }
    if (!whole) {
      open_bytes_ -= size;
    } else if ((ends_.front() -= size) == 0) {
      ends_.pop_front();
    }
    const Result<Pressure> sent = lower_->send(plain_.split(size));
    if (!sent) return;  // its on_closed() follows
    if (*sent == Pressure::high) lower_pressed_ = true;
    if (lower_pressed_) return;
  }
}

void VirtualStream::on_writable() {
  lower_pressed_ = false;
  if (closing_) {
    if (closing_->draining) drain();
    return;
  }
  hand_down();
  relieve();  // `this` may be gone
}

void VirtualStream::relieve() {
  if (!pressed_ || closing_ || !events_) return;
  // A connection that has room will not call.
  if (queued() > low_water_bytes_ && !(plain_.empty() && !lower_pressed_)) return;
  pressed_ = false;
  events_->on_writable();
}

void VirtualStream::on_turn_end() {
  if (told_closed_) return;
  if (closing_) {
    if (closing_->draining || !events_) return;
    told_closed_ = true;
    const CloseReason reason = closing_->reason;
    return events_->on_closed(reason);  // `this` may be gone
  }
  DropWatch watch(*this);
  if (!lower_pressed_ && events_) hand_down();
  relieve();
  if (watch.dropped() || closing_) return;
  if (show_again_ && reading_ && !kept_.empty()) deliver({});
  if (watch.dropped() || closing_ || !ended_ || !events_) return;
  // What the consumer leaves unconsumed while it reads stays so for ever.
  if (reading_ || kept_.empty()) tell_end();
}

void VirtualStream::tell_end() {
  if (!told_end_) {
    told_end_ = true;
    DropWatch watch(*this);
    events_->on_read_end();
    if (watch.dropped() || closing_) return;
    // Whoever was told takes it in before the stream goes.
    return schedule();
  }
  finish(*ended_);
}

}  // namespace wayport::link
