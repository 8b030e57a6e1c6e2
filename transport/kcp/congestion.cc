#include "wayport/transport/kcp/congestion.h"

#include <algorithm>
#include <array>

#include "wayport/base/result.h"

namespace wayport::transport::kcp {
namespace {

class Unlimited final : public CongestionControl {
 public:
  std::uint32_t window() const noexcept override { return UINT32_MAX; }
  std::uint64_t pacing_rate() const noexcept override { return 0; }
  void on_ack(const AckEvent&) override {}
  void on_loss(const LossEvent&) override {}
};

// kcp-go's slow start and avoidance (spec/kcp.md 4). It starts at 1, where kcp-go waits one flush for that.
class Original final : public CongestionControl {
 public:
  explicit Original(std::uint32_t segment_bytes) : mss_(segment_bytes), incr_(segment_bytes) {}
  std::uint32_t window() const noexcept override { return static_cast<std::uint32_t>(window_); }
  std::uint64_t pacing_rate() const noexcept override { return 0; }

  void on_ack(const AckEvent& event) override {
    if (!event.una_advanced || window_ >= event.peer_window) return;
    if (window_ < threshold_) {
      ++window_;
      incr_ += mss_;
    } else {
      incr_ = std::max(incr_, mss_);
      incr_ += mss_ * mss_ / incr_ + mss_ / 16;
      if ((window_ + 1) * mss_ <= incr_) window_ = (incr_ + mss_ - 1) / mss_;
    }
    if (window_ > event.peer_window) {
      window_ = event.peer_window;
      incr_ = window_ * mss_;
    }
  }
  void on_loss(const LossEvent& event) override {
    if (event.timed_out) {
      threshold_ = std::max<std::uint64_t>(window_ / 2, 2);
      window_ = 1;
      incr_ = mss_;
    } else {
      threshold_ = std::max<std::uint64_t>(event.in_flight / 2, 2);
      window_ = threshold_ + event.resend;
      incr_ = window_ * mss_;
    }
  }

 private:
  std::uint64_t mss_;
  std::uint64_t incr_;
  std::uint64_t window_ = 1;
  std::uint64_t threshold_ = 2;
};

// Sends at the bandwidth that acknowledgements show and keeps no more in flight than twice what the path holds, so the
// bottleneck's queue stays short. Loss alone says nothing here: on mobile links it is mostly not congestion. After the
// published design of BBR version 1.
class Paced final : public CongestionControl {
 public:
  explicit Paced(std::uint32_t segment_bytes) : mss_(segment_bytes) {}

  std::uint32_t window() const noexcept override {
    if (bandwidth() == 0) return kInitialWindow;
    const double held = static_cast<double>(path_bytes());
    const double gain = mode_ == Mode::probe_rtt ? 0.5 : 2.0;
    // Acknowledgements come in lumps of up to an interval: room for some on top.
    return static_cast<std::uint32_t>(std::clamp(gain * held / static_cast<double>(mss_) + 8, 8.0, 65535.0));
  }
  std::uint64_t pacing_rate() const noexcept override {
    if (bandwidth() == 0) return 0;
    return std::max<std::uint64_t>(static_cast<std::uint64_t>(gain() * static_cast<double>(bandwidth())), 4 * mss_);
  }

  void on_ack(const AckEvent& event) override {
    if (event.rtt > Duration::zero() && (min_rtt_ == Duration::zero() || event.rtt <= min_rtt_)) {
      min_rtt_ = event.rtt;
      min_rtt_at_ = event.now;
    }
    const bool new_round = event.prior >= round_end_;
    if (new_round) {
      ++round_;
      round_end_ = event.delivered;
    }
    if (event.rate != 0 && (!event.app_limited || event.rate > bandwidth())) take_rate(event.rate);
    switch (mode_) {
      case Mode::startup:
        if (new_round && !event.app_limited) look_for_plateau();
        if (mode_ != Mode::drain) break;
        [[fallthrough]];
      case Mode::drain:
        if (event.in_flight_bytes <= path_bytes()) enter_cruise(event.now);
        break;
      case Mode::cruise:
        if (event.now - phase_start_ > std::max(min_rtt_, Duration(std::chrono::milliseconds(5)))) {
          phase_ = (phase_ + 1) % kPhases.size();
          phase_start_ = event.now;
        }
        if (min_rtt_ != Duration::zero() && event.now - min_rtt_at_ > kMinRttAge) {
          mode_ = Mode::probe_rtt;
          phase_start_ = event.now;
          min_rtt_ = Duration::zero();
          probe_rtt_old_ = event.rtt;
        }
        break;
      case Mode::probe_rtt:
        if (event.now - phase_start_ > kProbeRttTime) {
          if (min_rtt_ == Duration::zero()) min_rtt_ = std::max(probe_rtt_old_, Duration(std::chrono::milliseconds(1)));
          min_rtt_at_ = event.now;
          enter_cruise(event.now);
        }
        break;
    }
  }
  void on_loss(const LossEvent&) override {}

 private:
  enum class Mode : std::uint8_t { startup, drain, cruise, probe_rtt };
  static constexpr double kStartupGain = 2.885;
  static constexpr std::uint32_t kInitialWindow = 32;
  static constexpr Duration kMinRttAge = std::chrono::seconds(10);
  static constexpr Duration kProbeRttTime = std::chrono::milliseconds(200);
  static constexpr std::uint64_t kRounds = 10;
  static constexpr std::array<double, 8> kPhases = {1.25, 0.75, 1, 1, 1, 1, 1, 1};

  std::uint64_t bandwidth() const noexcept { return *std::ranges::max_element(rates_); }
  std::uint64_t path_bytes() const noexcept {
    const double seconds =
        std::chrono::duration<double>(std::max(min_rtt_, Duration(std::chrono::milliseconds(1)))).count();
    return static_cast<std::uint64_t>(static_cast<double>(bandwidth()) * seconds);
  }
  double gain() const noexcept {
    switch (mode_) {
      case Mode::startup:
        return kStartupGain;
      case Mode::drain:
        return 1 / kStartupGain;
      case Mode::probe_rtt:
        return 1;
      case Mode::cruise:
        break;
    }
    return kPhases[phase_];
  }
  // The highest rate of the last kRounds round trips.
  void take_rate(std::uint64_t rate) {
    std::uint64_t& slot = rates_[round_ % kRounds];
    if (slot_round_[round_ % kRounds] != round_) {
      slot_round_[round_ % kRounds] = round_;
      slot = 0;
    }
    slot = std::max(slot, rate);
  }
  void look_for_plateau() {
    if (bandwidth() >= plateau_ + plateau_ / 4) {
      plateau_ = bandwidth();
      plateau_rounds_ = 0;
    } else if (++plateau_rounds_ >= 3) {
      mode_ = Mode::drain;
    }
  }
  void enter_cruise(TimePoint now) {
    mode_ = Mode::cruise;
    phase_ = 2;
    phase_start_ = now;
  }

  std::uint64_t mss_;
  Mode mode_ = Mode::startup;
  std::array<std::uint64_t, kRounds> rates_{};
  std::array<std::uint64_t, kRounds> slot_round_{};
  std::uint64_t round_ = 0;
  std::uint64_t round_end_ = 0;
  std::uint64_t plateau_ = 0;
  unsigned plateau_rounds_ = 0;
  std::size_t phase_ = 0;
  TimePoint phase_start_{};
  Duration min_rtt_{0};
  Duration probe_rtt_old_{0};
  TimePoint min_rtt_at_{};
};

}  // namespace

std::unique_ptr<CongestionControl> make_congestion_control(Congestion kind, std::uint32_t segment_bytes) {
  switch (kind) {
    case Congestion::none:
      return std::make_unique<Unlimited>();
    case Congestion::original:
      return std::make_unique<Original>(segment_bytes);
    case Congestion::paced:
      return std::make_unique<Paced>(segment_bytes);
  }
  WAYPORT_ASSERT(false, "a congestion control that does not exist");
  return nullptr;
}

}  // namespace wayport::transport::kcp
