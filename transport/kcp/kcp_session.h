// KcpSession: one KCP session without I/O: windows, FEC and encryption joined. Packets, commands and time go in;
// datagrams, events and one deadline come out. The driver owns the socket, and the loop's timer wheel the deadline.
//
//   handle_packet / handle_datagram   for each datagram of a turn
//   flush                             once at the end of a turn in which flush_soon() was asked for
//
//   open --close(linger)--> closing --all acknowledged, or time over--> ended --flush--> on_closed
//     \----- close() at once, reset by the peer, dead link, silence, a broken rule -----/
//
// An idle session arms one timer, far away; it ticks only while data, acknowledgements or probes wait. Traffic does not
// re-arm it later: it fires, looks, and is armed for the rest.
//
// As a list node it is its host's, who keeps there what is to be flushed.
//
// Memory: bounded by KcpOptions (windows, send_bytes_max) and, over all sessions, by the PacketPool. After 5 s of quiet
// rings and FEC groups are given back. Not thread-safe; all calls on the host's loop. Not to be destroyed from inside
// its events.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "wayport/base/bytes.h"
#include "wayport/base/intrusive_list.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/base/timer_wheel.h"
#include "wayport/transport/kcp/arq.h"
#include "wayport/transport/kcp/extension.h"
#include "wayport/transport/kcp/fec.h"
#include "wayport/transport/kcp/kcp_counters.h"
#include "wayport/transport/kcp/kcp_options.h"
#include "wayport/transport/kcp/packet_cipher.h"
#include "wayport/transport/kcp/packet_pool.h"

namespace wayport::transport::kcp {

class KcpSession;

// Takes finished datagrams. A driver gives room one behind the other in a large buffer, so that runs of equal size
// leave as one GSO send.
class DatagramSink {
 public:
  // `size` contiguous bytes for one datagram, until commit(); empty: no more now, and the driver calls flush() again
  // when there is.
  virtual MutableBytes room(std::size_t size) = 0;
  virtual void commit(std::size_t size) = 0;  // at most what was asked for

 protected:
  ~DatagramSink() = default;
};

class KcpHost {
 public:
  virtual TimePoint now() const noexcept = 0;
  virtual void arm(Timer& timer, TimePoint due) = 0;
  // Call session.flush() at the end of this turn; asked for any number of times.
  virtual void flush_soon(KcpSession& session) = 0;

 protected:
  ~KcpHost() = default;
};

class KcpEvents {
 public:
  virtual void on_readable() = 0;  // from handle_packet
  // The rest come from flush(), never from a command.
  virtual void on_writable() = 0;  // after write() took less than all, when half of the bound is free
  virtual void on_read_end() = 0;  // everything up to the peer's end was read; only with the extension
  virtual void on_closed(const CloseReason& reason) = 0;  // once, last

 protected:
  ~KcpEvents() = default;
};

// Shared by the sessions of a listener, or of one dial; outlives them.
struct KcpEnvironment {
  PacketPool& pool;
  KcpCounters& counters;
  PacketCipher* cipher = nullptr;         // null: no header at all, which is not the cipher "none"
  ReedSolomon* code = nullptr;            // null: no FEC
  std::function<std::uint64_t()> random;  // unpredictable
};

class KcpSession final : public ListNode<KcpSession>, private Timer {
 public:
  enum class Role : std::uint8_t { dialer, accepted };
  enum class State : std::uint8_t { open, closing, ended };
  // Tests of the wrap start elsewhere than at 0.
  struct FirstNumbers {
    std::uint32_t sent = 0;
    std::uint32_t received = 0;
    std::optional<std::uint32_t> ts{};
    std::uint32_t seqid = 0;
  };

  // REQUIRES: options->check() passed. `events` may be set later, before the first handle_packet.
  KcpSession(KcpHost& host, KcpEnvironment& environment, std::shared_ptr<const KcpOptions> options, std::uint32_t conv,
             Role role, FirstNumbers first);
  KcpSession(KcpHost& host, KcpEnvironment& environment, std::shared_ptr<const KcpOptions> options, std::uint32_t conv,
             Role role)
      : KcpSession(host, environment, std::move(options), conv, role, FirstNumbers{}) {}
  ~KcpSession();
  KcpSession(const KcpSession&) = delete;
  KcpSession& operator=(const KcpSession&) = delete;

  void set_events(KcpEvents& events) noexcept { events_ = &events; }
  void clear_events() noexcept { events_ = nullptr; }  // nobody listens any more; it is about to be closed

  // For whoever keeps the session; the session does not look at it.
  void set_owner(void* owner) noexcept { owner_ = owner; }
  void* owner() const noexcept { return owner_; }

  // --- events ---
  // A UDP datagram as it came; decrypted in place. For dialers; listeners decrypt before they know the session.
  void handle_datagram(MutableBytes datagram);
  // What the cipher opened. `wire_bytes`: of the datagram, for the amplification bound.
  // Returns whether it said something new that only the peer can know (path changes need that).
  bool handle_packet(Bytes packet, std::size_t wire_bytes);

  // --- commands ---
  // Takes what the bounds allow and returns how much; on_writable() follows if that was not all.
  std::size_t write(Bytes bytes);
  // One message, all or nothing (false). For peers that reassemble; kcp-go's connections never send such.
  Result<bool> write_message(Bytes message);
  ReceiveQueue::Readable readable(std::span<iovec> to) { return arq_.received().readable(to); }
  bool has_readable() noexcept { return arq_.received().has_readable(); }
  void consume(std::size_t bytes);
  // Nothing more is written. With the extension the peer hears of it, and its direction goes on. Without, the session
  // ends (local_closed) once everything was acknowledged and what came was read: KCP has no half-close.
  void shutdown_write();
  // Zero linger: at once. Else what was written is still delivered, for at most so long. Repeating may only shorten.
  void close(CloseReason reason, Duration linger);

  // --- output ---
  // False: the sink had no room for everything.
  bool flush(DatagramSink& sink);

  // --- state ---
  std::uint32_t conv() const noexcept { return conv_; }
  State state() const noexcept { return state_; }
  bool closed() const noexcept { return told_closed_; }  // on_closed() was called; destroy it
  // The peer acknowledged something of ours since the path began.
  bool validated() const noexcept { return validated_; }
  bool half_open() const noexcept { return role_ == Role::accepted && !validated_ && packets_in_ < 2; }
  bool extension_agreed() const noexcept { return agreed_; }
  std::uint64_t extension_cookie() const noexcept { return cookie_; }
  bool heard() const noexcept { return packets_in_ != 0; }
  TimePoint last_heard() const noexcept { return last_heard_; }
  std::size_t unacknowledged_bytes() const noexcept { return arq_.unacknowledged_bytes(); }
  TimePoint next_deadline() const noexcept;
  std::size_t memory_bytes() const noexcept;
  const Arq& arq() const noexcept { return arq_; }
  const KcpOptions& options() const noexcept { return *options_; }

  // The peer's address changed: it has to be validated anew, by what is sent from now on, before more than
  // amplification_max times what came from there goes to it. Where the last path was validated, some full datagrams are
  // allowed on top, at most one per second: what is outstanding cannot be cut smaller.
  void restart_validation(std::size_t wire_bytes) noexcept;

  // A datagram that ends a session which is remembered only by these; written to `to`, returns its size.
  static std::size_t write_reset(KcpEnvironment& environment, std::uint32_t conv, std::uint64_t cookie,
                                 MutableBytes to);
  static std::size_t header_bytes(const KcpEnvironment& environment) noexcept;

 private:
  class Builder;
  void on_timer() override;
  void rearm();
  void take(Bytes datagram, bool rebuilt, bool& fresh);
  void handle_extension(const ExtensionMessage& message);
  void agree();
  void validate() noexcept;
  bool grant_datagram(TimePoint now) noexcept;
  // From when on a peer that lets data be held is silent.
  TimePoint held_silent_since() const noexcept { return std::max(last_heard_, held_since_); }
  bool flush_extension(TimePoint now, Builder& builder);
  void look_after_life(TimePoint now);
  void finish_if_done();
  void end(CloseReason reason);
  void end_by_reset();
  void retry_write_later();
  void tell();
  void tell_closed();
  void release_memory();
  TimePoint life_deadline() const noexcept;

  KcpHost& host_;
  KcpEnvironment& environment_;
  const std::shared_ptr<const KcpOptions> options_;
  KcpEvents* events_ = nullptr;
  void* owner_ = nullptr;
  const std::uint32_t conv_;
  const Role role_;
  State state_ = State::open;
  CloseReason reason_;
  Arq arq_;
  std::optional<FecEncoder> encoder_;
  std::optional<FecDecoder> decoder_;
  std::uint32_t first_seqid_;

  TimePoint armed_for_ = kNever;
  TimePoint created_;
  TimePoint last_heard_;
  TimePoint linger_until_ = kNever;
  TimePoint plain_end_at_ = kNever;  // a peer that has not answered the extension by then has none
  TimePoint tidy_at_ = kNever;
  TimePoint write_retry_at_ = kNever;           // nothing under way whose end would ask for more, and no memory
  std::uint64_t bytes_in_ = 0, bytes_out_ = 0;  // of the path, until it is validated
  std::uint64_t granted_bytes_ = 0;             // of bytes_out_, allowed whatever came in
  std::uint32_t grants_ = 0;                    // full datagrams that may yet be granted
  TimePoint grant_at_ = TimePoint::min();       // not before
  TimePoint held_at_{};
  TimePoint held_since_ = kNever;  // without a flush in which all fitted
  std::uint32_t packets_in_ = 0;
  bool validated_ = false;
  bool held_ = false;     // by the amplification bound: something due did not fit at held_at_
  bool moved_ = false;    // the address has changed at least once
  bool blocked_ = false;  // by the sink
  bool wants_writable_ = false;
  bool write_ended_ = false;
  bool told_read_end_ = false;
  bool told_closed_ = false;
  bool peer_reset_ = false;  // the peer is gone, and what it ended in order is still to be read

  // --- extension ---
  bool agreed_ = false;
  bool hello_sent_ = false;
  bool confirm_due_ = false, alive_due_ = false, closed_due_ = false, reset_due_ = false;
  bool close_acked_ = false;
  std::uint64_t cookie_ = 0;
  std::uint32_t tries_ = 0;        // of the hello, then of the close
  TimePoint message_at_ = kNever;  // when hello or close goes (again)
  TimePoint asked_alive_at_{};
  std::optional<std::uint32_t> peer_end_;
};

}  // namespace wayport::transport::kcp
