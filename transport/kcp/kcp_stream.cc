#include "wayport/transport/kcp/kcp_stream.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace wayport::transport::kcp {
namespace {

constexpr std::size_t kPieces = 256;

}  // namespace

KcpStream::KcpStream(std::shared_ptr<KcpDriver> driver, KcpSession& session, PeerInfo peer,
                     const StreamOptions& options)
    : driver_(std::move(driver)), session_(&session), options_(options), peer_(std::move(peer)) {
  peer_.scheme = "kcp";
  session.set_events(*this);
  readable_ = session.has_readable();
}

KcpStream::~KcpStream() {
  Loop& loop = driver_->loop();
  if (session_ != nullptr) {
    session_->clear_events();
    session_->close(CloseReason::local(ErrorCode::local_closed, "kcp: the stream was dropped"), Duration(0));
  }
  // The session ends at the end of the turn; bytes of it may be on loan to the consumer until then.
  loop.delete_later(std::make_unique<std::shared_ptr<KcpDriver>>(std::move(driver_)));
}

void KcpStream::start(StreamEvents& events) {
  WAYPORT_ASSERT(events_ == nullptr, "a stream is started once");
  events_ = &events;
  schedule();
}

void KcpStream::read(bool on) {
  if (closing_ || on == reading_) return;
  reading_ = on;
  if (!on) return;
  if (showing_ || !kept_.empty() || (session_ != nullptr && session_->has_readable())) readable_ = true;
  if (readable_ || tell_read_end_) schedule();
}

Pressure KcpStream::write(Chain&& chain, bool) {
  Chain taken = std::move(chain);
  if (closing_ || shutdown_wanted_ || session_ == nullptr) return Pressure::none;
  if (taken.size() > options_.queue_bytes_max - std::min(options_.queue_bytes_max, out_.size())) {
    fail(CloseReason::local(ErrorCode::overloaded,
                            describe("queue") + ": " + std::to_string(out_.size() + taken.size()) +
                                " bytes are more than queue_bytes_max " + std::to_string(options_.queue_bytes_max)));
    return Pressure::high;
  }
  if (!taken.empty()) {
    out_.append(std::move(taken));
    schedule();
  }
  if (out_.size() < options_.high_water_bytes) return Pressure::none;
  pressed_ = true;
  return Pressure::high;
}

void KcpStream::shutdown_write() {
  if (closing_ || shutdown_wanted_) return;
  shutdown_wanted_ = true;
  schedule();
}

void KcpStream::close(CloseReason reason, Linger linger) {
  if (told_closed_) return;
  const bool at_once = linger.time <= Duration::zero() || events_ == nullptr;
  if (session_ == nullptr) {
    if (!closing_) closing_ = std::make_unique<CloseReason>(*over_);
    return schedule();
  }
  if (!closing_) {
    closing_ = std::make_unique<CloseReason>(std::move(reason));
    kept_.clear();
    readable_ = session_->has_readable();  // to be dropped
  }
  if (at_once) out_.clear();
  const TimePoint until = at_once ? loop().now() : after(loop().now(), linger.time);
  if (until < linger_until_) {
    linger_until_ = until;
    if (handed_close_ || at_once) {
      handed_close_ = true;
      session_->close(*closing_, at_once ? Duration(0) : linger.time);
    } else {
      loop().arm(*this, until);
    }
  }
  schedule();
}

void KcpStream::replace_events(StreamEvents& events) {
  events_ = &events;
  if (closing_) return;
  if (!kept_.empty() || (session_ != nullptr && session_->has_readable())) readable_ = true;
  if (read_end_) tell_read_end_ = true;
  if (readable_ || tell_read_end_) schedule();
}

bool KcpStream::reconnect_now() { return session_ != nullptr && !closing_ && driver_->reconnect_now(*session_); }

// --- the session's side ---

void KcpStream::on_readable() {
  readable_ = true;
  if (events_ != nullptr && (reading_ || closing_)) schedule();
}

void KcpStream::on_read_end() {
  read_end_ = true;
  tell_read_end_ = true;
  schedule();
}

void KcpStream::on_closed(const CloseReason& reason) {
  session_ = nullptr;
  over_ = std::make_unique<CloseReason>(reason);
  out_.clear();  // nobody takes it any more
  if (over_->error.detail.starts_with("kcp: ")) over_->error.detail += " (" + peer_.remote_url() + ")";
  schedule();
}

// --- turn end ---

void KcpStream::on_turn_end() {
  if (events_ == nullptr || told_closed_) return;
  if (session_ == nullptr) return tell_the_end();
  feed();
  if (closing_) {
    // What the peer sends meanwhile is dropped.
    if (readable_ && session_ != nullptr) {
      readable_ = false;
      std::array<iovec, kPieces> pieces;
      while (const std::size_t bytes = session_->readable(pieces).bytes) session_->consume(bytes);
    }
    return;
  }
  DropWatch watch(*this);
  if (pressed_ && out_.size() <= options_.low_water_bytes) {
    pressed_ = false;
    events_->on_writable();
    if (watch.dropped()) return;
  }
  if (readable_ && reading_ && !closing_ && !show()) return;
  if (tell_read_end_ && reading_ && !readable_ && !closing_) {
    tell_read_end_ = false;
    events_->on_read_end();  // `this` may be gone
  }
}

// Both directions have, so nothing that was left was lost.
bool KcpStream::ended_in_order() const noexcept {
  return shutdown_wanted_ && !over_->error.cause &&
         (over_->error.code == ErrorCode::peer_closed || over_->error.code == ErrorCode::local_closed);
}

void KcpStream::tell_the_end() {
  loop().disarm(*this);
  const bool again = !kept_.empty() && (readable_ || !reading_);  // unconsumed, and to be shown once more
  if ((again || tell_read_end_) && !closing_) {
    if (!reading_ && ended_in_order()) return;  // until it reads again
    DropWatch watch(*this);
    if (again && reading_) {
      if (!show()) return;
      if (!closing_ && !reading_ && ended_in_order()) return;
    }
    if (tell_read_end_ && reading_ && !closing_) {
      tell_read_end_ = false;
      events_->on_read_end();
      if (watch.dropped()) return;
    }
  }
  told_closed_ = true;
  kept_.clear();
  const CloseReason reason = closing_ ? *closing_ : *over_;
  events_->on_closed(reason);  // `this` may be gone
}

void KcpStream::feed() {
  while (!out_.empty()) {
    const Bytes front = out_.front();
    const std::size_t taken = session_->write(front);
    out_.consume(taken);
    if (taken < front.size()) return;
  }
  if (closing_ && !handed_close_) {
    handed_close_ = true;
    loop().disarm(*this);
    session_->close(*closing_, std::max(Duration(0), linger_until_ - loop().now()));
  } else if (shutdown_wanted_ && !closing_) {
    session_->shutdown_write();
  }
}

void KcpStream::on_timer() {
  if (session_ == nullptr || handed_close_) return;
  handed_close_ = true;
  out_.clear();
  session_->close(*closing_, Duration(0));
}

bool KcpStream::show() {
  readable_ = false;
  if (!show_once()) return false;
  if (reading_ && !closing_ && session_ != nullptr && session_->has_readable() && !readable_) {
    readable_ = true;
    schedule();
  }
  return true;
}

bool KcpStream::show_once() {
  std::array<iovec, kPieces> pieces;
  const ReceiveQueue::Readable readable = session_ == nullptr ? ReceiveQueue::Readable{} : session_->readable(pieces);
  const std::size_t kept = kept_.size();
  if (readable.bytes == 0 && kept == 0) return true;
  MutableBytes bytes;
  if (kept == 0 && readable.pieces == 1) {
    bytes = {static_cast<std::byte*>(pieces[0].iov_base), pieces[0].iov_len};
  } else {
    const MutableBytes scratch = loop().scratch(0);
    std::size_t used = kept_.copy_to(scratch);
    for (std::size_t i = 0; i < readable.pieces && used < scratch.size(); ++i) {
      const std::size_t take = std::min(pieces[i].iov_len, scratch.size() - used);
      std::memcpy(scratch.data() + used, pieces[i].iov_base, take);
      used += take;
    }
    bytes = scratch.first(used);
  }
  const std::size_t from_session = bytes.size() - kept;
  DropWatch watch(*this);
  showing_ = true;
  std::size_t consumed = 0;
  for (;;) {
    StreamEvents* const consumer = events_;
    const MutableBytes rest = bytes.subspan(consumed);
    const std::size_t now = consumer->on_bytes(rest, false);
    if (watch.dropped()) return false;
    WAYPORT_ASSERT(now <= rest.size(), "on_bytes() consumed more than it was shown");
    consumed += now;
    if (consumed == bytes.size() || events_ == consumer || !reading_ || closing_) break;
  }
  showing_ = false;
  if (closing_) return true;
  const MutableBytes rest = bytes.subspan(consumed);
  if (rest.empty()) {
    readable_ = false;
    kept_.clear();
    if (session_ != nullptr) session_->consume(from_session);
  } else if (!reading_) {
    kept_.consume(std::min(kept, consumed));
    if (consumed > kept) session_->consume(consumed - kept);
  } else if (rest.size() > kUnconsumedBytesMax) {
    fail(CloseReason::local(ErrorCode::internal, describe("consumer") + " left " + std::to_string(rest.size()) +
                                                     " bytes unconsumed, more than " +
                                                     std::to_string(kUnconsumedBytesMax)));
  } else {
    Chain copy;
    copy.append(Bytes(rest));
    kept_ = std::move(copy);
    if (session_ != nullptr) session_->consume(from_session);
    if (readable_) schedule();
  }
  return true;
}

void KcpStream::fail(CloseReason reason) { close(std::move(reason), Linger{}); }

std::string KcpStream::describe(const char* what) const { return std::string(what) + " (" + peer_.remote_url() + ")"; }

}  // namespace wayport::transport::kcp
