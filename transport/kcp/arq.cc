#include "wayport/transport/kcp/arq.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace wayport::transport::kcp {

Arq::Arq(const KcpOptions& options, PacketPool& pool, KcpCounters& counters, Identity identity,
         std::size_t datagram_bytes)
    : options_(options),
      pool_(pool),
      counters_(counters),
      identity_(identity),
      mss_(datagram_bytes - kSegmentHeaderBytes),
      received_(pool, {options.receive_window, options.stream_mode || options.stream_reads, options.message_bytes_max,
                       identity.peer_first_sn}),
      congestion_(make_congestion_control(options.congestion, static_cast<std::uint32_t>(mss_))),
      una_(identity.first_sn),
      nxt_(identity.first_sn),
      end_(identity.first_sn),
      delivered_at_(identity.epoch),
      dead_link_(options.dead_link),
      pace_next_(identity.epoch),
      last_advertised_(static_cast<std::uint16_t>(options.receive_window)) {}

Arq::~Arq() {
  for (Out& out : ring_) pool_.give(out.packet);
  pool_.discharge(ring_.size() * sizeof(Out));
}

std::uint32_t Arq::ts(TimePoint now) const noexcept {
  return identity_.ts_base + static_cast<std::uint32_t>(
                                 std::chrono::duration_cast<std::chrono::milliseconds>(now - identity_.epoch).count());
}

std::size_t Arq::memory_bytes() const noexcept {
  return ring_.size() * sizeof(Out) + packet_bytes_ + received_.bytes_held() + received_.ring_bytes() +
         acks_.capacity() * sizeof(std::uint32_t);
}

void Arq::release_memory() {
  if (end_ == una_) {
    pool_.discharge(ring_.size() * sizeof(Out));
    ring_ = {};
  }
  received_.release_memory();
  if (acks_.empty()) acks_.shrink_to_fit();
}

// --- the list of transmissions ---

void Arq::link(std::uint32_t sn) noexcept {
  Out& out = at(sn);
  out.previous = last_;
  if (listed_++ == 0) {
    first_ = sn;
  } else {
    at(last_).following = sn;
  }
  last_ = sn;
}

void Arq::unlink(std::uint32_t sn) noexcept {
  const Out& out = at(sn);
  if (sn == first_) {
    first_ = out.following;
  } else {
    at(out.previous).following = out.following;
  }
  if (sn == last_) {
    last_ = out.previous;
  } else {
    at(out.following).previous = out.previous;
  }
  --listed_;
}

// --- writing ---

bool Arq::has_room() const noexcept {
  return queued_bytes_ < options_.send_bytes_max && end_ - una_ < options_.send_segments_max;
}

bool Arq::grow_ring() {
  const std::size_t size = std::max<std::size_t>(ring_.size() * 2, 8);
  if (!pool_.charge(size * sizeof(Out))) return false;
  std::vector<Out> larger(size);
  for (std::uint32_t sn = una_; sn != end_; ++sn) larger[sn & (larger.size() - 1)] = at(sn);
  pool_.discharge(ring_.size() * sizeof(Out));
  ring_ = std::move(larger);
  return true;
}

bool Arq::queue(Bytes bytes, std::uint8_t frg) {
  const bool room = end_ - una_ < ring_.size() || grow_ring();
  Packet* const packet = room ? pool_.copy(bytes) : nullptr;
  if (packet == nullptr) {
    counters_.memory_drops.add();
    return false;
  }
  Out& out = at(end_);
  out = {};
  out.packet = packet;
  out.frg = frg;
  ++end_;
  queued_bytes_ += bytes.size();
  packet_bytes_ += PacketPool::cost(*packet);
  return true;
}

void Arq::drop_last() noexcept {
  Out& out = at(--end_);
  queued_bytes_ -= out.packet->size;
  packet_bytes_ -= PacketPool::cost(*out.packet);
  pool_.give(std::exchange(out.packet, nullptr));
}

// Stream mode: the last segment that was not sent yet takes what still fits.
bool Arq::top_up(Bytes& bytes) {
  if (end_ == nxt_ || (cautious_ && end_ - una_ == 1)) return true;
  Out& out = at(end_ - 1);
  const std::size_t size = out.packet->size;
  const std::size_t more =
      std::min({mss_ - std::min(mss_, size), bytes.size(), options_.send_bytes_max - queued_bytes_});
  if (more == 0 || out.frg != 0) return true;
  if (size + more > out.packet->room) {
    Packet* const larger = pool_.take(size + more);
    if (larger == nullptr) {
      counters_.memory_drops.add();
      return false;
    }
    std::memcpy(larger->data(), out.packet->data(), size);
    packet_bytes_ += PacketPool::cost(*larger) - PacketPool::cost(*out.packet);
    pool_.give(std::exchange(out.packet, larger));
  }
  std::memcpy(out.packet->data() + size, bytes.data(), more);
  out.packet->size = static_cast<std::uint16_t>(size + more);
  queued_bytes_ += more;
  bytes = bytes.subspan(more);
  return true;
}

std::size_t Arq::write(Bytes bytes, TimePoint now) {
  const std::size_t size = bytes.size();
  if (!bytes.empty() && has_room() && (!options_.stream_mode || top_up(bytes))) {
    if (cautious_ && end_ == una_ && bytes.size() > kCautiousBytes) {
      // In message mode a fragment, so that the message stays one.
      if (!queue(bytes.first(kCautiousBytes), options_.stream_mode ? 0 : 1)) return 0;
      bytes = bytes.subspan(kCautiousBytes);
      const std::size_t piece = std::min(mss_, bytes.size());
      if (queue(bytes.first(piece), 0)) {
        bytes = bytes.subspan(piece);
      } else if (!options_.stream_mode) {
        drop_last();
        return 0;
      }
    }
    while (!bytes.empty() && has_room()) {
      const std::size_t piece = std::min({mss_, bytes.size(), options_.send_bytes_max - queued_bytes_});
      if (!queue(bytes.first(piece), 0)) break;
      bytes = bytes.subspan(piece);
    }
  }
  if (!bytes.empty()) counters_.write_pushbacks.add();
  counters_.bytes_sent.add(size - bytes.size());
  if (bytes.size() != size) {
    if (!options_.write_delay || end_ - una_ >= options_.send_window)
      send_due_ = true;
    else if (data_due_ == kNever)
      data_due_ = after(now, options_.interval);
  }
  return size - bytes.size();
}

Result<bool> Arq::write_message(Bytes message, TimePoint now) {
  const std::size_t size = message.size();
  const std::size_t cautious = cautious_ && end_ == una_ && size > kCautiousBytes ? kCautiousBytes : 0;
  const std::size_t fragments = (size - cautious + mss_ - 1) / mss_ + (cautious == 0 ? 0 : 1);
  if (message.empty()) return fail(ErrorCode::invalid_argument, "kcp: an empty message cannot be sent");
  if (fragments > 255 || fragments > options_.send_segments_max || message.size() > options_.send_bytes_max)
    return fail(ErrorCode::too_large, "kcp: a message of " + std::to_string(message.size()) +
                                          " bytes; at most 255 fragments of " + std::to_string(mss_) +
                                          " bytes and send_bytes_max");
  if (end_ - una_ + fragments > options_.send_segments_max ||
      queued_bytes_ + message.size() > options_.send_bytes_max) {
    counters_.write_pushbacks.add();
    return false;
  }
  const std::uint32_t begin = end_;
  for (std::size_t left = fragments; left-- > 0;) {
    const bool is_cautious = cautious != 0 && left + 1 == fragments;
    const Bytes piece = message.first(is_cautious ? cautious : std::min(mss_, message.size()));
    if (!queue(piece, static_cast<std::uint8_t>(left))) {
      while (end_ != begin) drop_last();  // no memory: none of it
      return false;
    }
    message = message.subspan(piece.size());
  }
  counters_.bytes_sent.add(size);
  if (!options_.write_delay || end_ - una_ >= options_.send_window)
    send_due_ = true;
  else if (data_due_ == kNever)
    data_due_ = after(now, options_.interval);
  return true;
}

void Arq::consume(std::size_t bytes) noexcept {
  received_.consume(bytes);
  counters_.bytes_received.add(bytes);
  // The peer waits while it believes in a closed window.
  if (last_advertised_ == 0 && advertised() != 0) tell_window_ = true;
  if (received_.violation()) failure_ = received_.violation();
}

// --- hearing ---

bool Arq::begin_datagram(Bytes datagram, bool rebuilt, Heard& heard) {
  if (rebuilt) {
    // Wrong lengths or a forged shard make garbage, which must have no effect at all.
    SegmentReader reader(datagram, identity_.conv);
    while (reader.next()) {
    }
    if (reader.end() != ParseEnd::whole) {
      heard.end = reader.end();
      counters_.fec_errors.add();
      return false;
    }
  }
  una_heard_ = una_;
  ack_event_ = {};
  any_ack_ = una_advanced_ = false;
  rtt_sample_ = Duration::zero();
  return true;
}

void Arq::handle_window(std::uint16_t window) noexcept {
  if (peer_window_ == 0 && window != 0) send_due_ = true;
  if (window > peer_window_ && end_ != nxt_) send_due_ = true;
  if (window == 0 && end_ != una_ && probe_at_ == kNever) send_due_ = true;  // starts the probe's clock
  peer_window_ = window;
}

void Arq::handle_segment(const Segment& segment, bool rebuilt, TimePoint now, Heard& heard) {
  counters_.in_segments.add();
  // Else a forged number would make everything in flight look delivered.
  if (difference(segment.una, nxt_) > 0) {
    counters_.refused_una.add();
    return;
  }
  // What overtook it says more about the window.
  if (!rebuilt && difference(segment.una, una_) >= 0) handle_window(segment.wnd);
  // At the end of the datagram: its acknowledgements, which may be below una, tell times that una does not.
  if (difference(segment.una, una_heard_) > 0) una_heard_ = segment.una;
  switch (segment.cmd) {
    case kPush:
      handle_push(segment, heard);
      break;
    case kAck:
      handle_ack(segment, rebuilt, now, heard);
      break;
    case kAskWindow:
      tell_window_ = true;
      break;
    default:
      break;
  }
}

void Arq::handle_push(const Segment& segment, Heard& heard) {
  if (segment.sn == identity_.peer_first_sn && !first_push_ts_) first_push_ts_ = segment.ts;
  switch (received_.put(segment.sn, segment.frg, segment.payload)) {
    case ReceiveQueue::Put::no_memory:
      counters_.memory_drops.add();
      return;
    case ReceiveQueue::Put::beyond_window:
      return;
    case ReceiveQueue::Put::duplicate:
      counters_.repeated_segments.add();
      break;
    case ReceiveQueue::Put::stored:
      heard.fresh = true;
      break;
  }
  if (received_.violation()) failure_ = received_.violation();
  last_ack_ = Ack{segment.sn, segment.ts};
  // Below next() the una says it all. mark_ack() keeps each number on the list once.
  if (difference(segment.sn, received_.next()) >= 0 && received_.mark_ack(segment.sn, segment.ts)) {
    if (acks_.size() >= options_.receive_window)
      std::erase_if(acks_, [this](std::uint32_t sn) { return difference(sn, received_.next()) < 0; });
    acks_.push_back(segment.sn);
  }
}

void Arq::delivered(Out& out, TimePoint now) {
  const std::size_t size = out.packet->size;
  delivered_ += size;
  delivered_at_ = now;
  in_flight_bytes_ -= size;
  queued_bytes_ -= size;
  packet_bytes_ -= PacketPool::cost(*out.packet);
  pool_.give(std::exchange(out.packet, nullptr));
  out.acked = true;
  any_ack_ = true;
  // Bandwidth: what was delivered since this one left, over the longer of the two ways to measure that time.
  if (out.transmissions == 1 && out.delivered >= ack_event_.prior) {
    const Duration elapsed = std::max(now - out.delivered_at, now - out.sent_at);
    ack_event_.prior = out.delivered;
    ack_event_.app_limited = out.app_limited;
    if (elapsed > Duration::zero())
      ack_event_.rate = static_cast<std::uint64_t>(static_cast<double>(delivered_ - out.delivered) /
                                                   std::chrono::duration<double>(elapsed).count());
  }
}

void Arq::handle_una(std::uint32_t una, TimePoint now) {
  for (; difference(una_, una) < 0; ++una_) {
    Out& out = at(una_);
    una_advanced_ = true;
    if (out.acked) continue;
    unlink(una_);
    if (out.transmissions == 1) newest_acked_ = std::max(newest_acked_, out.number);
    delivered(out, now);
  }
}

void Arq::handle_ack(const Segment& segment, bool rebuilt, TimePoint now, Heard& heard) {
  if (difference(segment.sn, nxt_) >= 0) {
    counters_.refused_acks.add();
    return;
  }
  if (difference(segment.sn, una_) < 0) return;
  Out& out = at(segment.sn);
  if (out.acked) return;
  // The echo must be of one of our transmissions; a forger would have to guess it.
  if (segment.ts - out.first_ts > out.ts - out.first_ts) {
    counters_.refused_rtt.add();
    return;
  }
  heard.fresh = true;
  if (out.number > path_begins_ && difference(segment.ts, out.path_ts) >= 0) heard.validated = true;
  if (segment.ts == out.ts) {
    newest_acked_ = std::max(newest_acked_, out.number);
    // After a resend it is unknown which one was answered.
    if (out.transmissions == 1 && !rebuilt) rtt_sample_ = now - out.sent_at;
  }
  unlink(segment.sn);
  delivered(out, now);
  while (una_ != nxt_ && at(una_).acked) {
    ++una_;
    una_advanced_ = true;
  }
}

void Arq::finish_datagram(TimePoint now, const Heard& heard) {
  if (heard.end != ParseEnd::whole) counters_.kcp_errors.add();
  handle_una(una_heard_, now);
  if (rtt_sample_ > Duration::zero()) sample_rtt(rtt_sample_);
  if (any_ack_) {
    ack_event_.now = now;
    ack_event_.una_advanced = una_advanced_;
    ack_event_.peer_window = peer_window_;
    ack_event_.rtt = rtt_sample_;
    ack_event_.delivered = delivered_;
    ack_event_.in_flight_bytes = in_flight_bytes_;
    congestion_->on_ack(ack_event_);
    if (una_advanced_ && end_ != nxt_) send_due_ = true;
    if (loss_is_due()) send_due_ = true;
    if (listed_ == 0) next_timeout_ = kNever;
  }
  resend_reached(now);
  if (last_ack_) {
    // A datagram full of them leaves at once, and so do all under ack_nodelay.
    const bool now_due = options_.ack_nodelay || acks_.size() >= (mss_ + kSegmentHeaderBytes) / kSegmentHeaderBytes;
    acks_due_ = std::min(acks_due_, now_due ? now : after(now, options_.interval));
  }
}

void Arq::sample_rtt(Duration rtt) {
  rtt = std::max(rtt, Duration(std::chrono::microseconds(1)));
  if (srtt_ == Duration::zero()) {
    srtt_ = rtt;
    rttvar_ = rtt / 2;
  } else {
    const Duration delta = rtt - srtt_;
    srtt_ += delta / 8;
    const Duration off = delta < Duration::zero() ? -delta : delta;
    rttvar_ += (off - rttvar_) / (rtt < srtt_ - rttvar_ ? 32 : 4);
  }
  const Duration least = std::chrono::milliseconds(options_.nodelay ? 30 : 100);
  rto_ = std::clamp(srtt_ + std::max(options_.interval, 4 * rttvar_), least, options_.rto_max);
}

}  // namespace wayport::transport::kcp
