#include "wayport/transport/snet/reconnector.h"

#include <algorithm>
#include <utility>

namespace wayport::transport {

Reconnector::Reconnector(SnetStream& stream, Where where, snet::RandomSource& random,
                         std::shared_ptr<SnetCounters> counters, Log& log)
    : stream_(stream), where_(std::move(where)), random_(random), counters_(std::move(counters)), log_(log) {}

void Reconnector::on_attached() {
  stream_.loop().disarm(*this);
  attached_at_ = stream_.loop().now();
}

void Reconnector::on_detached(const Error& why) {
  Loop& loop = stream_.loop();
  SnetCounters::add(counters_->detached);
  last_error_ = why;
  const bool lasted = loop.now() - attached_at_ >= kLasted;
  give_up_at_ = after(loop.now(), where_.options.wait);
  log_.write(log_limit_, loop.now(), LogLevel::info, "snet connection lost", {{"address", where_.url}, {"error", why}});
  if (where_.options.wait <= Duration::zero()) {
    return give_up(CloseReason::By::system, why.code,
                   "its connection was lost, and wait=0 resumes nothing: " + why.detail);
  }
  if (lasted) failures_ = 0;
  if (std::exchange(at_once_, false) || failures_ == 0) return attempt();
  arm_for(after(loop.now(), backoff()));
}

bool Reconnector::reconnect_now() {
  // A loss follows if there is a connection; an attempt under way is left alone.
  if (stream_.attached()) {
    at_once_ = true;
  } else if (!dial_ && !lower_) {
    attempt();
  }
  return true;
}

void Reconnector::retire() {
  stream_.loop().disarm(*this);
  drop_attempt();
}

void Reconnector::drop_attempt() noexcept {
  dial_.reset();
  lower_.reset();
  resume_.reset();
}

void Reconnector::arm_for(TimePoint due) { stream_.loop().arm(*this, std::min(due, give_up_at_)); }

void Reconnector::on_timer() {
  const TimePoint now = stream_.loop().now();
  if (now >= give_up_at_) {
    return give_up(CloseReason::By::system, ErrorCode::timed_out,
                   "not resumed within wait=" + format_duration(where_.options.wait) +
                       "; the last attempt: " + last_error_.to_string());
  }
  if (!dial_ && !lower_) return attempt();
  handle_failure(
      {ErrorCode::timed_out, std::string(lower_ ? "the server did not answer" : "no connection") + " in time", {}});
}

void Reconnector::attempt() {
  Loop& loop = stream_.loop();
  SnetCounters::add(counters_->attempts);
  ++failures_;  // until it has lasted
  const Duration limit = where_.dial.timeout > Duration::zero() ? where_.dial.timeout : kAttemptTimeout;
  arm_for(after(loop.now(), limit));
  dial_ = where_.all.dial(loop, where_.below, where_.dial,
                          [this](Result<std::unique_ptr<Stream>> dialed) { handle_dialed(std::move(dialed)); });
}

void Reconnector::handle_dialed(Result<std::unique_ptr<Stream>> dialed) {
  if (!dialed) return handle_failure(std::move(dialed.error()));
  lower_ = *std::move(dialed);
  stream_.loop().delete_later(std::move(dial_));
  resume_.emplace(stream_.session());
  Chain request;
  resume_->start(request);
  lower_->start(*this);
  lower_->write(std::move(request));
}

std::size_t Reconnector::on_bytes(MutableBytes bytes, bool) {
  Chain out;
  const std::size_t taken = resume_->handle_bytes(bytes, out);
  if (!out.empty()) lower_->write(std::move(out));
  switch (resume_->state()) {
    case snet::ClientResume::State::waiting:
      break;
    case snet::ClientResume::State::resumed: {
      const std::uint64_t announced = resume_->announced();
      const std::uint64_t peer_received = resume_->peer_received();
      resume_.reset();
      if (!stream_.resume(lower_, announced, peer_received)) {
        give_up(CloseReason::By::local, ErrorCode::too_large, "unread bytes exceeded the ring meanwhile");
        break;
      }
      SnetCounters::add(counters_->resumed);
      log_.write(log_limit_, stream_.loop().now(), LogLevel::info, "snet session resumed", {{"address", where_.url}});
      stream_.take(bytes.subspan(taken));  // `this` may be gone
      return bytes.size();
    }
    case snet::ClientResume::State::refused:
      give_up(
          CloseReason::By::peer, ErrorCode::peer_closed,
          "the server refused to resume: it has closed the session or waited long enough, or more bytes for us were "
          "unread than its ring holds (buffer= of the server)");
      break;
    case snet::ClientResume::State::overrun:
      give_up(CloseReason::By::local, ErrorCode::too_large, overrun_text());
      break;
    case snet::ClientResume::State::broken:
      give_up(CloseReason::By::peer, ErrorCode::malformed, "the server's counters cannot be those of this session");
      break;
  }
  return taken;
}

std::string Reconnector::overrun_text() const {
  const std::uint64_t unread = stream_.session().counters().written - resume_->peer_received();
  return "unread bytes exceeded the ring: the server lacks " + std::to_string(unread) + " bytes, the ring holds " +
         std::to_string(where_.options.session.ring_bytes) +
         " (buffer=); it must be as large as what can be on its way, kernel buffers of both ends included";
}

void Reconnector::on_read_end() { handle_failure({ErrorCode::peer_closed, "the server closed the connection", {}}); }
void Reconnector::on_closed(const CloseReason& reason) { handle_failure(reason.error); }

void Reconnector::handle_failure(Error why) {
  last_error_ = std::move(why);
  drop_attempt();
  arm_for(after(stream_.loop().now(), backoff()));
}

Duration Reconnector::backoff() {
  const unsigned doublings = std::min(failures_ == 0 ? 0 : failures_ - 1, 5u);
  const Duration longest = std::min<Duration>(kBackoffFirst * (1 << doublings), kBackoffMax);
  return longest / 2 + longest / 2 * static_cast<int>(snet::draw_u64(random_) % 1024) / 1024;
}

void Reconnector::give_up(CloseReason::By by, ErrorCode code, const std::string& why) {
  SnetCounters::add(counters_->gave_up);
  log_.write(log_limit_, stream_.loop().now(), LogLevel::warning, "snet session lost",
             {{"address", where_.url}, {"error", why}});
  stream_.give_up({by, {code, "snet session with " + where_.url + ": " + why, {}}});
}

}  // namespace wayport::transport
