// The sending half of Arq (arq.h): acknowledgements, window probes, resends, new data.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "wayport/transport/kcp/arq.h"

namespace wayport::transport::kcp {

std::uint16_t Arq::advertised() const noexcept { return static_cast<std::uint16_t>(received_.window_left()); }

std::uint32_t Arq::window() const noexcept {
  return std::min({options_.send_window, peer_window_, congestion_->window()});
}

TimePoint Arq::next_deadline() const noexcept {
  if (send_due_ || tell_window_) return TimePoint::min();
  TimePoint due = std::min({acks_due_, data_due_, next_timeout_, probe_at_});
  if (paced_out_) due = std::min(due, pace_next_);
  return due;
}

TimePoint Arq::next_deadline_after(TimePoint tried) const noexcept {
  TimePoint due = kNever;
  for (const TimePoint one : {acks_due_, data_due_, probe_at_, paced_out_ ? pace_next_ : kNever, next_timeout_}) {
    if (one > tried) due = std::min(due, one);
  }
  if (next_timeout_ > tried) return due;
  std::uint32_t sn = first_;
  for (std::uint32_t left = listed_; left != 0; --left) {
    const Out& out = ring_[sn & (ring_.size() - 1)];
    if (out.resend_at > tried) due = std::min(due, out.resend_at);
    sn = out.following;
  }
  return due;
}

Segment Arq::control_header() noexcept {
  last_advertised_ = advertised();
  return {identity_.conv, kTellWindow, 0, last_advertised_, 0, 0, received_.next(), {}};
}

bool Arq::flush(TimePoint now, SegmentOutput& output) {
  if (failure_) return true;
  const bool controls = flush_controls(now, output);
  return flush_data(now, output) && controls;
}

bool Arq::put_control(std::uint8_t cmd, std::uint32_t sn, std::uint32_t ts_echo, SegmentOutput& output) {
  std::byte* const to = output.room(kSegmentHeaderBytes);
  if (to == nullptr) return false;
  last_advertised_ = advertised();
  write_segment_header(to, {identity_.conv, cmd, 0, last_advertised_, ts_echo, sn, received_.next(), {}}, 0);
  counters_.out_segments.add();
  return true;
}

bool Arq::flush_controls(TimePoint now, SegmentOutput& output) {
  // Acknowledgements below next() are implied by una, as kcp-go thins them; the last one always goes.
  if (last_ack_) {
    std::size_t sent = 0;
    bool last_sent = false;
    for (; sent < acks_.size(); ++sent) {
      const std::uint32_t sn = acks_[sent];
      if (difference(sn, received_.next()) < 0) continue;
      const std::uint32_t ts_echo = received_.take_ack(sn);
      if (!put_control(kAck, sn, ts_echo, output)) {
        received_.mark_ack(sn, ts_echo);
        acks_.erase(acks_.begin(), acks_.begin() + static_cast<std::ptrdiff_t>(sent));
        return false;
      }
      last_sent = last_sent || sn == last_ack_->sn;
    }
    acks_.clear();
    if (!last_sent && !put_control(kAck, last_ack_->sn, last_ack_->ts, output)) return false;
    last_ack_.reset();
    acks_due_ = kNever;
  }
  if (tell_window_) {
    if (!put_control(kTellWindow, 0, 0, output)) return false;
    tell_window_ = false;
  }
  // Nothing comes back by itself from a closed window, so ask; only while something waits for it.
  if (peer_window_ != 0 || end_ == una_) {
    probe_at_ = kNever;
    probe_wait_ = Duration::zero();
  } else if (probe_at_ == kNever) {
    probe_wait_ = options_.probe_first;
    probe_at_ = after(now, probe_wait_);
  } else if (probe_at_ <= now) {
    if (!put_control(kAskWindow, 0, 0, output)) return false;
    probe_wait_ = std::min(probe_wait_ + probe_wait_ / 2, options_.probe_max);
    probe_at_ = after(now, probe_wait_);
  }
  return true;
}

bool Arq::loss_is_due() noexcept {
  if (listed_ == 0) return false;
  const std::uint64_t overtaken_by = newest_acked_ > at(first_).number ? newest_acked_ - at(first_).number : 0;
  return overtaken_by != 0 && (end_ == nxt_ || (options_.resend != 0 && overtaken_by >= options_.resend));
}

// A small burst is let through at once: timers are no finer than a millisecond.
bool Arq::may_send_now(TimePoint now) noexcept {
  if (congestion_->pacing_rate() == 0) return true;
  pace_next_ = std::max(pace_next_, now - std::chrono::milliseconds(2));
  paced_out_ = pace_next_ > now;
  return !paced_out_;
}

bool Arq::flush_data(TimePoint now, SegmentOutput& output) {
  paced_out_ = false;
  if (next_timeout_ <= now && !resend_timed_out(now, output)) return false;
  if (failure_) return true;
  if (options_.resend != 0 && !resend_overtaken(now, output, options_.resend, Why::fast)) return false;
  if (data_due_ <= now) {
    data_due_ = kNever;
    send_due_ = true;
  }
  bool admitted = false;
  // Under write delay what waits goes only when its time has come, or the window is full.
  if (data_due_ == kNever || send_due_ || end_ - una_ >= options_.send_window) {
    while (nxt_ != end_ && nxt_ - una_ < window()) {
      if (!may_send_now(now)) break;
      if (!transmit(nxt_, Why::first, now, output)) return false;
      ++nxt_;
      admitted = true;
    }
    if (nxt_ == end_) data_due_ = kNever;
  }
  // Nobody new will overtake it: one that did is enough.
  if (!admitted && nxt_ == end_ && !resend_overtaken(now, output, 1, Why::early)) return false;
  send_due_ = false;
  return true;
}

bool Arq::resend_overtaken(TimePoint now, SegmentOutput& output, std::uint64_t margin, Why why) {
  bool any = false;
  const std::uint32_t in_flight_then = in_flight();
  bool all = true;
  while (listed_ != 0 && at(first_).number + margin <= newest_acked_) {
    if (!may_send_now(now)) break;
    if (!transmit(first_, why, now, output)) {
      all = false;
      break;
    }
    any = true;
  }
  if (any)
    congestion_->on_loss({.now = now, .timed_out = false, .in_flight = in_flight_then, .resend = options_.resend});
  return all;
}

bool Arq::resend_timed_out(TimePoint now, SegmentOutput& output) {
  bool any = false;
  bool all = true;
  TimePoint earliest = kNever;
  std::uint32_t sn = first_;
  for (std::uint32_t left = listed_; left != 0; --left) {
    const std::uint32_t following = at(sn).following;
    Out& out = at(sn);
    if (out.resend_at <= now) {
      // What the window that was told does not reach is dropped without an acknowledgement by a peer that lives. Such ones
      // are asked for their window, and end by silence. (Not before they are validated: a window costs a forger nothing.)
      if (!cautious_ && sn - una_ >= peer_window_) {
        out.transmissions = std::min<std::uint16_t>(out.transmissions, 2);  // not 1: it gives no RTT sample
        if (!unreached_ || difference(sn, *unreached_) < 0) unreached_ = sn;
      } else if (out.transmissions >= dead_link_) {
        failure_ = Error{ErrorCode::timed_out,
                         "kcp: no acknowledgement after " + std::to_string(out.transmissions) +
                             " transmissions (dead_link); the peer is gone or the path is",
                         {}};
        counters_.dead_links.add();
        return true;
      }
      const Duration old = out.rto;
      // Linear growth, as kcp-go's; bounded.
      out.rto = std::min(out.rto + (options_.nodelay ? rto_ / 2 : rto_), options_.rto_max);
      if (transmit(sn, Why::timeout, now, output)) {
        any = true;
      } else {
        at(sn).rto = old;
        all = false;
      }
    }
    earliest = std::min(earliest, at(sn).resend_at);
    sn = following;
  }
  next_timeout_ = earliest;
  if (any) congestion_->on_loss({.now = now, .timed_out = true, .in_flight = in_flight(), .resend = options_.resend});
  return all;
}

void Arq::resend_reached(TimePoint now) noexcept {
  if (!unreached_) return;
  std::uint32_t sn = difference(*unreached_, una_) < 0 ? una_ : *unreached_;
  const std::uint32_t edge = una_ + std::min(peer_window_, nxt_ - una_);
  for (; difference(sn, edge) < 0; ++sn) {
    Out& out = at(sn);
    if (out.acked) continue;
    out.rto = rto_;
    out.resend_at = next_timeout_ = now;
  }
  unreached_ = sn;
  if (difference(sn, nxt_) >= 0) unreached_.reset();
}

bool Arq::transmit(std::uint32_t sn, Why why, TimePoint now, SegmentOutput& output) {
  Out& out = at(sn);
  const std::size_t size = out.packet->size;
  std::byte* const to = output.room(kSegmentHeaderBytes + size);
  if (to == nullptr) return false;
  const std::uint32_t ts_now = ts(now);
  // The echo of a ts that was also used before the path began proves nothing.
  if (out.number <= path_begins_) out.path_ts = ts_now + (why != Why::first && out.ts == ts_now ? 1 : 0);
  out.ts = ts_now;
  last_advertised_ = advertised();
  write_segment_header(to, {identity_.conv, kPush, out.frg, last_advertised_, out.ts, sn, received_.next(), {}}, size);
  std::memcpy(to + kSegmentHeaderBytes, out.packet->data(), size);
  if (why == Why::first) {
    out.first_ts = out.ts;
    out.rto = rto_;
    in_flight_bytes_ += size;
    if (in_flight_bytes_ == size) delivered_at_ = now;  // a pause is no time of transport
  } else {
    unlink(sn);
  }
  link(sn);
  if (out.transmissions != UINT16_MAX) ++out.transmissions;
  out.number = ++transmissions_;
  out.sent_at = now;
  out.delivered = delivered_;
  out.delivered_at = delivered_at_;
  out.app_limited = why != Why::first || end_ - nxt_ <= 1;
  out.resend_at = after(now, why == Why::timeout ? out.rto : rto_);
  next_timeout_ = std::min(next_timeout_, out.resend_at);
  counters_.out_segments.add();
  if (why == Why::fast) counters_.fast_resends.add();
  if (why == Why::early) counters_.early_resends.add();
  if (why == Why::timeout) counters_.lost_segments.add();
  if (const std::uint64_t rate = congestion_->pacing_rate(); rate != 0)
    pace_next_ += Duration(
        static_cast<std::int64_t>(1e9 * static_cast<double>(size + kSegmentHeaderBytes) / static_cast<double>(rate)));
  return true;
}

}  // namespace wayport::transport::kcp
