#include "wayport/transport/fd_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <utility>

namespace wayport::transport {
namespace {

constexpr std::size_t kSlotsPerSend = 1024;  // IOV_MAX
// After a failed write: how many buffers are still read, so that what the peer said before it left is heard.
constexpr int kLastWordsReads = 32;

std::uint32_t clamp_to_32_bits(std::size_t bytes) {
  return static_cast<std::uint32_t>(std::min<std::size_t>(bytes, std::numeric_limits<std::uint32_t>::max()));
}

// What cannot be reset refuses this, or ignores it, and is closed as ever.
void reset_when_closed(int fd) noexcept {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
}

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

CloseReason close_reason(int errno_value, std::string_view what) {
  CloseReason reason{CloseReason::By::system, system_error(errno_value, what)};
  switch (errno_value) {
    case ECONNRESET:
    case EPIPE:
      reason.by = CloseReason::By::peer;
      reason.error.code = ErrorCode::peer_closed;
      break;
    case ETIMEDOUT:
      reason.error.code = ErrorCode::timed_out;
      break;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
      reason.error.code = ErrorCode::unreachable;
      break;
    default:
      reason.error.code = ErrorCode::io;
  }
  return reason;
}

// draining: output still leaves until `due`. Else on_closed() follows at turn end.
struct FdStream::Closing final : Timer {
  Closing(FdStream& owner, CloseReason why) : stream(owner), reason(std::move(why)) {}
  void on_timer() override { stream.end_drain(); }

  FdStream& stream;
  CloseReason reason;
  TimePoint due = kNever;
  bool draining = false;
};

FdStream::FdStream(Loop& loop, Fd fd, PeerInfo peer, const StreamOptions& options)
    : loop_(loop),
      queue_bytes_max_(options.queue_bytes_max),
      high_water_bytes_(clamp_to_32_bits(options.high_water_bytes)),
      low_water_bytes_(clamp_to_32_bits(options.low_water_bytes)),
      fd_(std::move(fd)),
      peer_(std::move(peer)) {}

FdStream::~FdStream() { release_fd(); }

void FdStream::start(StreamEvents& events) {
  WAYPORT_ASSERT(!events_, "a stream is started once");
  events_ = &events;
  update_interest();
}

void FdStream::read(bool on) {
  if (closing_ || on == reading_) return;
  reading_ = on;
  // Off is lazy: interest goes when bytes arrive that nobody wants, so a short pause costs no system call.
  if (!on) return;
  if (showing_ || !kept_.empty()) show_again_ = true;
  if (show_again_ || tell_read_end_) schedule();
  if (events_) update_interest();
}

Pressure FdStream::write(Chain&& chain, bool) {
  Chain taken = std::move(chain);
  if (closing_ || shutdown_wanted_ || !fd_) return Pressure::none;
  if (taken.size() > queue_bytes_max_ - std::min(queue_bytes_max_, out_.size())) {
    fail({CloseReason::By::local,
          {ErrorCode::overloaded,
           describe("queue") + ": " + std::to_string(out_.size() + taken.size()) +
               " bytes are more than queue_bytes_max " + std::to_string(queue_bytes_max_),
           {}}});
    return Pressure::high;
  }
  if (!taken.empty()) {
    out_.append(std::move(taken));
    if (resuming_) {
      blocked_ = true;
    } else if (!blocked_) {
      schedule();
    }
  }
  if (out_.size() < high_water_bytes_) return Pressure::none;
  pressed_ = true;
  return Pressure::high;
}

void FdStream::shutdown_write() {
  if (closing_ || shutdown_wanted_) return;
  shutdown_wanted_ = true;
  schedule();
}

void FdStream::close(CloseReason reason, Linger linger) {
  if (told_closed_) return;
  if (linger.time < Duration::zero() && fd_) reset_when_closed(fd_.get());
  const bool at_once = linger.time <= Duration::zero() || !events_;
  const TimePoint due = linger.time < kNever - loop_.now() ? loop_.now() + linger.time : kNever;
  if (!closing_) {
    if (at_once) return fail(std::move(reason));
    closing_ = std::make_unique<Closing>(*this, std::move(reason));
    closing_->draining = true;
    kept_.clear();
    shutdown_wanted_ = true;
    schedule();
  } else if (!closing_->draining) {
    return;
  } else if (at_once) {
    return end_drain();
  }
  if (due < closing_->due) {
    closing_->due = due;
    loop_.arm(*closing_, due);
  }
}

std::optional<Fd> FdStream::detach() {
  const bool busy = showing_ || !out_.empty() || !kept_.empty() || shutdown_wanted_ || read_end_;
  if (!fd_ || closing_ || busy) return std::nullopt;
  Fd given = std::move(fd_);
  if (watched_) loop_.unwatch(given.get(), *this);
  watched_ = false;
  told_closed_ = true;
  return given;
}

void FdStream::replace_events(StreamEvents& events) {
  events_ = &events;
  if (closing_) return;
  if (!kept_.empty()) show_again_ = true;
  if (read_end_) tell_read_end_ = true;
  if (show_again_ || tell_read_end_) schedule();
}

void FdStream::on_fd(std::uint32_t events) {
  constexpr std::uint32_t kBroken = EPOLLERR | EPOLLHUP;
  if (blocked_ && (events & (EPOLLOUT | kBroken))) {
    blocked_ = false;
    schedule();
  }
  if (closing_) {
    if (events & ~EPOLLOUT) receive_and_drop();
    return;
  }
  if (!(events & ~EPOLLOUT)) return;
  if (reading_ && !read_end_) {
    receive();
    return;
  }
  if ((events & EPOLLERR) && out_.empty()) {
    const int error = pending_error(fd_.get());
    return fail(close_reason(error ? error : ECONNRESET, describe("connection")));
  }
  update_interest();
}

// True if bytes came.
bool FdStream::receive() {
  if (show_again_) {
    show_kept();
    return true;
  }
  const MutableBytes scratch = loop_.scratch(0);
  const std::size_t kept = kept_.copy_to(scratch);
  WAYPORT_ASSERT(kept == kept_.size() && kept < scratch.size(), "LoopOptions::scratch_bytes above 64 KiB");
  const ssize_t received = ::recv(fd_.get(), scratch.data() + kept, scratch.size() - kept, 0);
  if (received > 0) {
    kept_.clear();
    show(scratch.first(kept + static_cast<std::size_t>(received)));
    return true;
  }
  if (received == 0) {
    handle_read_end();
  } else if (!would_block(errno)) {
    fail(close_reason(errno, describe("receive")));
  }
  return false;
}

void FdStream::receive_and_drop() {
  if (!closing_->draining) return;
  const MutableBytes scratch = loop_.scratch(0);
  const ssize_t received = ::recv(fd_.get(), scratch.data(), scratch.size(), 0);
  if (received > 0 || (received < 0 && would_block(errno))) return;
  if (received < 0) return end_drain();
  read_end_ = true;
  if (shutdown_sent_) return end_drain();
  update_interest();
}

void FdStream::show(MutableBytes bytes) {
  DropWatch watch(*this);
  showing_ = true;
  for (;;) {
    StreamEvents* const consumer = events_;
    const std::size_t consumed = consumer->on_bytes(bytes, false);
    if (watch.dropped()) return;
    WAYPORT_ASSERT(consumed <= bytes.size(), "on_bytes() consumed more than it was shown");
    bytes = bytes.subspan(consumed);
    if (bytes.empty() || events_ == consumer || !reading_ || closing_) break;
  }
  showing_ = false;
  if (closing_ || bytes.empty()) {
    show_again_ = false;
  } else if (reading_ && bytes.size() > kUnconsumedBytesMax) {
    fail(CloseReason::local(ErrorCode::internal, describe("consumer") + " left " + std::to_string(bytes.size()) +
                                                     " bytes unconsumed, more than " +
                                                     std::to_string(kUnconsumedBytesMax)));
  } else {
    kept_.append(bytes);
  }
}

void FdStream::show_kept() {
  show_again_ = false;
  if (kept_.empty()) return;
  const MutableBytes scratch = loop_.scratch(0);
  const std::size_t kept = kept_.copy_to(scratch);
  kept_.clear();
  show(scratch.first(kept));
}

void FdStream::handle_read_end() {
  read_end_ = true;
  update_interest();
  if (closing_) return;
  tell_read_end_ = true;
  schedule();
}

void FdStream::on_turn_end() {
  if (told_closed_) return;
  DropWatch watch(*this);
  if (!blocked_ && !out_.empty()) flush();
  if (watch.dropped()) return;
  if (closing_ && !closing_->draining) return tell_closed();
  if (shutdown_wanted_ && !shutdown_sent_ && out_.empty()) {
    ::shutdown(fd_.get(), SHUT_WR);  // an error is one of the connection, and reading tells it
    shutdown_sent_ = true;
  }
  if (closing_) {
    if (shutdown_sent_ && read_end_) return end_drain();
    return update_interest();
  }
  if (!events_) return;
  update_interest();
  if (pressed_ && !closing_ && out_.size() <= low_water_bytes_) {
    pressed_ = false;
    resuming_ = true;
    events_->on_writable();
    if (watch.dropped()) return;
    resuming_ = false;
    update_interest();
  }
  if (show_again_ && reading_ && !closing_) show_kept();
  if (watch.dropped()) return;
  if (tell_read_end_ && reading_ && !show_again_ && !closing_) {
    tell_read_end_ = false;
    events_->on_read_end();
    if (watch.dropped()) return;
  }
  if (read_end_ && !tell_read_end_ && shutdown_sent_ && !closing_) {
    fail({CloseReason::By::peer, {ErrorCode::peer_closed, describe("connection") + " ended in order", {}}});
  }
}

void FdStream::flush() {
  while (!out_.empty() && !blocked_ && fd_) {
    const Bytes first = out_.front();
    if (first.size() != out_.size()) {
      flush_pieces();
      return;
    }
    const ssize_t sent = ::send(fd_.get(), first.data(), first.size(), MSG_NOSIGNAL);
    if (!take_sent(sent, first.size())) return;
  }
}

// Apart from flush(): the slots would make every flush's frame large, and most output is one piece.
void FdStream::flush_pieces() {
  std::array<iovec, kSlotsPerSend> slots;  // not initialised: only what gather() fills is read
  while (!out_.empty()) {
    msghdr message{};
    message.msg_iov = slots.data();
    message.msg_iovlen = out_.gather(slots);
    std::size_t offered = 0;
    for (std::size_t i = 0; i < message.msg_iovlen; ++i) offered += slots[i].iov_len;
    if (!take_sent(::sendmsg(fd_.get(), &message, MSG_NOSIGNAL), offered)) return;
  }
}

// True: everything offered was taken, or the call was interrupted. False: no more now, or the stream is closing.
bool FdStream::take_sent(ssize_t sent, std::size_t offered) {
  if (sent < 0) {
    if (errno == EINTR) return true;
    if (would_block(errno)) {
      blocked_ = true;
    } else {
      handle_write_error(errno);
    }
    return false;
  }
  out_.consume(static_cast<std::size_t>(sent));
  blocked_ = static_cast<std::size_t>(sent) < offered;
  return !blocked_;
}

void FdStream::handle_write_error(int error) {
  if (closing_) return end_drain();
  const bool peer_left = error == EPIPE || error == ECONNRESET;
  if (peer_left && events_) {
    out_.clear();
    DropWatch watch(*this);
    for (int i = 0; i < kLastWordsReads && reading_ && !read_end_ && !closing_; ++i) {
      const bool more = receive();
      if (watch.dropped()) return;
      if (!more) break;
    }
    if (closing_) return;
    if (tell_read_end_ && reading_) {
      tell_read_end_ = false;
      events_->on_read_end();
      if (watch.dropped() || closing_) return;
    }
  }
  fail(close_reason(error, describe("send")));
}

void FdStream::fail(CloseReason reason) {
  if (told_closed_) return;
  if (!closing_) closing_ = std::make_unique<Closing>(*this, std::move(reason));
  end_drain();
}

void FdStream::end_drain() {
  closing_->draining = false;
  loop_.disarm(*closing_);
  release_fd();
  out_.clear();
  kept_.clear();
  schedule();
}

void FdStream::tell_closed() {
  told_closed_ = true;
  if (!events_) return;
  const CloseReason reason = std::move(closing_->reason);
  events_->on_closed(reason);  // `this` may be gone
}

void FdStream::release_fd() noexcept {
  if (watched_) loop_.unwatch(fd_.get(), *this);
  watched_ = false;
  fd_.reset();
}

void FdStream::update_interest() {
  if (!fd_) return;
  const bool wants_bytes = closing_ ? closing_->draining : static_cast<bool>(reading_);
  unsigned wanted = 0;
  if (wants_bytes && !read_end_) wanted |= static_cast<unsigned>(Interest::read);
  if (blocked_) wanted |= static_cast<unsigned>(Interest::write);
  // A stream that is not read and has nothing to send still hears that its peer is gone.
  const Interest interest = wanted == 0 ? Interest::broken : static_cast<Interest>(wanted);
  if (watched_ && interest == interest_) return;
  const Result<void> done =
      watched_ ? loop_.change(fd_.get(), interest, *this) : loop_.watch(fd_.get(), interest, *this);
  if (!done) return fail({CloseReason::By::system, done.error()});
  watched_ = true;
  interest_ = interest;
}

std::string FdStream::describe(const char* doing) const { return std::string(doing) + " (" + peer_.remote_url() + ")"; }

std::unique_ptr<Stream> make_fd_stream(Loop& loop, Fd fd, PeerInfo peer, const StreamOptions& options) {
  return std::make_unique<FdStream>(loop, std::move(fd), std::move(peer), options);
}

}  // namespace wayport::transport
