#include "wayport/transport/snet/loop_bridge.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "wayport/transport/drop_watch.h"

namespace wayport::transport {
namespace {

constexpr std::size_t kInFlightHigh = 256 * 1024;
constexpr std::size_t kInFlightLow = 64 * 1024;

class Near;
class Far;

// Each end touches its own pointer only, on its own loop.
struct Channel {
  Channel(Loop& below, Loop& above) : near_loop(below), far_loop(above) {}
  Loop& near_loop;
  Loop& far_loop;
  Near* near = nullptr;
  Far* far = nullptr;
};

// On the lower stream's loop; owns itself until the lower stream is no longer needed.
class Near final : private StreamEvents, private LoopCloseHook {
 public:
  Near(std::shared_ptr<Channel> channel, std::unique_ptr<Stream> lower)
      : channel_(std::move(channel)), lower_(std::move(lower)) {
    channel_->near = this;
    channel_->near_loop.at_close(*this);
  }
  void begin() {
    lower_->replace_events(*this);
    lower_->read(true);
  }

  void write(Chain&& chain) {
    owed_ += chain.size();
    pressed_ = lower_->write(std::move(chain)) == Pressure::high || pressed_;
    pay();
  }
  void shutdown_write() { lower_->shutdown_write(); }
  void close(CloseReason reason, Linger linger) { lower_->close(std::move(reason), linger); }
  void handle_shown(std::size_t size) {
    in_flight_ -= size;
    if (!paused_ || in_flight_ > kInFlightLow) return;
    paused_ = false;
    lower_->read(true);
  }
  void drop() {
    channel_->near = nullptr;
    channel_->near_loop.delete_later(std::unique_ptr<Near>(this));
    lower_.reset();
  }

 private:
  // The far end cannot tell us any more.
  void on_loop_close() noexcept override {
    channel_->near = nullptr;
    delete this;
  }
  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override {
    pressed_ = false;
    pay();
  }
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;
  // What the lower stream took without pressure is off the far end's queue.
  void pay();

  const std::shared_ptr<Channel> channel_;
  std::unique_ptr<Stream> lower_;
  std::size_t owed_ = 0;
  std::size_t in_flight_ = 0;
  bool pressed_ = false;
  bool paused_ = false;
};

class Far final : public Stream, private TurnEnd, private DropWatched {
 public:
  Far(std::shared_ptr<Channel> channel, const PeerInfo& peer, const StreamOptions& options)
      : channel_(std::move(channel)), options_(options) {
    peer_.remote = peer.remote;
    peer_.local = peer.local;
    peer_.tls = peer.tls ? std::make_unique<TlsPeer>(*peer.tls) : nullptr;
    peer_.unix_peer = peer.unix_peer;
    peer_.scheme = peer.scheme;
    channel_->far = this;
  }
  ~Far() override {
    channel_->far = nullptr;
    if (!gone_) tell([](Near& near) { near.drop(); });
  }

  void start(StreamEvents& events) override {
    WAYPORT_ASSERT(!events_, "a stream is started once");
    events_ = &events;
    schedule();
  }
  void read(bool on) override {
    reading_ = on;
    if (!on) return;
    again_ = true;
    schedule();
  }
  Pressure write(Chain&& chain, bool) override {
    Chain taken = std::move(chain);
    if (closing_ || shutdown_) return Pressure::none;
    const std::size_t total = queued() + taken.size();
    if (total > options_.queue_bytes_max) {
      finish(CloseReason::local(ErrorCode::overloaded, "more than queue_bytes_max for another loop"));
      return Pressure::high;
    }
    out_.append(std::move(taken));
    schedule();
    if (total < options_.high_water_bytes) return Pressure::none;
    pressed_ = true;
    return Pressure::high;
  }
  std::size_t queued() const noexcept override { return out_.size() + unpaid_; }
  void shutdown_write() override {
    if (closing_ || shutdown_) return;
    flush();
    shutdown_ = true;
    tell([](Near& near) { near.shutdown_write(); });
  }
  void close(CloseReason reason, Linger linger) override {
    if (told_closed_ || (closing_ && !draining_)) return;
    if (linger.time <= Duration::zero() || gone_) return finish(std::move(reason));
    flush();
    closing_ = reason;
    draining_ = true;
    tell([reason = std::move(reason), linger](Near& near) mutable { near.close(std::move(reason), linger); });
  }
  void replace_events(StreamEvents& events) override {
    events_ = &events;
    again_ = true;
    schedule();
  }
  const PeerInfo& peer() const noexcept override { return peer_; }
  Loop& loop() const noexcept override { return channel_->far_loop; }

  // --- from the near end ---
  void handle_bytes(Chain&& chain) {
    if (closing_) return;
    fresh_ += chain.size();
    kept_.append(std::move(chain));
    again_ = true;
    schedule();
  }
  void handle_paid(std::size_t size) {
    unpaid_ -= size;
    schedule();
  }
  void handle_read_end() {
    read_end_ = true;
    schedule();
  }
  void handle_gone(CloseReason reason) {
    gone_ = true;
    finish(std::move(reason));
  }

 private:
  template <class F>
  void tell(F&& what) {
    channel_->near_loop.post([channel = channel_, what = std::forward<F>(what)]() mutable {
      if (channel->near) what(*channel->near);
    });
  }
  void schedule() { loop().at_turn_end(*this); }
  void flush() {
    if (out_.empty() || gone_) return;
    unpaid_ += out_.size();
    tell([chain = std::exchange(out_, Chain())](Near& near) mutable { near.write(std::move(chain)); });
  }
  void finish(CloseReason reason) {
    if (!closing_) closing_ = std::move(reason);
    draining_ = false;
    kept_.clear();
    out_.clear();
    schedule();
  }

  void on_turn_end() override {
    if (told_closed_) return;
    flush();
    if (!events_ || draining_) return;
    DropWatch watch(*this);
    if (!closing_ && pressed_ && queued() <= options_.low_water_bytes) {
      pressed_ = false;
      events_->on_writable();
      if (watch.dropped()) return;
    }
    if (!closing_ && again_) show();
    if (watch.dropped()) return;
    if (!closing_ && read_end_ && reading_ && !told_end_) {
      told_end_ = true;
      events_->on_read_end();
      if (watch.dropped()) return;
    }
    if (!closing_ || draining_) return;
    told_closed_ = true;
    if (!gone_) tell([](Near& near) { near.drop(); });
    gone_ = true;
    const CloseReason why = *closing_;
    events_->on_closed(why);  // `this` may be gone
  }

  // Same rules as every stream's.
  void show() {
    DropWatch watch(*this);
    while (reading_ && again_ && !kept_.empty() && !closing_) {
      again_ = false;
      const MutableBytes scratch = loop().scratch(0);
      const MutableBytes shown = scratch.first(kept_.copy_to(scratch));
      const std::size_t consumed = events_->on_bytes(shown, false);
      if (watch.dropped() || closing_) return;
      WAYPORT_ASSERT(consumed <= shown.size(), "on_bytes() consumed more than it was shown");
      const bool more = shown.size() < kept_.size();
      kept_.consume(consumed);
      if (consumed != 0 && more) again_ = true;
      if (reading_ && shown.size() - consumed > kUnconsumedBytesMax) {
        return finish(CloseReason::local(ErrorCode::internal, "the consumer left too many bytes unconsumed"));
      }
    }
    if (fresh_ != 0 && reading_) tell([size = std::exchange(fresh_, 0)](Near& near) { near.handle_shown(size); });
  }

  const std::shared_ptr<Channel> channel_;
  const StreamOptions options_;
  StreamEvents* events_ = nullptr;
  PeerInfo peer_;
  Chain out_;
  Chain kept_;              // arrived, not consumed
  std::size_t fresh_ = 0;   // of these, what the near end takes to be in flight
  std::size_t unpaid_ = 0;  // sent to the near end, not taken by the lower stream
  std::optional<CloseReason> closing_;
  bool reading_ = true;
  bool again_ = false;
  bool pressed_ = false;
  bool draining_ = false;
  bool shutdown_ = false;
  bool read_end_ = false;
  bool told_end_ = false;
  bool gone_ = false;  // the near end is no more, or is told to go
  bool told_closed_ = false;
};

template <class F>
void tell_far(const std::shared_ptr<Channel>& channel, F&& what) {
  channel->far_loop.post([channel, what = std::forward<F>(what)]() mutable {
    if (channel->far) what(*channel->far);
  });
}

std::size_t Near::on_bytes(MutableBytes bytes, bool) {
  Chain chain;
  chain.append(bytes);
  in_flight_ += bytes.size();
  tell_far(channel_, [chain = std::move(chain)](Far& far) mutable { far.handle_bytes(std::move(chain)); });
  if (in_flight_ >= kInFlightHigh && !paused_) {
    paused_ = true;
    lower_->read(false);
  }
  return bytes.size();
}

void Near::on_read_end() {
  tell_far(channel_, [](Far& far) { far.handle_read_end(); });
}

void Near::on_closed(const CloseReason& reason) {
  tell_far(channel_, [reason](Far& far) { far.handle_gone(reason); });
  drop();
}

void Near::pay() {
  if (pressed_ || owed_ == 0) return;
  tell_far(channel_, [size = std::exchange(owed_, 0)](Far& far) { far.handle_paid(size); });
}

}  // namespace

std::unique_ptr<Stream> bridge_to(Loop& to, std::unique_ptr<Stream> lower, const StreamOptions& options) {
  auto channel = std::make_shared<Channel>(lower->loop(), to);
  auto far = std::make_unique<Far>(channel, lower->peer(), options);
  // Owns itself: drop() frees it.
  auto* const near = new Near(channel, std::move(lower));
  near->begin();
  return far;
}

}  // namespace wayport::transport
