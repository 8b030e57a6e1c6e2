// What one KCP session may be told. Both ends agree on cipher, key and, to recover losses, FEC; the rest is each end's
// own. Defaults are kcp-go's where it has the knob (spec/kcp.md 4 and 10).
#pragma once

#include <cstddef>
#include <cstdint>

#include "wayport/base/result.h"
#include "wayport/base/time.h"

namespace wayport::transport::kcp {

enum class Congestion : std::uint8_t {
  none,      // nc = 1: only the windows bound what is in flight
  original,  // nc = 0: slow start and halving, in segments
  paced,     // paces at the measured bandwidth; does not fill the bottleneck's queue
};

// The extension of spec/kcp.md 8: orderly close, reset, keep-alive. In force only if both ends ask.
enum class ExtensionWish : std::uint8_t { off, ask };

struct KcpOptions {
  // --- kcp-go's knobs ---
  bool nodelay = false;                                // minimum RTO 30 ms instead of 100, slower growth
  Duration interval = std::chrono::milliseconds(100);  // 10..5000 ms: acks and delayed writes wait at most so long
  std::uint32_t resend = 0;                            // later transmissions seen before a fast resend; 0: never
  Congestion congestion = Congestion::original;
  std::uint32_t send_window = 32;     // segments, 1..65535
  std::uint32_t receive_window = 32;  // segments, 1..65535 (the wire has 16 bits)
  std::size_t mtu = 1400;             // UDP payload, at most 1500
  bool stream_mode = false;           // small writes share a segment; reads are bytes without message ends
  bool stream_reads = false;          // reads are bytes also if the peer sends messages
  bool write_delay = false;           // writes wait for `interval`, or for a full send window
  bool ack_nodelay = false;           // acknowledge at the end of every turn
  // --- bounds ---
  std::size_t send_bytes_max = 4u << 20;     // queued and unacknowledged; write() takes no more
  std::size_t send_segments_max = 8192;      // the same in segments (small messages)
  std::size_t message_bytes_max = 1u << 20;  // a larger message ends the session (too_large)
  std::uint32_t dead_link = 20;              // transmissions of one segment before the link is dead (timed_out)
  std::uint32_t dead_link_unvalidated = 4;   // the same before the peer acknowledged anything
  Duration rto_max = std::chrono::seconds(60);
  Duration probe_first = std::chrono::milliseconds(500);  // zero window: wait before the first probe
  Duration probe_max = std::chrono::seconds(120);
  // Nothing heard for so long ends a session; zero: never. With the extension `liveness_timeout` rules.
  Duration idle_timeout = std::chrono::minutes(10);
  // Accepted, and no second datagram; or silence while amplification_max holds data back.
  Duration half_open_timeout = std::chrono::seconds(10);
  std::uint32_t amplification_max = 3;  // bytes out per byte in, until an accepted peer's address is validated
  // --- FEC: 0,0 none; data + parity <= 256 ---
  std::uint32_t fec_data = 0;
  std::uint32_t fec_parity = 0;
  std::uint32_t fec_groups = 4;                       // kept to rebuild, 1..16
  Duration fec_group_age = std::chrono::seconds(10);  // older groups rebuild nothing
  // --- extension ---
  ExtensionWish extension = ExtensionWish::off;
  Duration keepalive = std::chrono::seconds(20);         // silence before we ask the peer for a sign; zero: never ask
  Duration liveness_timeout = std::chrono::seconds(60);  // silence that ends the session; zero: never

  // The names of the keys are those of the fields.
  Result<void> check() const;

  // The common profiles: nodelay, interval in ms, resend, and nc as bool.
  void set_nodelay(bool on, int interval_ms, std::uint32_t fast_resend, bool no_congestion) {
    nodelay = on;
    interval = std::chrono::milliseconds(interval_ms < 10 ? 10 : interval_ms > 5000 ? 5000 : interval_ms);
    resend = fast_resend;
    congestion = no_congestion ? Congestion::none : Congestion::original;
  }
};

}  // namespace wayport::transport::kcp
