// TlsStream: TLS on any stream, by OpenSSL with its own BIO. It belongs to whoever made it until handshake() has said
// yes, and is an ordinary Stream from then on.
//
// Reading: whole records of the lower stream's scratch span are decrypted into the next scratch, and shown together. A
// part of a record stays with the lower stream. Writing: what a turn wrote is sealed at its end into records of up to
// 16 KiB; while the lower stream is under pressure it waits unsealed. A connection owns no buffer of ours between
// turns, and none of OpenSSL's (SSL_MODE_RELEASE_BUFFERS).
//
// The end: close_notify is the end of the stream. The lower stream's end without it is an error (`peer_closed`,
// "truncated"), since anyone on the path can forge that. Half-closing works in both directions. Once both ends are
// said, the stream closes when what is queued has left, however long that takes; a peer that takes no byte of it for
// QueueWatch::kStallMax loses it (`timed_out`).
#pragma once

#include <functional>
#include <memory>

#include "wayport/transport/drop_watch.h"
#include "wayport/transport/queue_watch.h"
#include "wayport/transport/stream.h"
#include "wayport/transport/tls/tls_bio.h"
#include "wayport/transport/tls/tls_context.h"

namespace wayport::transport {

class TlsStream final : public Stream, private StreamEvents, private TurnEnd, private DropWatched {
 public:
  // A bound for the lower stream that leaves the one in `options` to bite first, records' overhead included.
  static StreamOptions lower_options(StreamOptions options) noexcept;

  // `lower` is not started. `connection` is fresh, set to connect or to accept.
  TlsStream(std::unique_ptr<Stream> lower, tls::Connection connection, const StreamOptions& options);
  ~TlsStream() override;

  // Calls back once, never from inside, unless this is dropped or closed first. Errors: malformed (not TLS, or broken),
  // refused (certificates, alerts), peer_closed, and those of the lower stream. After an error only close() is of use.
  void handshake(std::move_only_function<void(Result<void>)> on_done);

  void start(StreamEvents& events) override;
  void read(bool on) override;
  Pressure write(Chain&& chain, bool message_end) override;
  std::size_t queued() const noexcept override { return plain_.size() + lower_->queued(); }
  bool half_closes() const noexcept override { return lower_->half_closes(); }
  void shutdown_write() override;
  void close(CloseReason reason, Linger linger) override;
  void replace_events(StreamEvents& events) override;
  const PeerInfo& peer() const noexcept override { return peer_; }
  Loop& loop() const noexcept override { return lower_->loop(); }
  unsigned scratch_depth() const noexcept override { return lower_->scratch_depth() + 1; }
  bool reconnect_now() override { return lower_->reconnect_now(); }

 private:
  struct Handshake;

  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override;
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;
  void on_turn_end() override;

  void advance_handshake();
  void finish_handshake(Result<void> result);
  Error handshake_error(int ssl_error);
  void decrypt();
  void show(MutableBytes bytes);
  void show_kept();
  void seal(bool whatever_the_pressure);
  void hand_down();
  void send_end();
  void handle_broken(const std::string& reason);
  void leave();
  void fail(CloseReason reason, Linger linger);
  void describe_peer();
  void schedule() { loop().at_turn_end(*this); }

  std::unique_ptr<Stream> lower_;
  StreamEvents* events_ = nullptr;
  TlsPipe pipe_;
  tls::Connection connection_;
  std::unique_ptr<Handshake> handshake_;  // until it is done and told
  std::unique_ptr<CloseReason> dead_;     // the lower stream closed before start()
  std::unique_ptr<QueueWatch> leaving_;   // both ends were said
  Chain plain_;                           // written, not sealed
  Chain kept_;                            // shown, not consumed
  std::size_t queue_bytes_max_;
  std::size_t high_water_bytes_;
  std::size_t low_water_bytes_;
  bool ready_ : 1 = false;  // the handshake succeeded
  bool trim_ : 1 = false;   // OpenSSL's buffers of the handshake are to be given back
  bool reading_ : 1 = true;
  bool showing_ : 1 = false;  // on_bytes() is running
  bool show_again_ : 1 = false;
  bool read_end_ : 1 = false;  // close_notify came
  bool tell_read_end_ : 1 = false;
  bool pressed_ : 1 = false;  // on_writable() is owed
  bool lower_pressed_ : 1 = false;
  bool shutdown_wanted_ : 1 = false;
  bool shutdown_sent_ : 1 = false;
  bool closing_ : 1 = false;
  bool told_closed_ : 1 = false;
  PeerInfo peer_;
};

}  // namespace wayport::transport
