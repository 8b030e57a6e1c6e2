// CuttingTransport: dials through another transport, and cuts what it dialed after a given number of bytes, in whichever
// direction comes first. For tests of what survives that.
//
// A cut can be noticed by both ends, or by one of them only, as after a silent change of networks. On one loop; it
// outlives the streams that it dialed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "wayport/transport/testing/stream_wrapper.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

struct CutPlan {
  static constexpr std::uint64_t kUncut = ~std::uint64_t{0};
  enum class Noticed : std::uint8_t { by_both, by_dialer, by_listener };

  std::uint64_t up = kUncut;    // bytes that still leave the dialer
  std::uint64_t down = kUncut;  // bytes that still reach it
  Noticed noticed = Noticed::by_both;
  // by_dialer: the last bytes are under way for so long, and arrive while the dialer is already on its way back.
  Duration late{0};
};

class CuttingTransport final : public Transport {
 public:
  explicit CuttingTransport(std::shared_ptr<const Transport> lower) : lower_(std::move(lower)) {}

  // Asked at each dial; none: nothing is cut.
  std::function<CutPlan()> plan;
  std::size_t dials = 0;
  std::size_t cuts = 0;
  bool refuse = false;  // dials fail
  // Cuts what is connected now.
  void cut_all(CutPlan::Noticed noticed = CutPlan::Noticed::by_both);
  // Ends that were left open, unknown to the dialer.
  std::size_t abandoned() const noexcept { return state_->abandoned.size(); }

  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override;
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override {
    return lower_->listen(all, loop, address, options);
  }

 private:
  class Cut;
  // What abandoned ends still say.
  struct Nobody final : StreamEvents {
    std::size_t on_bytes(MutableBytes bytes, bool) override { return bytes.size(); }
    void on_writable() override {}
    void on_read_end() override {}
    void on_closed(const CloseReason&) override {}
  };
  // The far end does not know that nobody is here.
  struct Abandoned final : Timer {
    Abandoned(std::unique_ptr<Stream> which, Chain bytes) : stream(std::move(which)), late(std::move(bytes)) {}
    void on_timer() override { stream->write(std::move(late)); }
    std::unique_ptr<Stream> stream;
    Chain late;
  };
  struct State {
    Nobody nobody;
    std::vector<Cut*> live;
    std::vector<std::unique_ptr<Abandoned>> abandoned;
  };

  const std::shared_ptr<const Transport> lower_;
  const std::unique_ptr<State> state_ = std::make_unique<State>();
};

}  // namespace wayport::transport
