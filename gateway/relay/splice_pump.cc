#include "wayport/gateway/relay/splice_pump.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace wayport::relay {
namespace {

constexpr unsigned kSpliceFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
// What is copied at a time: what a large chunk holds.
constexpr std::size_t kCopyBytes = 60 * 1024;

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

// splice() knows no MSG_NOSIGNAL: on a socket whose peer has gone it would end the process. Blocked in this thread, for
// good, the signal only stays pending.
void block_sigpipe() {
  thread_local const bool blocked = [] {
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    return ::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr) == 0;
  }();
  static_cast<void>(blocked);
}

CloseReason reason_of(int error, const char* doing) {
  CloseReason reason{CloseReason::By::system, system_error(error, doing)};
  reason.error.code = ErrorCode::io;
  if (error == ECONNRESET || error == EPIPE) {
    reason.by = CloseReason::By::peer;
    reason.error.code = ErrorCode::peer_closed;
  } else if (error == ETIMEDOUT) {
    reason.error.code = ErrorCode::timed_out;
  } else if (error == EHOSTUNREACH || error == ENETUNREACH || error == ENETDOWN) {
    reason.error.code = ErrorCode::unreachable;
  }
  return reason;
}

}  // namespace

void reset_socket(Fd fd) noexcept {
  if (!fd) return;
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  // What has no resets ignores it.
  static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
}

SplicePump::SplicePump(Loop& loop, PipePool& pipes, Events& events, Fd first, Fd second)
    : loop_(loop), pipes_(pipes), events_(events), last_activity_(loop.now()) {
  ends_[0].fd = std::move(first);
  ends_[1].fd = std::move(second);
  for (unsigned i = 0; i < 2; ++i) {
    ends_[i].pump = this;
    ends_[i].index = i;
  }
}

SplicePump::~SplicePump() { stop(false); }

void SplicePump::start() {
  block_sigpipe();
  update_interest();
}

void SplicePump::stop(bool reset) noexcept {
  ended_ = true;
  for (End& end : ends_) {
    if (end.interest != Interest::none) loop_.unwatch(end.fd.get(), end);
    end.interest = Interest::none;
    if (reset) {
      reset_socket(std::move(end.fd));
    } else {
      end.fd.reset();
    }
  }
  for (Way& way : ways_) {
    if (way.pipe) release_pipe(way);
    way.copied.clear();
  }
}

void SplicePump::handle(unsigned side, std::uint32_t events) {
  const unsigned other = 1 - side;
  if ((events & ~EPOLLIN) && ways_[other].held() != 0 && !carry(other)) return;
  if ((events & ~EPOLLOUT) && !ways_[side].read_end && ways_[side].held() == 0 && !carry(side)) return;
  if (events & EPOLLERR) {
    if (const int error = pending_error(ends_[side].fd.get()); error != 0) return fail(side, error, "connection");
  }
  if (ways_[0].end_sent && ways_[1].end_sent) {
    stop(false);
    return events_.on_pump_ended(std::nullopt,
                                 CloseReason::peer(ErrorCode::peer_closed, "the connection ended in order"));
  }
  update_interest();
}

// False: the pump has ended.
bool SplicePump::carry(unsigned from) {
  Way& way = ways_[from];
  if (way.held() != 0) {
    if (!drain(from)) return false;
  } else if (!way.read_end) {
    if (!fill(from)) return false;
    if (way.held() != 0 && !drain(from)) return false;
  }
  if (way.read_end && way.held() == 0 && !way.end_sent) {
    way.end_sent = true;
    ::shutdown(ends_[1 - from].fd.get(), SHUT_WR);  // an error is one of the connection, and reading tells it
  }
  return true;
}

bool SplicePump::fill(unsigned from) {
  Way& way = ways_[from];
  if (way.splices && !way.pipe) way.pipe = pipes_.take();
  return way.pipe ? fill_pipe(from) : fill_chunk(from);
}

bool SplicePump::fill_pipe(unsigned from) {
  Way& way = ways_[from];
  const ssize_t received =
      ::splice(ends_[from].fd.get(), nullptr, way.pipe->write_end.get(), nullptr, way.pipe->bytes_max, kSpliceFlags);
  if (received > 0) {
    way.in_pipe = static_cast<std::size_t>(received);
    return take(from, received);
  }
  const int error = errno;
  release_pipe(way);
  if (received < 0 && (error == EINVAL || error == ENOSYS || error == EPERM)) {
    way.splices = false;
    return fill_chunk(from);
  }
  errno = error;
  return take(from, received);
}

bool SplicePump::fill_chunk(unsigned from) {
  Way& way = ways_[from];
  const MutableBytes room = way.copied.prepare(kCopyBytes);
  const ssize_t received = ::recv(ends_[from].fd.get(), room.data(), room.size(), 0);
  const int error = errno;
  way.copied.commit(received > 0 ? static_cast<std::size_t>(received) : 0);
  if (way.copied.empty()) way.copied.clear();
  errno = error;
  return take(from, received);
}

bool SplicePump::take(unsigned from, ssize_t received) {
  Way& way = ways_[from];
  if (received > 0) {
    way.bytes += static_cast<std::uint64_t>(received);
    last_activity_ = loop_.now();
  } else if (received == 0) {
    way.read_end = true;
    events_.on_pump_read_end(from);
  } else if (!would_block(errno)) {
    fail(from, errno, "receive");
    return false;
  }
  return true;
}

bool SplicePump::drain(unsigned from) {
  Way& way = ways_[from];
  const int to = ends_[1 - from].fd.get();
  const std::size_t held = way.held();
  const ssize_t sent = way.in_pipe != 0
                           ? ::splice(way.pipe->read_end.get(), nullptr, to, nullptr, way.in_pipe, kSpliceFlags)
                           : ::send(to, way.copied.front().data(), way.copied.front().size(), MSG_NOSIGNAL);
  if (sent < 0) {
    if (would_block(errno)) {
      ++way.waits;
      return true;
    }
    fail(1 - from, errno, "send");
    return false;
  }
  last_activity_ = loop_.now();
  if (way.in_pipe != 0) {
    way.in_pipe -= static_cast<std::size_t>(sent);
    if (way.in_pipe == 0) release_pipe(way);
  } else {
    way.copied.consume(static_cast<std::size_t>(sent));
  }
  if (static_cast<std::size_t>(sent) < held) ++way.waits;
  return true;
}

void SplicePump::release_pipe(Way& way) {
  if (way.in_pipe == 0) {
    pipes_.give(*std::move(way.pipe));
  } else {
    pipes_.discard(*std::move(way.pipe));
  }
  way.pipe.reset();
  way.in_pipe = 0;
}

bool SplicePump::update_interest() {
  for (unsigned i = 0; i < 2; ++i) {
    End& end = ends_[i];
    unsigned wanted = 0;
    if (!ways_[i].read_end && ways_[i].held() == 0) wanted |= static_cast<unsigned>(Interest::read);
    if (ways_[1 - i].held() != 0) wanted |= static_cast<unsigned>(Interest::write);
    // One that waits for the other still tells that it broke.
    const Interest interest = wanted == 0 ? Interest::broken : static_cast<Interest>(wanted);
    if (interest == end.interest) continue;
    const Result<void> done = end.interest == Interest::none ? loop_.watch(end.fd.get(), interest, end)
                                                             : loop_.change(end.fd.get(), interest, end);
    if (!done) {
      stop(true);
      events_.on_pump_ended(i, {CloseReason::By::system, done.error()});
      return false;
    }
    end.interest = interest;
  }
  return true;
}

void SplicePump::fail(unsigned side, int error, const char* doing) {
  if (ends_[side].interest != Interest::none) loop_.unwatch(ends_[side].fd.get(), ends_[side]);
  ends_[side].interest = Interest::none;
  ends_[side].fd.reset();
  stop(true);
  events_.on_pump_ended(side, reason_of(error, doing));
}

}  // namespace wayport::relay
