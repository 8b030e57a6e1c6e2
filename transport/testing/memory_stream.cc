#include "wayport/transport/testing/memory_stream.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "wayport/transport/drop_watch.h"

namespace wayport::transport {
namespace {

class MemoryStream;

// One direction of a connection.
struct Wire {
  struct Segment {
    TimePoint arrives;
    std::size_t size;
  };
  Chain bytes;                   // arrived or on their way
  std::deque<Segment> segments;  // sizes add up to bytes.size()
  bool ended = false;            // the writer's end comes after `bytes`
  TimePoint end_arrives{};
  bool reset = false;  // the writer is gone, and bytes for it were lost
  bool reader_gone = false;
};

struct Link {
  explicit Link(const MemoryOptions& how) : options(how) {}
  const MemoryOptions options;
  Wire wires[2];  // wires[i] is written by ends[i]
  MemoryStream* ends[2] = {nullptr, nullptr};
};

class MemoryStream final : public Stream, private TurnEnd, private Timer, private DropWatched {
 public:
  MemoryStream(Loop& loop, std::shared_ptr<Link> link, int side) : loop_(loop), link_(std::move(link)), side_(side) {
    peer_.scheme = "mem";
    link_->ends[side_] = this;
  }
  ~MemoryStream() override { leave(); }

  void start(StreamEvents& events) override {
    WAYPORT_ASSERT(!events_, "a stream is started once");
    events_ = &events;
    poke();
  }
  void read(bool on) override {
    reading_ = on;
    if (on) {
      again_ = true;
      poke();
    }
  }
  Pressure write(Chain&& chain, bool) override {
    Chain taken = std::move(chain);
    if (closing_ || shutdown_wanted_) return Pressure::none;
    const StreamOptions& bounds = link_->options.stream;
    if (out_.size() + taken.size() > bounds.queue_bytes_max) {
      finish(CloseReason::local(ErrorCode::overloaded, "more than queue_bytes_max queued in memory"));
      return Pressure::high;
    }
    out_.append(std::move(taken));
    schedule();
    if (out_.size() < bounds.high_water_bytes) return Pressure::none;
    pressed_ = true;
    return Pressure::high;
  }
  std::size_t queued() const noexcept override { return out_.size(); }
  void shutdown_write() override {
    if (closing_) return;
    shutdown_wanted_ = true;
    schedule();
  }
  void close(CloseReason reason, Linger linger) override {
    if (told_closed_) return;
    if (linger.time <= Duration::zero() || !events_) return finish(std::move(reason));
    const TimePoint due = linger.time < kNever - loop_.now() ? loop_.now() + linger.time : kNever;
    if (!closing_) {
      closing_ = std::move(reason);
      draining_ = true;
      shutdown_wanted_ = true;
      linger_due_ = due;
    } else {
      linger_due_ = std::min(linger_due_, due);
    }
    schedule();
    arm_for_next();
  }
  void replace_events(StreamEvents& events) override {
    events_ = &events;
    again_ = true;
    tell_end_again_ = told_read_end_;
    poke();
  }
  const PeerInfo& peer() const noexcept override { return peer_; }
  Loop& loop() const noexcept override { return loop_; }

  // In a turn of its own: whatever there is to tell is told.
  void poke() {
    if (poked_) return;
    poked_ = true;
    loop_.post([link = std::weak_ptr<Link>(link_), side = side_] {
      const std::shared_ptr<Link> alive = link.lock();
      if (alive && alive->ends[side]) alive->ends[side]->handle_poke();
    });
  }
  void poke_at(TimePoint when) {
    if (when <= loop_.now()) return poke();
    if (!armed() || when < armed_for_) {
      armed_for_ = when;
      loop_.arm(*this, when);
    }
  }

 private:
  Wire& inward() { return link_->wires[1 - side_]; }
  Wire& outward() { return link_->wires[side_]; }
  MemoryStream* other() { return link_->ends[1 - side_]; }
  void schedule() { loop_.at_turn_end(*this); }

  void on_timer() override {
    if (draining_ && loop_.now() >= linger_due_) return end_drain();
    DropWatch watch(*this);
    handle_poke();
    if (!watch.dropped() && !told_closed_) arm_for_next();
  }
  void arm_for_next() {
    if (draining_ && linger_due_ != kNever) poke_at(linger_due_);
  }

  void handle_poke() {
    poked_ = false;
    DropWatch watch(*this);
    if (!out_.empty() || shutdown_wanted_) flush();
    if (watch.dropped() || !events_) return;
    receive();
    if (watch.dropped() || closing_) return;
    if (tell_end_again_ && reading_) {
      tell_end_again_ = false;
      events_->on_read_end();
    }
  }

  void receive() {
    Wire& wire = inward();
    DropWatch watch(*this);
    while (reading_ && !closing_) {
      std::size_t arrived = 0;
      while (!wire.segments.empty() && wire.segments.front().arrives <= loop_.now()) {
        arrived += wire.segments.front().size;
        wire.segments.pop_front();
      }
      fresh_ += arrived;
      const std::size_t most = link_->options.show_bytes_max ? link_->options.show_bytes_max : fresh_;
      const std::size_t add = std::min({most, fresh_, loop_.scratch(0).size() - kept_.size()});
      if (add == 0 && !(again_ && !kept_.empty())) break;
      again_ = false;
      const MutableBytes shown = loop_.scratch(0).first(kept_.size() + add);
      kept_.copy_to(shown);
      wire.bytes.copy_to(shown.subspan(kept_.size(), add));
      kept_.clear();
      wire.bytes.consume(add);
      fresh_ -= add;
      const StreamEvents* const consumer = events_;
      const std::size_t consumed = events_->on_bytes(shown, false);
      if (watch.dropped()) return;
      WAYPORT_ASSERT(consumed <= shown.size(), "on_bytes() consumed more than it was shown");
      if (closing_) break;
      kept_.append(shown.subspan(consumed));
      if (events_ != consumer) again_ = true;
      if (reading_ && kept_.size() > kUnconsumedBytesMax) {
        return finish(CloseReason::local(ErrorCode::internal, "the consumer left too many bytes unconsumed"));
      }
      if (add != 0 && other()) other()->handle_room();
    }
    if (closing_) {
      if (draining_) drop_input();
      return;
    }
    if (wire.reset) return finish({CloseReason::By::peer, {ErrorCode::peer_closed, "connection reset (mem)", {}}});
    if (!reading_) return;
    if (!wire.segments.empty()) return poke_at(wire.segments.front().arrives);
    if (!wire.ended || fresh_ != 0 || told_read_end_) return;
    if (wire.end_arrives > loop_.now()) return poke_at(wire.end_arrives);
    told_read_end_ = true;
    events_->on_read_end();
    if (!watch.dropped()) finish_if_both_ended();
  }
  void drop_input() {
    Wire& wire = inward();
    wire.bytes.clear();
    wire.segments.clear();
    fresh_ = 0;
    kept_.clear();
    if (other()) other()->handle_room();
    if ((wire.ended || wire.reset) && end_sent_) end_drain();
  }

  // Room in the window.
  void handle_room() {
    if (!out_.empty()) poke();
  }

  void flush() {
    Wire& wire = outward();
    const Duration latency = link_->options.latency;
    if (wire.reader_gone && !out_.empty()) return handle_write_error();
    const std::size_t room = link_->options.window_bytes - std::min(link_->options.window_bytes, wire.bytes.size());
    const std::size_t size = std::min(room, out_.size());
    MemoryStream* const to = other();
    if (size != 0) {
      wire.bytes.append(out_.split(size));
      const TimePoint arrives = to ? to->loop_.now() + latency : TimePoint{};
      wire.segments.push_back({arrives, size});
      if (to) to->poke_at(arrives);
    }
    if (shutdown_wanted_ && out_.empty() && !end_sent_) {
      end_sent_ = true;
      wire.ended = true;
      wire.end_arrives = to ? to->loop_.now() + latency : TimePoint{};
      if (to) to->poke_at(wire.end_arrives);
    }
    if (draining_) return drop_input();
    DropWatch watch(*this);
    if (pressed_ && events_ && !closing_ && out_.size() <= link_->options.stream.low_water_bytes) {
      pressed_ = false;
      events_->on_writable();
      if (watch.dropped()) return;
    }
    finish_if_both_ended();
  }
  void handle_write_error() {
    out_.clear();
    if (draining_) return end_drain();
    DropWatch watch(*this);
    if (events_) receive();
    if (watch.dropped() || closing_) return;
    finish({CloseReason::By::peer, {ErrorCode::peer_closed, "the peer is gone (mem)", {}}});
  }
  void finish_if_both_ended() {
    if (!told_read_end_ || !end_sent_ || closing_) return;
    finish({CloseReason::By::peer, {ErrorCode::peer_closed, "connection (mem) ended in order", {}}});
  }

  void finish(CloseReason reason) {
    if (!closing_) closing_ = std::move(reason);
    end_drain();
  }
  void end_drain() {
    draining_ = false;
    out_.clear();
    leave();
    schedule();
  }
  // As the kernel's close(2).
  void leave() {
    if (left_) return;
    left_ = true;
    link_->ends[side_] = nullptr;
    Wire& in = inward();
    in.reader_gone = true;
    if (!in.bytes.empty()) outward().reset = true;
    in.bytes.clear();
    in.segments.clear();
    outward().ended = true;
    if (other()) other()->poke();
  }

  void on_turn_end() override {
    if (told_closed_) return;
    DropWatch watch(*this);
    if (!closing_ || draining_) flush();
    if (watch.dropped() || told_closed_ || !closing_ || draining_) return;
    told_closed_ = true;
    if (!events_) return;
    const CloseReason reason = *closing_;
    events_->on_closed(reason);  // `this` may be gone
  }

  Loop& loop_;
  const std::shared_ptr<Link> link_;
  const int side_;
  StreamEvents* events_ = nullptr;
  PeerInfo peer_;
  Chain out_;
  Chain kept_;             // shown and not consumed
  std::size_t fresh_ = 0;  // arrived and not shown; the front of the inward wire
  std::optional<CloseReason> closing_;
  TimePoint linger_due_ = kNever;
  TimePoint armed_for_ = kNever;
  bool reading_ = true;
  bool again_ = false;
  bool poked_ = false;
  bool pressed_ = false;
  bool draining_ = false;
  bool shutdown_wanted_ = false;
  bool end_sent_ = false;
  bool told_read_end_ = false;
  bool tell_end_again_ = false;
  bool told_closed_ = false;
  bool left_ = false;
};

}  // namespace

MemoryPair make_memory_pair(Loop& loop_of_a, Loop& loop_of_b, const MemoryOptions& options) {
  auto link = std::make_shared<Link>(options);
  return {std::make_unique<MemoryStream>(loop_of_a, link, 0), std::make_unique<MemoryStream>(loop_of_b, link, 1)};
}

}  // namespace wayport::transport
