#include "wayport/gateway/relay/relay.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace wayport::relay {

using transport::Linger;
using transport::Pressure;
using transport::Stream;

namespace {

constexpr std::size_t kLengthPrefixBytes = 4;
// transport/fd_stream.h: an abort as a reset.
constexpr Linger kResetLinger{Duration(-1)};

std::string name_of(RelaySide side, const Stream& stream) {
  return std::string(side == RelaySide::client ? "the client" : "the backend") + " (" + stream.peer().remote_url() +
         ")";
}

}  // namespace

const char* to_string(RelayEnd end) noexcept {
  switch (end) {
    case RelayEnd::both_ended:
      return "both_ended";
    case RelayEnd::client_failed:
      return "client_failed";
    case RelayEnd::backend_failed:
      return "backend_failed";
    case RelayEnd::lingered:
      return "lingered";
    case RelayEnd::idle:
      return "idle";
    case RelayEnd::local:
      return "local";
  }
  return "";
}

const char* to_string(RelayMode mode) noexcept { return mode == RelayMode::copy ? "copy" : "splice"; }

Relay::Relay(RelayEndpoint client, RelayEndpoint backend, const RelayOptions& options, OnEnded on_ended)
    : loop_(client.stream->loop()), options_(options), on_ended_(std::move(on_ended)) {
  WAYPORT_ASSERT(&backend.stream->loop() == &loop_, "both streams of a relay are of one loop");
  RelayEndpoint* const ends[2] = {&client, &backend};
  for (unsigned i = 0; i < 2; ++i) {
    Leg& leg = legs_[i];
    leg.relay = this;
    leg.side = static_cast<RelaySide>(i);
    leg.stream = std::move(ends[i]->stream);
    leg.started = ends[i]->started;
    leg.messages = ends[i]->messages;
    leg.half_close = ends[i]->half_close;
  }
}

Relay::~Relay() = default;

void Relay::start(Chain kept, Chain preface) {
  started_ = last_activity_ = loop_.now();
  plan_splice();
  begin(backend());
  client().read_bytes += kept.size();
  preface.append(std::move(kept));
  if (!preface.empty() && backend().stream->write(std::move(preface)) == Pressure::high) {
    client().paused = true;
    ++client().waits;
  }
  begin(client());
  arm();
}

void Relay::begin(Leg& leg) {
  if (leg.started) {
    leg.stream->replace_events(leg);
  } else {
    leg.stream->start(leg);
  }
  leg.stream->read(!leg.paused);
}

std::uint64_t Relay::bytes_from(RelaySide side) const noexcept {
  const auto index = static_cast<unsigned>(side);
  return legs_[index].read_bytes + (pump_ ? pump_->bytes_from(index) : 0);
}

void Relay::close(CloseReason reason, Linger linger) {
  if (ending_ || (client().closed && backend().closed)) return;
  begin_end(RelayEnd::local);
  if (pump_) {
    pump_->stop(pump_->holds());
    for (Leg& leg : legs_) {
      leg.closed = true;
      leg.closed_for = reason;
    }
    return loop_.at_turn_end(*this);
  }
  for (Leg& leg : legs_) {
    if (leg.closed) continue;
    const bool cut_short = linger.time <= Duration::zero() && leg.stream->queued() != 0;
    leg.stream->close(reason, cut_short ? kResetLinger : linger);
  }
}

// --- what the streams tell ---

std::size_t Relay::handle_bytes(Leg& from, Bytes bytes, bool message_end) {
  if (ending_) return bytes.size();
  last_activity_ = loop_.now();
  from.read_bytes += bytes.size();
  Chain out;
  if (from.messages) {
    if (!take_message(from, bytes, message_end, out)) return bytes.size();
  } else {
    out.append(bytes);
  }
  forward(from, std::move(out));
  if (switch_ == Switch::when_bulk) count_bulk(from, bytes.size());
  return bytes.size();
}

// True: `out` is a whole message with its length.
bool Relay::take_message(Leg& from, Bytes bytes, bool message_end, Chain& out) {
  const std::size_t size = from.collected.size() + bytes.size();
  // The prefix says no more than 32 bits.
  if (size > std::min<std::size_t>(options_.message_bytes_max, std::numeric_limits<std::uint32_t>::max())) {
    break_off_message(from, ErrorCode::too_large,
                      "sent a message of " + std::to_string(size) + " bytes or more; message_bytes_max is " +
                          std::to_string(options_.message_bytes_max));
    return false;
  }
  if (!message_end) {
    from.collected.append(bytes);
    if (!from.message_began) {
      from.message_began = loop_.now();
      arm();
    }
    return false;
  }
  from.message_began.reset();
  store_le(out.append_uninitialized(kLengthPrefixBytes).data(), static_cast<std::uint32_t>(size));
  out.append(std::exchange(from.collected, Chain()));
  out.append(bytes);
  return true;
}

void Relay::break_off_message(Leg& from, ErrorCode code, const std::string& what) {
  begin_end(from.side == RelaySide::client ? RelayEnd::client_failed : RelayEnd::backend_failed);
  const CloseReason reason = CloseReason::peer(code, name_of(from.side, *from.stream) + " " + what);
  from.collected.clear();
  from.stream->close(reason, from.stream->peer().http ? Linger{options_.farewell} : kResetLinger);
  abort(other(from), reason);
}

void Relay::forward(Leg& from, Chain&& chain) {
  Leg& to = other(from);
  if (to.closed || to.stream->write(std::move(chain), to.messages) == Pressure::none || from.paused) return;
  ++from.waits;
  pause(from);
}

void Relay::pause(Leg& leg) {
  leg.paused = true;
  leg.stream->read(false);
}

void Relay::resume(Leg& leg) {
  if (!leg.paused || leg.closed || ending_) return;
  leg.paused = false;
  leg.stream->read(true);
}

void Relay::handle_writable(Leg& leg) {
  // Before the change to splice the queue is to become empty.
  if (switch_ != Switch::draining) resume(other(leg));
}

void Relay::handle_read_end(Leg& leg) {
  if (ending_ || leg.read_end) return;
  if (leg.collected.empty()) return pass_end(leg);
  begin_end(leg.side == RelaySide::client ? RelayEnd::client_failed : RelayEnd::backend_failed);
  const CloseReason reason =
      CloseReason::peer(ErrorCode::malformed, name_of(leg.side, *leg.stream) + " ended within a message");
  abort(leg, reason);
  abort(other(leg), reason);
}

void Relay::pass_end(Leg& from) {
  from.read_end = true;
  if (switch_ != Switch::no) give_up_splice("a direction ended before");
  if (!first_end_) {
    first_end_ = from.side;
    first_end_at_ = loop_.now();
    judge_activity(*first_end_at_);
    arm();
  }
  Leg& to = other(from);
  if (to.closed || to.end_sent) return;
  to.end_sent = true;
  to.stream->shutdown_write();
}

void Relay::handle_closed(Leg& leg, const CloseReason& reason) {
  leg.closed = true;
  leg.closed_for = reason;
  if (!ending_) {
    // A stream closes by itself, in order, after both ends; one without half-close after ours.
    const bool ended = leg.end_sent && (leg.read_end || !leg.half_close);
    const bool in_order = reason.error.code == ErrorCode::peer_closed || reason.error.code == ErrorCode::local_closed;
    if (ended && in_order && !reason.error.cause) {
      if (!leg.read_end) pass_end(leg);
    } else {
      begin_end(leg.side == RelaySide::client ? RelayEnd::client_failed : RelayEnd::backend_failed);
      abort(other(leg), reason);
    }
  }
  if (client().closed && backend().closed) loop_.at_turn_end(*this);
}

// --- the end ---

void Relay::begin_end(RelayEnd end) {
  end_ = end;
  ending_ = true;
  if (switch_ != Switch::no) give_up_splice("the relay ended before");
}

// Breaks `leg` off because of `reason`, so that its peer does not take it for an end in order, where that can be said.
void Relay::abort(Leg& leg, CloseReason reason) {
  if (leg.closed) return;
  if (!leg.stream->peer().http || leg.read_end) return leg.stream->close(std::move(reason), kResetLinger);
  reason.error.code = ErrorCode::internal;
  leg.stream->close(std::move(reason), Linger{options_.farewell});
}

void Relay::on_turn_end() {
  if (client().closed && backend().closed) return finish();
  if (switch_ == Switch::next_turn_end) {
    // Behind all nodes of this turn, so that no stream has anything left to tell.
    switch_ = Switch::this_turn_end;
    return loop_.at_turn_end(*this);
  }
  if (switch_ == Switch::this_turn_end) try_switch();
}

void Relay::finish() {
  if (!on_ended_) return;
  loop_.disarm(*this);
  RelayReport report;
  report.end = end_;
  report.mode = mode();
  report.mode_reason = mode_reason_;
  report.first_end = first_end_;
  report.bytes_from_client = bytes_from(RelaySide::client);
  report.bytes_from_backend = bytes_from(RelaySide::backend);
  report.client_waits = client().waits;
  report.backend_waits = backend().waits;
  if (pump_) {
    report.bytes_spliced = pump_->bytes_from(0) + pump_->bytes_from(1);
    report.client_waits += pump_->waits(0);
    report.backend_waits += pump_->waits(1);
  }
  report.message_timeouts = message_timeouts_;
  report.duration = loop_.now() - started_;
  report.client = client().closed_for;
  report.backend = backend().closed_for;
  OnEnded tell = std::exchange(on_ended_, nullptr);
  tell(report);  // `this` may be gone
}

// --- time ---

void Relay::arm() {
  TimePoint due = std::min(linger_due(), idle_due());
  for (const Leg& leg : legs_) due = std::min(due, message_due(leg));
  if (due != kNever) loop_.arm(*this, due);
}

TimePoint Relay::message_due(const Leg& leg) const {
  if (!leg.message_began || options_.message_timeout <= Duration::zero()) return kNever;
  return after(*leg.message_began, options_.message_timeout);
}

TimePoint Relay::linger_due() const {
  if (!first_end_at_ || options_.linger <= Duration::zero()) return kNever;
  return after(std::max(*first_end_at_, last_activity_), options_.linger);
}

TimePoint Relay::idle_due() const {
  return options_.idle > Duration::zero() ? after(last_activity_, options_.idle) : kNever;
}

// A queue that shrank has moved bytes, too.
void Relay::judge_activity(TimePoint now) {
  if (pump_) {
    last_activity_ = std::max(last_activity_, pump_->last_activity());
  } else {
    const std::size_t queued = client().stream->queued() + backend().stream->queued();
    if (std::exchange(queued_before_, queued) != queued) last_activity_ = now;
  }
}

void Relay::on_timer() {
  if (ending_) return;
  const TimePoint now = loop_.now();
  for (Leg& leg : legs_) {
    if (now < message_due(leg)) continue;
    ++message_timeouts_;
    return break_off_message(leg, ErrorCode::timed_out,
                             "did not finish a message, of which " + std::to_string(leg.collected.size()) +
                                 " bytes came, within message_timeout " + format_duration(options_.message_timeout));
  }
  judge_activity(now);
  const bool lingered = now >= linger_due();
  if (!lingered && now < idle_due()) return arm();
  begin_end(lingered ? RelayEnd::lingered : RelayEnd::idle);
  const CloseReason reason = CloseReason::local(
      ErrorCode::timed_out, lingered ? "relay: one direction has ended, and nothing moved in the other for linger " +
                                           format_duration(options_.linger)
                                     : "relay: no bytes either way within idle " + format_duration(options_.idle));
  if (pump_) {
    pump_->stop(lingered || pump_->holds());
    for (Leg& leg : legs_) {
      leg.closed = true;
      leg.closed_for = reason;
    }
    return loop_.at_turn_end(*this);
  }
  for (Leg& leg : legs_) {
    if (leg.closed) continue;
    if (lingered || leg.stream->queued() != 0) {
      abort(leg, reason);
    } else {
      leg.stream->close(reason, leg.stream->peer().http ? Linger{options_.farewell} : Linger{});
    }
  }
}

}  // namespace wayport::relay
