#include "wayport/transport/snet/snet_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace wayport::transport {
namespace {

constexpr std::size_t kPieceBytesMax = 64 * 1024;

// A quarter of the ring may wait below, and one piece of that size on top; the rest is for the kernel and the path.
std::size_t share_of(std::size_t ring_bytes) noexcept { return std::max<std::size_t>(1, ring_bytes / 4); }

}  // namespace

// draining: output still leaves until the time is over. Else on_closed() follows at turn end.
struct SnetStream::Closing final : Timer {
  Closing(SnetStream& owner, CloseReason why) : stream(owner), reason(std::move(why)) {}
  void on_timer() override { stream.finish(reason); }

  SnetStream& stream;
  CloseReason reason;
  TimePoint due = kNever;
  bool draining = false;
};

StreamOptions SnetStream::lower_options(StreamOptions options, std::size_t ring_bytes) noexcept {
  options.high_water_bytes = std::min(options.high_water_bytes, share_of(ring_bytes));
  options.low_water_bytes = std::min(options.low_water_bytes, options.high_water_bytes / 2);
  // A resumed connection begins with as much as the ring holds.
  options.queue_bytes_max += ring_bytes + 2 * kPieceBytesMax;
  return options;
}

SnetStream::SnetStream(Loop& loop, snet::Session session, const StreamOptions& options)
    : loop_(loop),
      session_(std::move(session)),
      queue_bytes_max_(options.queue_bytes_max),
      high_water_bytes_(options.high_water_bytes),
      low_water_bytes_(options.low_water_bytes) {
  peer_.scheme = "snet";
}

SnetStream::~SnetStream() {
  if (keeper_) keeper_->retire();
}

void SnetStream::describe_peer(const PeerInfo& below) {
  peer_.remote = below.remote;
  peer_.local = below.local;
  peer_.unix_peer = below.unix_peer;
  peer_.tls = below.tls ? std::make_unique<TlsPeer>(*below.tls) : nullptr;
}

// --- connections come and go ---

bool SnetStream::resume(std::unique_ptr<Stream>& lower, std::uint64_t announced, std::uint64_t peer_received) {
  if (told_closed_ || (closing_ && !closing_->draining)) return false;
  std::optional<Chain> missing = session_.resume(announced, peer_received);
  if (!missing) return false;
  lower_ = std::move(lower);
  lower_pressed_ = false;
  scratch_depth_ = lower_->scratch_depth() + 1;
  describe_peer(lower_->peer());
  lower_->replace_events(*this);
  lower_->read(events_ != nullptr && reading_);
  if (!missing->empty()) lower_pressed_ = lower_->write(*std::move(missing)) == Pressure::high;
  keeper_->on_attached();
  if (closing_) {
    drain();
  } else {
    schedule();
  }
  return true;
}

void SnetStream::on_read_end() {
  lose({ErrorCode::peer_closed, "the connection with " + peer_.remote_url() + " ended", {}});
}

void SnetStream::on_closed(const CloseReason& reason) { lose(reason.error); }

void SnetStream::lose(const Error& why) {
  if (!lower_) return;
  lower_.reset();
  lower_pressed_ = false;
  if (closing_) return finish(closing_->reason);
  keeper_->on_detached(why);
}

bool SnetStream::reconnect_now() {
  if (closing_ || !keeper_ || !keeper_->reconnect_now()) return false;
  lose({ErrorCode::timed_out, "the connection with " + peer_.remote_url() + " was given up here", {}});
  return true;
}

// --- the consumer's side ---

void SnetStream::start(StreamEvents& events) {
  WAYPORT_ASSERT(!events_, "a stream is started once");
  events_ = &events;
  if (lower_ && reading_) lower_->read(true);
  show_again_ = !kept_.empty();
  if (closing_ || show_again_) schedule();
}

void SnetStream::read(bool on) {
  if (closing_ || on == reading_) return;
  reading_ = on;
  if (lower_ && events_) lower_->read(on);
  if (!on || (!showing_ && kept_.empty())) return;
  show_again_ = true;
  schedule();
}

Pressure SnetStream::write(Chain&& chain, bool) {
  Chain taken = std::move(chain);
  if (closing_ || shutdown_) return Pressure::none;
  const std::size_t total = queued() + taken.size();
  if (total > queue_bytes_max_) {
    finish(CloseReason::local(ErrorCode::overloaded,
                              "snet queue (" + peer_.remote_url() + "): " + std::to_string(total) +
                                  " bytes are more than queue_bytes_max " + std::to_string(queue_bytes_max_)));
    return Pressure::high;
  }
  plain_.append(std::move(taken));
  if (!lower_) {
    keeper_->on_growth();
  } else if (!plain_.empty() && !lower_pressed_) {
    schedule();
  }
  if (total < high_water_bytes_) return Pressure::none;
  pressed_ = true;
  return Pressure::high;
}

void SnetStream::close(CloseReason reason, Linger linger) {
  if (told_closed_) return;
  if (linger.time <= Duration::zero()) return finish(std::move(reason));
  const TimePoint due = after(loop_.now(), linger.time);
  if (closing_) {
    if (!closing_->draining || due >= closing_->due) return;
  } else {
    closing_ = std::make_unique<Closing>(*this, std::move(reason));
    closing_->draining = true;
    kept_.clear();
  }
  closing_->due = due;
  loop_.arm(*closing_, due);
  if (lower_) drain();
}

// From here on the lower stream's drain is ours: its end is the end.
void SnetStream::drain() {
  hand_down(true);
  lower_->close(closing_->reason, {closing_->due == kNever ? Duration::max() : closing_->due - loop_.now()});
}

void SnetStream::finish(CloseReason reason) {
  if (told_closed_ || (closing_ && !closing_->draining)) return;
  if (!closing_) closing_ = std::make_unique<Closing>(*this, std::move(reason));
  closing_->draining = false;
  loop_.disarm(*closing_);
  plain_.clear();
  kept_.clear();
  lower_.reset();
  if (keeper_) {
    keeper_->retire();
    loop_.delete_later(std::move(keeper_));
  }
  schedule();
}

void SnetStream::replace_events(StreamEvents& events) {
  events_ = &events;
  if (closing_) return;
  if (showing_ || !kept_.empty()) {
    show_again_ = true;
    schedule();
  }
}

// --- reading ---

std::size_t SnetStream::on_bytes(MutableBytes bytes, bool) {
  const std::size_t taken = bytes.size();
  if (!closing_) deliver(session_.receive(bytes));  // `this` may be gone
  return taken;
}

// Shows what was kept and then `fresh`, contiguous as far as a scratch buffer goes. Same rules as every stream's.
void SnetStream::deliver(MutableBytes fresh) {
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
    const std::size_t consumed = show(shown);
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
std::size_t SnetStream::show(MutableBytes bytes) {
  DropWatch watch(*this);
  showing_ = true;
  const std::size_t consumed = events_->on_bytes(bytes, false);
  if (watch.dropped()) return bytes.size();
  showing_ = false;
  WAYPORT_ASSERT(consumed <= bytes.size(), "on_bytes() consumed more than it was shown");
  return consumed;
}

// --- writing ---

void SnetStream::hand_down(bool whatever_the_pressure) {
  const std::size_t piece = std::min(share_of(session_.options().ring_bytes), kPieceBytesMax);
  while (lower_ && !plain_.empty() && (!lower_pressed_ || whatever_the_pressure)) {
    Chain wire = session_.write(plain_.split(std::min(piece, plain_.size())));
    if (lower_->write(std::move(wire)) == Pressure::high) lower_pressed_ = true;
  }
}

void SnetStream::on_writable() {
  lower_pressed_ = false;
  if (closing_) return;
  // Here and not at turn end: a lower stream puts off what is written in its on_writable(), so that no fast pair holds
  // the loop.
  hand_down(false);
  relieve();  // `this` may be gone
}

void SnetStream::relieve() {
  if (!pressed_ || closing_ || !events_) return;
  // A lower stream below its high water will not call.
  if (queued() > low_water_bytes_ && !(lower_ && plain_.empty() && !lower_pressed_)) return;
  pressed_ = false;
  events_->on_writable();
}

void SnetStream::on_turn_end() {
  if (told_closed_) return;
  if (closing_) {
    if (closing_->draining || !events_) return;
    told_closed_ = true;
    const CloseReason reason = closing_->reason;
    return events_->on_closed(reason);  // `this` may be gone
  }
  DropWatch watch(*this);
  hand_down(false);
  relieve();
  if (watch.dropped() || closing_) return;
  if (show_again_ && reading_) deliver({});
}

}  // namespace wayport::transport
