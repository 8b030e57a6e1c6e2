// How much a sender may have in flight, and how fast it may send: one small interface, three answers.
//
// Not thread-safe; one object per session, called by Arq. Windows are in segments, rates in payload bytes per second.
#pragma once

#include <cstdint>
#include <memory>

#include "wayport/base/time.h"
#include "wayport/transport/kcp/kcp_options.h"

namespace wayport::transport::kcp {

struct AckEvent {
  TimePoint now{};
  bool una_advanced = false;
  std::uint32_t peer_window = 0;
  Duration rtt{0};              // of a segment sent once; zero: no sample
  std::uint64_t delivered = 0;  // bytes acknowledged so far
  std::uint64_t prior = 0;      // the same when the newest acknowledged segment was sent
  std::uint64_t rate = 0;       // bytes per second between the two; zero: no sample
  bool app_limited = false;     // the sender had nothing to send then
  std::uint64_t in_flight_bytes = 0;
};

struct LossEvent {
  TimePoint now{};
  bool timed_out = false;
  std::uint32_t in_flight = 0;  // segments
  std::uint32_t resend = 0;     // the fast-resend threshold
};

class CongestionControl {
 public:
  virtual ~CongestionControl() = default;
  virtual std::uint32_t window() const noexcept = 0;       // segments
  virtual std::uint64_t pacing_rate() const noexcept = 0;  // zero: not paced
  virtual void on_ack(const AckEvent& event) = 0;
  virtual void on_loss(const LossEvent& event) = 0;
};

std::unique_ptr<CongestionControl> make_congestion_control(Congestion kind, std::uint32_t segment_bytes);

}  // namespace wayport::transport::kcp
