// VirtualStream: a virtual connection as a byte stream, so that RPC, TLS and everything else run over it.
//
// What is written in a turn leaves in frames of up to kFrameBytes. A write() with message_end ends a message: what was
// written since the last one is one frame (several, if it is more than a frame may have), which is how this talks to ends
// that send and receive messages. What arrives is shown as it comes, `message_end` with the last byte of each message
// that ends what is shown. Empty messages carry no bytes, and are skipped; none is ever sent, because the C# client takes
// one for the end.
//
// There is no half-closing: after shutdown_write() nothing more is sent, but the other end learns of it only by close().
// Its close is our read end, and then on_closed(peer_closed). close() with a linger waits until the gateway has taken
// everything.
//
// Not read, it keeps what arrives within EndpointOptions::virtual_receive. The protocol has no flow control: a gateway
// that closes a virtual connection which is not read (its default policy) does so here, too (README.md).
#pragma once

#include <deque>
#include <memory>

#include "wayport/transport/drop_watch.h"
#include "wayport/transport/link/endpoint.h"
#include "wayport/transport/stream.h"

namespace wayport::link {

class VirtualStream final : public Stream, private VirtualEvents, private TurnEnd, private transport::DropWatched {
 public:
  static constexpr std::size_t kFrameBytes = 64 * 1024;

  VirtualStream(std::unique_ptr<VirtualConnection> connection, const transport::StreamOptions& options);
  ~VirtualStream() override;

  std::uint32_t connection_id() const noexcept { return connection_id_; }
  std::uint32_t remote_id() const noexcept { return remote_id_; }

  void start(transport::StreamEvents& events) override;
  void read(bool on) override;
  Pressure write(Chain&& chain, bool message_end) override;
  std::size_t queued() const noexcept override { return plain_.size() + (lower_ ? lower_->unsent_bytes() : 0); }
  void shutdown_write() override { shutdown_ = true; }
  void close(CloseReason reason, Linger linger) override;
  void replace_events(transport::StreamEvents& events) override;
  const transport::PeerInfo& peer() const noexcept override { return peer_; }
  Loop& loop() const noexcept override { return loop_; }
  unsigned scratch_depth() const noexcept override { return scratch_depth_; }

 private:
  struct Closing;

  void on_message(MutableBytes message) override;
  void on_writable() override;
  void on_closed(const CloseReason& reason) override;
  void on_turn_end() override;

  void deliver(MutableBytes fresh);
  std::size_t show(MutableBytes bytes, bool message_end);
  void hand_down();
  void relieve();
  void drain();
  void finish(CloseReason reason);
  void tell_end();
  void schedule() { loop_.at_turn_end(*this); }

  Loop& loop_;
  std::unique_ptr<VirtualConnection> lower_;
  const std::uint32_t connection_id_;
  const std::uint32_t remote_id_;
  transport::StreamEvents* events_ = nullptr;
  Chain plain_;                   // written, not handed down
  std::deque<std::size_t> ends_;  // of messages: bytes of plain_ since the one before
  std::size_t open_bytes_ = 0;    // of plain_, behind the last of these
  Chain kept_;                    // received, not consumed
  std::unique_ptr<Closing> closing_;
  std::unique_ptr<CloseReason> ended_;  // the connection has; what was received comes first
  std::size_t queue_bytes_max_;
  std::size_t high_water_bytes_;
  std::size_t low_water_bytes_;
  unsigned scratch_depth_;
  bool reading_ : 1 = true;
  bool showing_ : 1 = false;
  bool show_again_ : 1 = false;
  bool pressed_ : 1 = false;        // on_writable() is owed
  bool lower_pressed_ : 1 = false;  // wait for the connection's on_writable()
  bool shutdown_ : 1 = false;
  bool told_end_ : 1 = false;
  bool told_closed_ : 1 = false;
  transport::PeerInfo peer_;
};

}  // namespace wayport::link
