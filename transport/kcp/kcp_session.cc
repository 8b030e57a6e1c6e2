#include "wayport/transport/kcp/kcp_session.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace wayport::transport::kcp {
namespace {

constexpr Duration kQuiet = std::chrono::seconds(5);
constexpr std::uint32_t kHelloTries = 5;
constexpr std::uint32_t kCloseTries = 12;
constexpr Duration kAgreeWait = std::chrono::seconds(5);
constexpr Duration kWriteRetry = std::chrono::milliseconds(100);
constexpr Duration kGrantEvery = std::chrono::seconds(1);

}  // namespace

std::size_t KcpSession::header_bytes(const KcpEnvironment& environment) noexcept {
  return (environment.cipher == nullptr ? 0 : environment.cipher->head_bytes() + environment.cipher->tail_bytes()) +
         (environment.code == nullptr ? 0 : kFecHeaderBytes);
}

// Packs segments into datagrams: [cipher head][FEC header] segments [cipher tail].
class KcpSession::Builder final : public SegmentOutput {
 public:
  Builder(KcpSession& session, DatagramSink& sink, TimePoint now) : session_(session), sink_(sink), now_(now) {
    const PacketCipher* const cipher = session.environment_.cipher;
    cipher_head_ = cipher == nullptr ? 0 : cipher->head_bytes();
    tail_ = cipher == nullptr ? 0 : cipher->tail_bytes();
    head_ = cipher_head_ + (session.environment_.code == nullptr ? 0 : kFecHeaderBytes);
  }

  std::byte* room(std::size_t size) override {
    if (!datagram_.empty() && used_ + size > limit_) finish();
    if (datagram_.empty() && !open(size)) return nullptr;
    std::byte* const at = datagram_.data() + head_ + used_;
    used_ += size;
    return at;
  }

  // What the last flush had no room for, and what finish() has made. False: the sink is full.
  bool send_parity() {
    if (!session_.encoder_) return true;
    FecEncoder& encoder = *session_.encoder_;
    while (const std::size_t size = encoder.parity_size()) {
      if (cipher_head_ + size + tail_ > budget()) {
        encoder.skip_parity();
        break;
      }
      const MutableBytes whole = sink_.room(cipher_head_ + size + tail_);
      if (whole.empty()) {
        session_.blocked_ = true;
        return false;
      }
      encoder.write_parity(whole.subspan(cipher_head_, size));
      session_.environment_.counters.fec_parity.add();
      send(whole.first(cipher_head_ + size + tail_));
    }
    return true;
  }

  void finish() {
    if (datagram_.empty()) return;
    const MutableBytes whole = datagram_.first(head_ + used_ + tail_);
    datagram_ = {};
    bool parity = false;
    if (session_.environment_.code != nullptr)
      parity = session_.encoder_->seal_data(whole.subspan(cipher_head_, whole.size() - cipher_head_ - tail_), now_);
    send(whole);
    if (parity) send_parity();
  }

 private:
  bool open(std::size_t size) {
    if (session_.environment_.code != nullptr) {
      if (!session_.encoder_)
        session_.encoder_.emplace(*session_.environment_.code, session_.environment_.pool, session_.first_seqid_);
      if (!send_parity()) return false;
    }
    const std::size_t mtu = session_.options_->mtu;
    limit_ = mtu - head_ - tail_;
    if (budget() < head_ + size + tail_ && !session_.grant_datagram(now_)) {
      if (!std::exchange(session_.held_, true)) session_.environment_.counters.amplification_holds.add();
      session_.held_at_ = now_;
      session_.held_since_ = std::min(session_.held_since_, now_);
      return false;
    }
    if (const std::uint64_t allowed = budget(); allowed < mtu) limit_ = allowed - head_ - tail_;
    datagram_ = sink_.room(mtu);
    used_ = 0;
    if (datagram_.empty()) session_.blocked_ = true;
    return !datagram_.empty();
  }

  std::uint64_t budget() const noexcept {
    if (session_.role_ == Role::dialer || session_.validated_) return UINT64_MAX;
    const std::uint64_t all =
        std::max(session_.bytes_in_ * session_.options_->amplification_max, session_.granted_bytes_);
    return all > session_.bytes_out_ ? all - session_.bytes_out_ : 0;
  }

  void send(MutableBytes whole) {
    KcpEnvironment& environment = session_.environment_;
    if (environment.cipher != nullptr) environment.cipher->seal(whole);
    session_.bytes_out_ += whole.size();
    environment.counters.out_packets.add();
    environment.counters.out_bytes.add(whole.size());
    sink_.commit(whole.size());
  }

  KcpSession& session_;
  DatagramSink& sink_;
  TimePoint now_;
  std::size_t cipher_head_, head_, tail_;
  std::size_t limit_ = 0;  // bytes of segments
  std::size_t used_ = 0;
  MutableBytes datagram_{};
};

KcpSession::KcpSession(KcpHost& host, KcpEnvironment& environment, std::shared_ptr<const KcpOptions> options,
                       std::uint32_t conv, Role role, FirstNumbers first)
    : host_(host),
      environment_(environment),
      options_(std::move(options)),
      conv_(conv),
      role_(role),
      arq_(*options_, environment.pool, environment.counters,
           {.conv = conv,
            .ts_base = first.ts ? *first.ts
                       : role == Role::dialer && options_->extension == ExtensionWish::ask
                           ? asking_ts(conv)
                           : static_cast<std::uint32_t>(environment.random()),
            .epoch = host.now(),
            .first_sn = first.sent,
            .peer_first_sn = first.received},
           options_->mtu - header_bytes(environment)),
      first_seqid_(first.seqid),
      created_(host.now()),
      last_heard_(created_) {
  if (role == Role::accepted) {
    arq_.set_dead_link(options_->dead_link_unvalidated);
    arq_.set_cautious(true);
  }
  (role == Role::dialer ? environment.counters.active_opens : environment.counters.passive_opens).add();
  environment.counters.sessions.add();
  rearm();
}

KcpSession::~KcpSession() { environment_.counters.sessions.add(-1); }

// --- hearing ---

void KcpSession::handle_datagram(MutableBytes datagram) {
  KcpCounters& counters = environment_.counters;
  if (datagram.empty() || datagram.size() > kDatagramBytesMax) {
    counters.in_errors.add();
    return;
  }
  const std::size_t wire_bytes = datagram.size();
  if (environment_.cipher != nullptr) {
    const Opened opened = environment_.cipher->open(datagram);
    if (opened.status != Opened::Status::ok) {
      (opened.status == Opened::Status::too_short   ? counters.in_errors
       : opened.status == Opened::Status::reflected ? counters.reflected
                                                    : counters.checksum_errors)
          .add();
      return;
    }
    datagram = opened.packet;
  }
  handle_packet(datagram, wire_bytes);
}

bool KcpSession::handle_packet(Bytes packet, std::size_t wire_bytes) {
  KcpCounters& counters = environment_.counters;
  counters.in_packets.add();
  counters.in_bytes.add(packet.size());
  if (state_ == State::ended) return false;
  bytes_in_ += wire_bytes;
  held_ = false;
  bool fresh = false;
  const std::uint16_t type = fec_type(packet);
  if (type == kFecOutOfBand) {
    counters.oob_packets.add();  // optional, unreliable, and without meaning to us
  } else if (type != 0) {
    // Data is delivered at once; without FEC of our own that is all.
    if (type == kFecData && packet.size() > kFecHeaderBytes) take(packet.subspan(kFecHeaderBytes), false, fresh);
    if (environment_.code != nullptr && state_ != State::ended) {
      if (!decoder_)
        decoder_.emplace(*environment_.code, environment_.pool, counters,
                         FecDecoder::Options{options_->fec_groups, options_->fec_group_age});
      if (decoder_->handle_packet(packet, host_.now()))
        for (const Bytes rebuilt : decoder_->rebuilt()) take(rebuilt, true, fresh);
    }
  } else {
    take(packet, false, fresh);
  }
  if (arq_.failure()) end(CloseReason::local(arq_.failure()->code, arq_.failure()->detail));
  if (options_->extension == ExtensionWish::ask && role_ == Role::accepted && !hello_sent_ && arq_.first_push_ts() &&
      asks(*arq_.first_push_ts(), asking_ts(conv_))) {
    hello_sent_ = true;
    cookie_ = environment_.random();
    message_at_ = host_.now();
  }
  if (state_ == State::closing) {
    // Nobody reads any more; the peer must not be held up by that.
    iovec pieces[64];
    while (const std::size_t bytes = readable(pieces).bytes) arq_.consume(bytes);
  } else if (state_ == State::open && has_readable() && events_ != nullptr) {
    events_->on_readable();
  }
  if (tidy_at_ == kNever) tidy_at_ = after(host_.now(), kQuiet);
  host_.flush_soon(*this);
  return fresh;
}

void KcpSession::take(Bytes datagram, bool rebuilt, bool& fresh) {
  const TimePoint now = host_.now();
  const Arq::Heard heard = arq_.handle_datagram(datagram, rebuilt, now, [this](const Segment& segment) {
    if (const std::optional<ExtensionMessage> message = read_extension(segment)) handle_extension(*message);
  });
  // What does not even parse is no sign of life.
  if (heard.end != ParseEnd::whole && !heard.fresh) return;
  last_heard_ = now;
  if (packets_in_ < 2 && !rebuilt) ++packets_in_;
  fresh = fresh || heard.fresh;
  if (heard.validated) validate();
}

void KcpSession::validate() noexcept {
  validated_ = true;
  arq_.set_dead_link(options_->dead_link);
  arq_.set_cautious(false);
}

void KcpSession::restart_validation(std::size_t wire_bytes) noexcept {
  if (role_ != Role::accepted) return;
  if (validated_) grants_ = options_->dead_link_unvalidated;
  validated_ = false;
  moved_ = true;
  bytes_in_ = wire_bytes;
  bytes_out_ = granted_bytes_ = 0;
  packets_in_ = 2;
  arq_.begin_path();
  arq_.set_cautious(true);
}

bool KcpSession::grant_datagram(TimePoint now) noexcept {
  if (grants_ == 0 || now < grant_at_) return false;
  --grants_;
  grant_at_ = after(now, kGrantEvery);
  granted_bytes_ = bytes_out_ + options_->mtu;
  return true;
}

// --- extension ---

void KcpSession::agree() {
  if (agreed_) return;
  agreed_ = true;
  environment_.counters.extension_agreed.add();
  tries_ = 0;
  message_at_ = write_ended_ ? host_.now() : kNever;
}

void KcpSession::handle_extension(const ExtensionMessage& message) {
  if (options_->extension != ExtensionWish::ask || state_ == State::ended) return;
  if (message.kind == ExtensionKind::hello) {
    if (role_ != Role::dialer || (agreed_ && message.cookie != cookie_)) return;
    cookie_ = message.cookie;
    confirm_due_ = true;
    agree();
    return;
  }
  if (!(agreed_ || hello_sent_) || message.cookie != cookie_) return;
  agree();
  if (!moved_) validate();  // the cookie was unpredictable, and went to that address
  switch (message.kind) {
    case ExtensionKind::ask_alive:
      alive_due_ = true;
      break;
    case ExtensionKind::close:
      // Never before what it has sent, and for good.
      if (!peer_end_ && difference(message.value, arq_.received().next()) >= 0) peer_end_ = message.value;
      closed_due_ = peer_end_.has_value();
      break;
    case ExtensionKind::closed:
      if (write_ended_ && message.value == arq_.end_sn()) {
        close_acked_ = true;
        message_at_ = kNever;
      }
      break;
    case ExtensionKind::reset:
      // What it had ended in order and is here was delivered: it is read first.
      if (state_ == State::open && peer_end_ && !told_read_end_ && arq_.received().next() == *peer_end_ &&
          has_readable())
        peer_reset_ = true;
      else
        end_by_reset();
      break;
    default:
      break;
  }
}

void KcpSession::end_by_reset() {
  if (told_read_end_ && write_ended_ && arq_.unacknowledged() == 0)
    return end(CloseReason::peer(ErrorCode::peer_closed, "kcp: both ends have closed"));
  // With a cause, as of every transport: an orderly end has none.
  CloseReason reason = CloseReason::peer(ErrorCode::peer_closed, "kcp: the peer reset the session");
  reason.error.cause = std::error_code(ECONNRESET, std::system_category());
  end(std::move(reason));
}

bool KcpSession::flush_extension(TimePoint now, Builder& builder) {
  const auto put = [&](ExtensionKind kind, std::uint32_t value) {
    std::byte* const to = builder.room(kSegmentHeaderBytes + kExtensionPayloadBytes);
    if (to == nullptr) return false;
    write_extension(to, arq_.control_header(), {kind, value, cookie_});
    environment_.counters.out_segments.add();
    return true;
  };
  if (reset_due_) {
    if (!put(ExtensionKind::reset, 0)) return false;
    reset_due_ = false;
  }
  if (state_ == State::ended || peer_reset_) return true;
  if (confirm_due_ && !put(ExtensionKind::confirm, 0)) return false;
  confirm_due_ = false;
  if (alive_due_ && !put(ExtensionKind::alive, 0)) return false;
  alive_due_ = false;
  if (closed_due_ && !put(ExtensionKind::closed, *peer_end_)) return false;
  closed_due_ = false;
  if (message_at_ <= now) {
    if (!put(agreed_ ? ExtensionKind::close : ExtensionKind::hello, agreed_ ? arq_.end_sn() : 0)) return false;
    const Duration wait = arq_.rto() * (std::int64_t{1} << std::min(tries_, 4u));
    message_at_ = ++tries_ >= (agreed_ ? kCloseTries : kHelloTries) ? kNever : after(now, wait);
  }
  if (agreed_ && options_->keepalive > Duration::zero() &&
      now - std::max(last_heard_, asked_alive_at_) >= options_->keepalive) {
    if (!put(ExtensionKind::ask_alive, 0)) return false;
    asked_alive_at_ = now;
  }
  return true;
}

std::size_t KcpSession::write_reset(KcpEnvironment& environment, std::uint32_t conv, std::uint64_t cookie,
                                    MutableBytes to) {
  const std::size_t head = environment.cipher == nullptr ? 0 : environment.cipher->head_bytes();
  const std::size_t tail = environment.cipher == nullptr ? 0 : environment.cipher->tail_bytes();
  const std::size_t size = head + kSegmentHeaderBytes + kExtensionPayloadBytes + tail;
  WAYPORT_ASSERT(to.size() >= size, "no room for a reset");
  // Without a FEC header: it belongs to no group, and a receiver with FEC takes plain packets, too.
  write_extension(to.data() + head, {.conv = conv}, {ExtensionKind::reset, 0, cookie});
  if (environment.cipher != nullptr) environment.cipher->seal(to.first(size));
  return size;
}

// --- commands ---

std::size_t KcpSession::write(Bytes bytes) {
  if (state_ != State::open || write_ended_ || peer_reset_) return bytes.size();  // dropped, as a stream does
  const std::size_t taken = arq_.write(bytes, host_.now());
  if (taken < bytes.size()) retry_write_later();
  if (tidy_at_ == kNever) tidy_at_ = after(host_.now(), kQuiet);
  if (arq_.wants_flush(host_.now()))
    host_.flush_soon(*this);
  else
    rearm();
  return taken;
}

Result<bool> KcpSession::write_message(Bytes message) {
  if (state_ != State::open || write_ended_ || peer_reset_) return true;
  Result<bool> taken = arq_.write_message(message, host_.now());
  if (taken && !*taken) retry_write_later();
  if (tidy_at_ == kNever) tidy_at_ = after(host_.now(), kQuiet);
  if (arq_.wants_flush(host_.now()))
    host_.flush_soon(*this);
  else
    rearm();
  return taken;
}

void KcpSession::retry_write_later() {
  wants_writable_ = true;
  // Else acknowledgements bring the next flush.
  if (arq_.unacknowledged() == 0) write_retry_at_ = after(host_.now(), kWriteRetry);
}

void KcpSession::consume(std::size_t bytes) {
  arq_.consume(bytes);
  if (arq_.wants_flush(host_.now()) || arq_.failure() || write_ended_ || (peer_end_ && !told_read_end_))
    host_.flush_soon(*this);
}

void KcpSession::shutdown_write() {
  if (write_ended_) return;
  write_ended_ = true;
  if (agreed_) message_at_ = host_.now();
  const bool may_agree = options_->extension == ExtensionWish::ask && role_ == Role::dialer;
  plain_end_at_ = after(host_.now(), may_agree ? kAgreeWait : Duration(0));
  host_.flush_soon(*this);
}

void KcpSession::close(CloseReason reason, Duration linger) {
  if (state_ == State::ended) return;
  const TimePoint until = after(host_.now(), linger);
  if (state_ == State::open) {
    reason_ = std::move(reason);
    state_ = State::closing;
  }
  linger_until_ = std::min(linger_until_, until);
  shutdown_write();
  if (linger <= Duration::zero()) {
    reset_due_ = agreed_;
    end(reason_);
  } else {
    iovec pieces[64];
    while (const std::size_t bytes = readable(pieces).bytes) arq_.consume(bytes);
    host_.flush_soon(*this);
  }
}

void KcpSession::end(CloseReason reason) {
  if (state_ == State::ended) return;
  if (state_ == State::open) reason_ = std::move(reason);
  state_ = State::ended;
  if (agreed_ && reason_.by != CloseReason::By::peer && !(close_acked_ && peer_end_)) reset_due_ = true;
  host_.flush_soon(*this);
}

// --- output ---

bool KcpSession::flush(DatagramSink& sink) {
  if (told_closed_) return true;
  environment_.counters.flushes.add();
  const TimePoint now = host_.now();
  look_after_life(now);
  blocked_ = held_ = false;
  if (write_retry_at_ <= now) write_retry_at_ = kNever;
  Builder builder(*this, sink, now);
  builder.send_parity();
  flush_extension(now, builder);
  if (state_ != State::ended && !peer_reset_) arq_.flush(now, builder);
  builder.finish();
  // After the builder: what it has opened is sent.
  if (arq_.failure()) end(CloseReason::local(arq_.failure()->code, arq_.failure()->detail));
  finish_if_done();
  tell();
  if (reset_due_ && !blocked_) {
    // It has ended since: the last that is sent.
    flush_extension(now, builder);
    builder.finish();
  }
  if (!held_) held_since_ = kNever;
  tell_closed();
  if (told_closed_) {
    Timer::unlink();
    return true;
  }
  rearm();
  return !blocked_;
}

void KcpSession::look_after_life(TimePoint now) {
  if (state_ == State::ended) return;
  KcpCounters& counters = environment_.counters;
  const auto passed_since = [&](TimePoint since, Duration time) {
    return time > Duration::zero() && now - since >= time;
  };
  const auto silent_for = [&](Duration time) { return passed_since(last_heard_, time); };
  if (state_ == State::closing && now >= linger_until_) {
    end(reason_);
  } else if (half_open() && now - created_ >= options_->half_open_timeout) {
    counters.half_open_expired.add();
    end(CloseReason::local(ErrorCode::timed_out, "kcp: nothing after the first datagram within half_open_timeout = " +
                                                     format_duration(options_->half_open_timeout)));
  } else if (held_ && arq_.unacknowledged() != 0 && passed_since(held_silent_since(), options_->half_open_timeout)) {
    // The bound does not let it try again.
    counters.half_open_expired.add();
    end(CloseReason::local(ErrorCode::timed_out,
                           "kcp: data is held by amplification_max, and nothing was heard within half_open_timeout = " +
                               format_duration(options_->half_open_timeout)));
  } else if (peer_reset_) {
    // Its silence is known, and what is unread is the reader's.
  } else if (agreed_ && silent_for(options_->liveness_timeout)) {
    counters.idle_closes.add();
    end(CloseReason::local(ErrorCode::timed_out, "kcp: no sign of life within liveness_timeout = " +
                                                     format_duration(options_->liveness_timeout)));
  } else if (!agreed_ && silent_for(options_->idle_timeout)) {
    counters.idle_closes.add();
    end(CloseReason::local(ErrorCode::timed_out,
                           "kcp: nothing heard within idle_timeout = " + format_duration(options_->idle_timeout)));
  }
}

void KcpSession::finish_if_done() {
  if (state_ == State::ended || !write_ended_ || arq_.unacknowledged() != 0) return;
  if (state_ == State::closing && (!agreed_ || close_acked_ || message_at_ == kNever)) {
    end(reason_);
  } else if (agreed_ && told_read_end_ && (close_acked_ || message_at_ == kNever)) {
    end(CloseReason::peer(ErrorCode::peer_closed, "kcp: both ends have closed"));
  } else if (state_ == State::open && !agreed_ && host_.now() >= plain_end_at_ && !has_readable()) {
    end(CloseReason::local(ErrorCode::local_closed,
                           "kcp: everything was sent and acknowledged, which ends a session "
                           "without the extension"));
  }
}

void KcpSession::tell() {
  if (events_ == nullptr) return;
  const bool room = arq_.unacknowledged_bytes() <= options_->send_bytes_max / 2 &&
                    arq_.unacknowledged() <= options_->send_segments_max / 2;
  // What is written to a peer that is gone is dropped.
  if (wants_writable_ && state_ == State::open && (peer_reset_ || (room && write_retry_at_ == kNever))) {
    wants_writable_ = false;
    events_->on_writable();
  }
  if (peer_end_ && !told_read_end_ && arq_.received().next() == *peer_end_ && arq_.received().waiting() == 0) {
    told_read_end_ = true;
    if (state_ == State::open) events_->on_read_end();
    if (peer_reset_) end_by_reset();
    finish_if_done();
  }
  // The rest of a message does not come any more.
  if (peer_reset_ && !has_readable()) end_by_reset();
}

void KcpSession::tell_closed() {
  if (state_ != State::ended || (reset_due_ && blocked_)) return;
  told_closed_ = true;
  if (events_ != nullptr) events_->on_closed(reason_);
}

// --- time ---

TimePoint KcpSession::life_deadline() const noexcept {
  TimePoint due = std::min({linger_until_, tidy_at_, write_retry_at_});
  // What was refused while held waits for the peer, not for time.
  const auto unless_refused = [this](TimePoint at) { return held_ && at <= held_at_ ? kNever : at; };
  // Nothing is sent any more to a peer that is gone.
  if (!peer_reset_) due = std::min(due, unless_refused(message_at_));
  // Whatever keeps it open after that asks for a flush by itself.
  if (state_ == State::open && !agreed_ && plain_end_at_ > host_.now()) due = std::min(due, plain_end_at_);
  const auto add = [&due](TimePoint from, Duration time) {
    if (time > Duration::zero()) due = std::min(due, after(from, time));
  };
  if (half_open()) add(created_, options_->half_open_timeout);
  if (held_) {
    if (arq_.unacknowledged() != 0) add(held_silent_since(), options_->half_open_timeout);
    if (grants_ != 0) due = std::min(due, grant_at_);
  }
  if (peer_reset_) return due;
  if (agreed_) {
    add(last_heard_, options_->liveness_timeout);
    if (options_->keepalive > Duration::zero())
      due = std::min(due, unless_refused(after(std::max(last_heard_, asked_alive_at_), options_->keepalive)));
  } else {
    add(last_heard_, options_->idle_timeout);
  }
  return due;
}

TimePoint KcpSession::next_deadline() const noexcept {
  if (told_closed_ || blocked_) return kNever;  // the driver calls flush()
  if (state_ == State::ended) return TimePoint::min();
  const TimePoint life = life_deadline();
  if (peer_reset_) return life;
  return std::min(life, held_ ? arq_.next_deadline_after(held_at_) : arq_.next_deadline());
}

void KcpSession::rearm() {
  const TimePoint due = next_deadline();
  if (due == kNever || (armed() && armed_for_ <= due)) return;
  armed_for_ = due;
  host_.arm(*this, due);
}

void KcpSession::on_timer() {
  environment_.counters.timer_runs.add();
  armed_for_ = kNever;
  const TimePoint now = host_.now();
  if (tidy_at_ <= now) {
    const bool quiet = now - last_heard_ >= kQuiet && (arq_.unacknowledged() == 0 || peer_reset_);
    tidy_at_ = quiet ? kNever : after(now, kQuiet);
    if (quiet) release_memory();
  }
  // The end without the extension is due once, and is no deadline any more by now.
  const bool plain_end = state_ == State::open && write_ended_ && !agreed_ && plain_end_at_ <= now;
  if (next_deadline() <= now || plain_end)
    host_.flush_soon(*this);
  else
    rearm();
}

void KcpSession::release_memory() {
  arq_.release_memory();
  if (encoder_) encoder_->release_memory();
  if (decoder_) decoder_->release_memory();
}

std::size_t KcpSession::memory_bytes() const noexcept {
  std::size_t bytes = sizeof(*this) + arq_.memory_bytes();
  if (encoder_) bytes += encoder_->packets_held() * (sizeof(Packet) + kDatagramBytesMax + 20);
  if (decoder_) bytes += decoder_->packets_held() * (sizeof(Packet) + kDatagramBytesMax + 20);
  return bytes;
}

}  // namespace wayport::transport::kcp
