#include "wayport/transport/snet/cutting_transport.h"

#include <algorithm>

namespace wayport::transport {

class CuttingTransport::Cut final : public StreamWrapper, private TurnEnd {
 public:
  Cut(CuttingTransport& owner, std::unique_ptr<Stream> lower, const CutPlan& plan)
      : StreamWrapper(std::move(lower)), owner_(owner), plan_(plan), loop_(lower_->loop()) {
    owner_.state_->live.push_back(this);
  }
  ~Cut() override {
    std::erase(owner_.state_->live, this);
    if (cut_ && lower_) abandon();
  }

  Pressure write(Chain&& chain, bool message_end) override {
    Chain taken = std::move(chain);
    if (cut_ || cut_soon_) return Pressure::none;
    if (taken.size() < plan_.up) {
      plan_.up -= plan_.up == CutPlan::kUncut ? 0 : taken.size();
      return lower_->write(std::move(taken), message_end);
    }
    Chain last = taken.split(static_cast<std::size_t>(plan_.up));
    if (plan_.noticed == CutPlan::Noticed::by_dialer && plan_.late > Duration::zero()) {
      late_ = std::move(last);
    } else {
      lower_->write(std::move(last), message_end);
    }
    cut_soon_ = true;  // what was written just now leaves at turn end
    loop_.at_turn_end(*this);
    return Pressure::none;
  }
  void read(bool on) override {
    if (!cut_) lower_->read(on);
  }
  std::size_t queued() const noexcept override { return lower_ ? lower_->queued() : 0; }
  void shutdown_write() override {
    if (!cut_) lower_->shutdown_write();
  }
  void close(CloseReason reason, Linger linger) override {
    if (!cut_) return lower_->close(std::move(reason), linger);
    tell_ = true;
    loop_.at_turn_end(*this);
  }
  void replace_events(StreamEvents& events) override {
    events_ = &events;
    if (!cut_) lower_->replace_events(*this);
  }
  Loop& loop() const noexcept override { return loop_; }
  const PeerInfo& peer() const noexcept override { return lower_ ? lower_->peer() : gone_; }
  unsigned scratch_depth() const noexcept override { return 0; }

  void cut() {
    if (cut_) return;
    cut_ = true;
    ++owner_.cuts;
    if (plan_.noticed == CutPlan::Noticed::by_dialer) {
      lower_->read(false);
    } else {
      lower_.reset();
    }
    if (plan_.noticed == CutPlan::Noticed::by_listener) return;
    tell_ = true;
    loop_.at_turn_end(*this);
  }
  void set_noticed(CutPlan::Noticed noticed) { plan_.noticed = noticed; }

 private:
  std::size_t on_bytes(MutableBytes bytes, bool message_end) override {
    if (cut_) return bytes.size();
    DropWatch watch(*this);
    const MutableBytes shown = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), plan_.down)));
    const std::size_t consumed = shown.empty() ? 0 : events_->on_bytes(shown, message_end);
    if (watch.dropped()) return bytes.size();
    if (plan_.down == CutPlan::kUncut) return consumed;
    plan_.down -= consumed;
    if (plan_.down != 0) return consumed;
    cut();
    return bytes.size();
  }
  void on_writable() override {
    if (!cut_) events_->on_writable();
  }
  void on_read_end() override {
    if (!cut_) events_->on_read_end();
  }
  void on_closed(const CloseReason& reason) override {
    if (cut_ && plan_.noticed == CutPlan::Noticed::by_dialer) return;
    events_->on_closed(reason);
  }
  void on_turn_end() override {
    if (std::exchange(cut_soon_, false)) {
      if (lower_ && lower_->queued() != 0 && tries_++ < 100) {
        cut_soon_ = true;
        loop_.post([this, alive = std::weak_ptr<int>(alive_)] {
          if (alive.lock()) loop_.at_turn_end(*this);
        });
        return;
      }
      cut();
    }
    if (std::exchange(tell_, false) && events_) {
      events_->on_closed({CloseReason::By::system, {ErrorCode::io, "cut by the test", {}}});  // `this` may be gone
    }
  }
  void abandon() {
    lower_->replace_events(owner_.state_->nobody);
    auto abandoned = std::make_unique<Abandoned>(std::move(lower_), std::move(late_));
    if (!abandoned->late.empty()) loop_.arm(*abandoned, after(loop_.now(), plan_.late));
    owner_.state_->abandoned.push_back(std::move(abandoned));
  }

  CuttingTransport& owner_;
  CutPlan plan_;
  Loop& loop_;
  PeerInfo gone_;
  Chain late_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  int tries_ = 0;
  bool cut_ = false;
  bool cut_soon_ = false;
  bool tell_ = false;
};

void CuttingTransport::cut_all(CutPlan::Noticed noticed) {
  for (Cut* each : std::vector<Cut*>(state_->live)) {
    each->set_noticed(noticed);
    each->cut();
  }
}

std::unique_ptr<Dial> CuttingTransport::dial(const Transports& all, Loop& loop, const Address& address,
                                             const DialOptions& options, OnDialed on_done) const {
  // Tests hold it, and not as a const.
  auto& self = const_cast<CuttingTransport&>(*this);
  ++self.dials;
  if (refuse) return failed_dial(loop, {ErrorCode::refused, "refused by the test", {}}, std::move(on_done));
  return lower_->dial(all, loop, address, options,
                      [&self, done = std::move(on_done)](Result<std::unique_ptr<Stream>> dialed) mutable {
                        if (!dialed) return done(std::move(dialed));
                        const CutPlan plan = self.plan ? self.plan() : CutPlan{};
                        done(std::make_unique<Cut>(self, *std::move(dialed), plan));
                      });
}

}  // namespace wayport::transport
