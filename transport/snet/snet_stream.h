// SnetStream: an snet session as a Stream. The connection below may break and be replaced; the consumer sees one stream
// of bytes, and only its end if nobody resumes it in time.
//
// Made by SnetTransport: dialed (its keeper then dials again, with back-off) or accepted (its keeper then waits for the
// client). Every call on loop()'s thread.
//
// Writing: bytes wait here, not encrypted and not counted, until the connection below takes them; what was handed down
// must fit the ring with all that is on its way, so the queue below is kept short (lower_options()). Without a
// connection they wait too, up to StreamOptions::queue_bytes_max.
//
// The end: snet has no message for it (spec/snet.md, section 8). shutdown_write() only drops what is written later, and
// on_read_end() never comes. close() ends the connection; the peer learns of it when its next reconnect is refused (a
// client) or its wait has elapsed (a server). on_closed() gives
//
//   timed_out    nobody resumed the session within `wait`
//   peer_closed  the server refused to resume it: it has closed it, or waited long enough, or its ring was exceeded
//   too_large    unread bytes exceeded our ring
//   malformed    the peer's counters cannot be
//   overloaded   ours: detached_max or detached_bytes_max was reached, or queue_bytes_max
#pragma once

#include <memory>
#include <optional>

#include "wayport/transport/drop_watch.h"
#include "wayport/transport/snet/session.h"
#include "wayport/transport/stream.h"

namespace wayport::transport {

class SnetStream final : public Stream, private StreamEvents, private TurnEnd, private DropWatched {
 public:
  // Provides connections.
  class Keeper {
   public:
    virtual ~Keeper() = default;
    // The connection is gone. resume() or give_up() of the stream follows, at once or later.
    virtual void on_detached(const Error& why) = 0;
    virtual void on_attached() = 0;
    // While detached: more memory is in use than before.
    virtual void on_growth() {}
    // The stream has ended or goes. No call of the stream's after this; the keeper is destroyed at turn end or before.
    virtual void retire() = 0;
    virtual bool reconnect_now() { return false; }
  };

  // For the connections that a session with such a ring is given.
  static StreamOptions lower_options(StreamOptions options, std::size_t ring_bytes) noexcept;

  SnetStream(Loop& loop, snet::Session session, const StreamOptions& options);
  ~SnetStream() override;

  // Once, before the first resume().
  void keep(std::unique_ptr<Keeper> keeper) { keeper_ = std::move(keeper); }
  // A started connection, whose handshake is done, carries the session from now on; the one before is dropped. False,
  // and `lower` untouched, if the ring does not hold what the peer lacks, or the stream has closed.
  bool resume(std::unique_ptr<Stream>& lower, std::uint64_t announced, std::uint64_t peer_received);
  // What the connection showed behind the last byte of its handshake. `this` may be gone afterwards.
  void take(MutableBytes bytes) {
    if (!bytes.empty() && lower_) on_bytes(bytes, false);
  }
  // Ends the session: on_closed(reason) follows at turn end.
  void give_up(CloseReason reason) { finish(std::move(reason)); }

  const snet::Session& session() const noexcept { return session_; }
  bool attached() const noexcept { return lower_ != nullptr; }
  // Ring, unread and unsent bytes; what this costs while nobody carries it.
  std::size_t memory() const noexcept { return session_.memory() + kept_.size() + plain_.size(); }

  void start(StreamEvents& events) override;
  void read(bool on) override;
  Pressure write(Chain&& chain, bool message_end) override;
  std::size_t queued() const noexcept override { return plain_.size() + (lower_ ? lower_->queued() : 0); }
  void shutdown_write() override { shutdown_ = true; }
  // With a linger, a session without a connection waits for one, within that time.
  void close(CloseReason reason, Linger linger) override;
  void replace_events(StreamEvents& events) override;
  bool reconnect_now() override;
  // Of the connection of the moment, or the last one.
  const PeerInfo& peer() const noexcept override { return peer_; }
  Loop& loop() const noexcept override { return loop_; }
  unsigned scratch_depth() const noexcept override { return scratch_depth_; }

 private:
  struct Closing;

  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override;
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;
  void on_turn_end() override;

  void describe_peer(const PeerInfo& below);
  void deliver(MutableBytes fresh);
  std::size_t show(MutableBytes bytes);
  void hand_down(bool whatever_the_pressure);
  void relieve();
  void drain();
  void lose(const Error& why);
  void finish(CloseReason reason);
  void schedule() { loop_.at_turn_end(*this); }

  Loop& loop_;
  snet::Session session_;
  std::unique_ptr<Keeper> keeper_;
  std::unique_ptr<Stream> lower_;
  StreamEvents* events_ = nullptr;
  Chain plain_;  // written, not handed down
  Chain kept_;   // received, not consumed
  std::unique_ptr<Closing> closing_;
  std::size_t queue_bytes_max_;
  std::size_t high_water_bytes_;
  std::size_t low_water_bytes_;
  unsigned scratch_depth_ = 1;
  bool reading_ : 1 = true;
  bool showing_ : 1 = false;
  bool show_again_ : 1 = false;
  bool pressed_ : 1 = false;        // on_writable() is owed
  bool lower_pressed_ : 1 = false;  // wait for the lower on_writable()
  bool shutdown_ : 1 = false;
  bool told_closed_ : 1 = false;
  PeerInfo peer_;
};

}  // namespace wayport::transport
