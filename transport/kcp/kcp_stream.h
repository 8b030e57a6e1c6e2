// KcpStream: a Stream over one KCP session.
//
// Reading: at turn end, all that has come is shown at once; what came in one segment is shown where it lies, more is
// gathered in the loop's scratch. While reading is off, bytes stay in the session, whose window closes. Writing: at turn
// end bytes go into segments, the copy that resending needs anyway; what is beyond the session's send bound stays in the
// chain, and is what queued() counts.
//
// The end: with the extension as for every stream; while reading is off, an end in order waits until what is left was
// shown. Any other end (timed_out, a reset) is told at once. Without, KCP has no half-close: after shutdown_write() the stream
// closes (local_closed) once everything was acknowledged and what came was read; the peer hears nothing of it, and its
// own silence limits end its side. close() with a linger waits until the peer has acknowledged everything. A peer that
// is gone is found by dead_link, idle_timeout or liveness_timeout (timed_out).
//
// peer().remote stays the address from which the session came, also when it has moved. Errors: timed_out (dead link,
// silence), refused (dialed, and nobody listens there), malformed, too_large (a peer that breaks the rules), peer_closed (a reset has ECONNRESET as its cause).
#pragma once

#include <memory>
#include <string>

#include "wayport/base/chain.h"
#include "wayport/transport/drop_watch.h"
#include "wayport/transport/kcp/kcp_driver.h"
#include "wayport/transport/stream.h"

namespace wayport::transport::kcp {

class KcpStream final : public Stream, private KcpEvents, private TurnEnd, private Timer, private DropWatched {
 public:
  // `session` lives in `driver`, and until it is closed.
  KcpStream(std::shared_ptr<KcpDriver> driver, KcpSession& session, PeerInfo peer, const StreamOptions& options);
  ~KcpStream() override;

  void start(StreamEvents& events) override;
  void read(bool on) override;
  Pressure write(Chain&& chain, bool message_end) override;
  std::size_t queued() const noexcept override { return out_.size(); }
  bool half_closes() const noexcept override { return session_ && session_->extension_agreed(); }
  void shutdown_write() override;
  void close(CloseReason reason, Linger linger) override;
  void replace_events(StreamEvents& events) override;
  bool reconnect_now() override;
  const PeerInfo& peer() const noexcept override { return peer_; }
  Loop& loop() const noexcept override { return driver_->loop(); }

  // For those who measure.
  const KcpSession* session() const noexcept { return session_; }

 private:
  // KcpEvents: from inside the driver, so they only note.
  void on_readable() override;
  void on_writable() override { schedule(); }
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;

  void on_turn_end() override;
  void on_timer() override;  // the linger's time is over, and not everything was even queued
  void tell_the_end();
  bool ended_in_order() const noexcept;
  void feed();
  bool show();  // false: `this` is gone
  bool show_once();
  void fail(CloseReason reason);
  void schedule() { loop().at_turn_end(*this); }
  std::string describe(const char* what) const;

  std::shared_ptr<KcpDriver> driver_;
  KcpSession* session_;  // null: it is over
  StreamEvents* events_ = nullptr;
  Chain out_;
  Chain kept_;                            // shown and not consumed
  std::unique_ptr<CloseReason> closing_;  // close() was called
  std::unique_ptr<CloseReason> over_;     // why the session ended
  TimePoint linger_until_ = kNever;
  const StreamOptions options_;
  bool reading_ : 1 = true;
  bool readable_ : 1 = false;  // the session has something, or kept_ is to be shown again
  bool showing_ : 1 = false;
  bool read_end_ : 1 = false;
  bool tell_read_end_ : 1 = false;
  bool pressed_ : 1 = false;
  bool shutdown_wanted_ : 1 = false;
  bool handed_close_ : 1 = false;  // the session was told to close
  bool told_closed_ : 1 = false;
  PeerInfo peer_;
};

}  // namespace wayport::transport::kcp
