// Arq: the sliding windows of one session. Segments and time in, segments out; no FEC, no encryption, no addresses.
//
// What is in flight and what waits to be sent stands in one ring indexed by sn; numbers are given when data is queued.
//
//   una_ .. nxt_    sent, not acknowledged: linked in order of their latest transmission
//   nxt_ .. end_    queued
//
// An acknowledgement costs O(1): it unlinks its segment, and says that everything transmitted before it and still
// linked was overtaken. Lost are those that `resend` later transmissions overtook, found from the front of that list.
// Timeouts look at every segment in flight, but only when one is due. Differences to kcp-go: spec/kcp.md 9.
//
// Bounds: KcpOptions. Not thread-safe. `pool`, `counters` and `options` outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/transport/kcp/congestion.h"
#include "wayport/transport/kcp/kcp_counters.h"
#include "wayport/transport/kcp/kcp_options.h"
#include "wayport/transport/kcp/packet_pool.h"
#include "wayport/transport/kcp/receive_queue.h"
#include "wayport/transport/kcp/segment.h"

namespace wayport::transport::kcp {

// Where segments go. Packs them into datagrams.
class SegmentOutput {
 public:
  // `size` contiguous bytes for one segment, in the current datagram or the next; null: nothing more for now.
  virtual std::byte* room(std::size_t size) = 0;

 protected:
  ~SegmentOutput() = default;
};

class Arq {
 public:
  struct Identity {
    std::uint32_t conv = 0;
    std::uint32_t ts_base = 0;  // our ts at `epoch`; a random one makes echoes hard to forge
    TimePoint epoch{};
    std::uint32_t first_sn = 0;  // other than 0 only in tests of the wrap
    std::uint32_t peer_first_sn = 0;
  };
  // `datagram_bytes`: room for segments in a datagram.
  Arq(const KcpOptions& options, PacketPool& pool, KcpCounters& counters, Identity identity,
      std::size_t datagram_bytes);
  ~Arq();
  Arq(const Arq&) = delete;
  Arq& operator=(const Arq&) = delete;

  // --- events ---
  struct Heard {
    ParseEnd end = ParseEnd::whole;
    bool fresh = false;      // it said something new: data, or an acknowledgement of ours that only the peer can know
    bool validated = false;  // an acknowledgement with the ts of one of our transmissions on this path
  };
  // `rebuilt`: from FEC; says nothing about window and RTT, and counts only if every segment is in order.
  // `on_tell(const Segment&)` sees wins segments with a payload (the extension).
  template <class OnTell>
  Heard handle_datagram(Bytes datagram, bool rebuilt, TimePoint now, OnTell&& on_tell) {
    Heard heard;
    if (!begin_datagram(datagram, rebuilt, heard)) return heard;
    SegmentReader reader(datagram, identity_.conv);
    while (const std::optional<Segment> segment = reader.next()) {
      if (segment->cmd == kTellWindow && !segment->payload.empty()) on_tell(*segment);
      handle_segment(*segment, rebuilt, now, heard);
    }
    heard.end = reader.end();
    finish_datagram(now, heard);
    return heard;
  }
  // The peer's ts of its first push, once that has come.
  const std::optional<std::uint32_t>& first_push_ts() const noexcept { return first_push_ts_; }

  // --- writing ---
  // Queues what the bounds allow, in pieces that are messages of their own (kcp-go's write); returns how many bytes.
  std::size_t write(Bytes bytes, TimePoint now);
  // One message of up to 255 fragments, all or nothing. False: no room now.
  Result<bool> write_message(Bytes message, TimePoint now);
  std::size_t unacknowledged_bytes() const noexcept { return queued_bytes_; }
  std::uint32_t unacknowledged() const noexcept { return end_ - una_; }  // segments, sent or not
  std::uint32_t in_flight() const noexcept { return nxt_ - una_; }
  std::uint32_t end_sn() const noexcept { return end_; }

  // --- reading ---
  ReceiveQueue& received() noexcept { return received_; }
  const ReceiveQueue& received() const noexcept { return received_; }
  void consume(std::size_t bytes) noexcept;

  // --- output ---
  // Sends what is due. False: the output had no room for all of it; call again.
  // Goes on behind what found no room, as something smaller may.
  bool flush(TimePoint now, SegmentOutput& output);
  bool wants_flush(TimePoint now) const noexcept { return next_deadline() <= now; }
  // When flush() is to be called next; kNever while there is nothing to wait for.
  TimePoint next_deadline() const noexcept;
  // The same without what was due at `tried`: for an output that refused it then, and still would.
  TimePoint next_deadline_after(TimePoint tried) const noexcept;

  // Why it cannot go on: too many transmissions, or the peer broke a rule.
  const std::optional<Error>& failure() const noexcept { return failure_; }
  // Before the peer's address is validated fewer transmissions make a dead link.
  void set_dead_link(std::uint32_t transmissions) noexcept { dead_link_ = transmissions; }

  // The fields that every control segment of this moment has.
  Segment control_header() noexcept;

  // While on, the first thing that is written begins with a segment of kCautiousBytes: small enough for the
  // amplification bound, and its acknowledgement validates the peer.
  static constexpr std::size_t kCautiousBytes = 16;
  void set_cautious(bool on) noexcept { cautious_ = on; }
  // The peer's address changed: what was sent before validates nothing.
  void begin_path() noexcept { path_begins_ = transmissions_; }

  // --- state, for people and tests ---
  Duration srtt() const noexcept { return srtt_; }
  Duration rto() const noexcept { return rto_; }
  std::uint32_t peer_window() const noexcept { return peer_window_; }
  std::uint32_t una() const noexcept { return una_; }
  std::size_t memory_bytes() const noexcept;
  std::size_t pending_acks() const noexcept { return acks_.size(); }
  const CongestionControl& congestion() const noexcept { return *congestion_; }
  std::size_t mss() const noexcept { return mss_; }
  std::uint32_t ts(TimePoint now) const noexcept;
  void release_memory();  // while idle

 private:
  struct Out {
    Packet* packet = nullptr;
    TimePoint sent_at{};
    TimePoint resend_at{};
    std::uint64_t number = 0;     // of the latest transmission
    std::uint64_t delivered = 0;  // delivered_ when it was sent
    TimePoint delivered_at{};
    Duration rto{0};
    std::uint32_t ts = 0;
    std::uint32_t first_ts = 0;
    std::uint32_t path_ts = 0;                  // of the first transmission on this path
    std::uint32_t previous = 0, following = 0;  // sn, in the list of transmissions
    std::uint16_t transmissions = 0;
    std::uint8_t frg = 0;
    bool acked = false;
    bool app_limited = false;
  };
  enum class Why : std::uint8_t { first, fast, early, timeout };

  bool begin_datagram(Bytes datagram, bool rebuilt, Heard& heard);
  void handle_segment(const Segment& segment, bool rebuilt, TimePoint now, Heard& heard);
  void finish_datagram(TimePoint now, const Heard& heard);
  void handle_una(std::uint32_t una, TimePoint now);
  void handle_ack(const Segment& segment, bool rebuilt, TimePoint now, Heard& heard);
  void handle_push(const Segment& segment, Heard& heard);
  void handle_window(std::uint16_t window) noexcept;
  void delivered(Out& out, TimePoint now);
  void sample_rtt(Duration rtt);

  Out& at(std::uint32_t sn) noexcept { return ring_[sn & (ring_.size() - 1)]; }
  bool queue(Bytes bytes, std::uint8_t frg);
  bool grow_ring();
  bool top_up(Bytes& bytes);
  void drop_last() noexcept;
  bool has_room() const noexcept;
  void link(std::uint32_t sn) noexcept;
  void unlink(std::uint32_t sn) noexcept;

  bool flush_controls(TimePoint now, SegmentOutput& output);
  bool flush_data(TimePoint now, SegmentOutput& output);
  bool resend_timed_out(TimePoint now, SegmentOutput& output);
  bool resend_overtaken(TimePoint now, SegmentOutput& output, std::uint64_t margin, Why why);
  // What the window has come to reach goes at once, not when its wait, which grew meanwhile, is over.
  void resend_reached(TimePoint now) noexcept;
  bool transmit(std::uint32_t sn, Why why, TimePoint now, SegmentOutput& output);
  bool put_control(std::uint8_t cmd, std::uint32_t sn, std::uint32_t ts, SegmentOutput& output);
  bool may_send_now(TimePoint now) noexcept;
  std::uint32_t window() const noexcept;
  std::uint16_t advertised() const noexcept;
  bool loss_is_due() noexcept;

  const KcpOptions& options_;
  PacketPool& pool_;
  KcpCounters& counters_;
  Identity identity_;
  std::size_t mss_;
  ReceiveQueue received_;
  std::unique_ptr<CongestionControl> congestion_;

  // --- sending ---
  std::vector<Out> ring_;  // a power of two
  std::uint32_t una_, nxt_, end_;
  std::uint32_t first_ = 0, last_ = 0;  // list of transmissions, oldest first
  std::uint32_t listed_ = 0;
  std::uint64_t transmissions_ = 0;
  std::uint64_t path_begins_ = 0;   // transmissions up to this one took another path
  std::uint64_t newest_acked_ = 0;  // transmission number
  std::size_t queued_bytes_ = 0;
  std::size_t packet_bytes_ = 0;  // of the pool
  std::size_t in_flight_bytes_ = 0;
  std::uint64_t delivered_ = 0;
  TimePoint delivered_at_{};
  std::uint32_t peer_window_ = 32;  // until the peer says otherwise
  std::uint32_t dead_link_;
  // The first segment that the peer's window did not reach when it was to be resent.
  std::optional<std::uint32_t> unreached_{};
  TimePoint next_timeout_ = kNever;  // at or before the earliest resend_at
  TimePoint data_due_ = kNever;      // write delay
  TimePoint pace_next_{};
  bool paced_out_ = false;  // data waits for pace_next_
  bool send_due_ = false;   // a flush may send data now
  bool cautious_ = false;
  TimePoint probe_at_ = kNever;
  Duration probe_wait_{0};

  // --- RTT ---
  Duration srtt_{0};
  Duration rttvar_{0};
  Duration rto_ = std::chrono::milliseconds(200);
  Duration rtt_sample_{0};  // of this datagram
  AckEvent ack_event_{};
  std::uint32_t una_heard_ = 0;
  bool any_ack_ = false;
  bool una_advanced_ = false;

  // --- acknowledging ---
  struct Ack {
    std::uint32_t sn = 0;
    std::uint32_t ts = 0;
  };
  std::vector<std::uint32_t> acks_;
  std::optional<Ack> last_ack_;
  TimePoint acks_due_ = kNever;
  bool tell_window_ = false;
  std::uint16_t last_advertised_;
  std::optional<std::uint32_t> first_push_ts_;

  std::optional<Error> failure_;
};

}  // namespace wayport::transport::kcp
