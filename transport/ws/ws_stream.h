// WsStream: websocket frames on any stream, after the upgrade (handshake.h). spec/ws.md says how messages map.
//
// Reading: payload is unmasked in the lower stream's scratch and shown from there, as it comes; a part of a frame's
// header stays with the lower stream. Bytes that the consumer leaves at the end of a message are shown again with what
// comes next. Writing: a turn's output is framed at its end. Servers move chunks, clients copy once to mask.
//
// The end: the peer's Close frame with 1000, 1001 or no code is the end of the stream; we may go on writing, and answer
// it when we end, or when nothing left for close_wait. Once both Close frames are there, the stream closes when what is
// queued has left, however long that takes; a peer that takes no byte of it for QueueWatch::kStallMax loses it
// (`timed_out`). Other codes close the stream with what they mean (close_code.h). The lower stream's end without a
// Close frame is an error (`peer_closed`, "truncated"). close() with a linger sends what is queued and a Close frame;
// without, the connection is dropped (1006 at the peer).
//
// Bounds: of the peer's pings only the last one of a turn is answered, and none while our output does not leave. A ping
// of ours waits until it does; ping_timeout begins when the ping has left the lower stream's queue, and again while
// bytes leave that are queued in front of it. With ping=0 an idle stream has no timer.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "wayport/transport/drop_watch.h"
#include "wayport/transport/queue_watch.h"
#include "wayport/transport/stream.h"
#include "wayport/transport/ws/frames.h"
#include "wayport/transport/ws/ws_counters.h"
#include "wayport/transport/ws/ws_options.h"
#include "wayport/transport/ws/ws_random.h"

namespace wayport::transport {

// What a connection's PeerInfo says once it is a websocket.
PeerInfo ws_peer_info(const PeerInfo& lower, bool secure, std::unique_ptr<const HttpRequest> http);

class WsStream final : public Stream, private StreamEvents, private TurnEnd, private Timer, private DropWatched {
 public:
  enum class Side : std::uint8_t { client, server };
  // A byte stream's messages are cut here; so are the copies that clients mask.
  static constexpr std::size_t kMessageBytesSent = 64 * 1024;

  // A bound for the lower stream that leaves the one in `options` to bite first, headers of frames included.
  static StreamOptions lower_options(StreamOptions options) noexcept;

  // `lower` is started, with reading off, and its next byte is a frame's. `dead`: it has closed already. `random`
  // outlives this (servers need none).
  WsStream(std::unique_ptr<Stream> lower, Side side, const WsOptions& options, const StreamOptions& stream,
           PeerInfo peer, ws::RandomSource* random, std::shared_ptr<WsCounters> counters,
           std::optional<CloseReason> dead = std::nullopt);
  ~WsStream() override;

  void start(StreamEvents& events) override;
  void read(bool on) override;
  Pressure write(Chain&& chain, bool message_end) override;
  std::size_t queued() const noexcept override { return pending_.size() + framed_.size() + lower_->queued(); }
  void shutdown_write() override;
  void close(CloseReason reason, Linger linger) override;
  void replace_events(StreamEvents& events) override;
  const PeerInfo& peer() const noexcept override { return peer_; }
  Loop& loop() const noexcept override { return lower_->loop(); }
  unsigned scratch_depth() const noexcept override { return lower_->scratch_depth() + 1; }

 private:
  struct Output;

  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override;
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;
  void on_turn_end() override;
  void on_timer() override;

  void deliver(MutableBytes payload, bool message_end);
  void show(MutableBytes bytes, bool message_end);
  void show_kept();
  void handle_close(const ws::FrameEvent& event);
  void handle_ping(Bytes payload);
  void frame_pending(bool whole_message);
  void frame(ws::Opcode opcode, bool final, Chain payload);
  void send_close(ws::CloseCode code, std::string_view text);
  void hand_down();
  void fail(CloseReason reason, Linger linger);
  void break_off(ws::CloseCode code, CloseReason reason);
  void schedule() { loop().at_turn_end(*this); }
  void arm_ping();
  void leave();

  std::unique_ptr<Stream> lower_;
  StreamEvents* events_ = nullptr;
  ws::FrameReader reader_;
  Chain pending_;                        // written, not framed
  Chain framed_;                         // framed, not handed down
  Chain kept_;                           // shown, not consumed
  Chain pong_;                           // payload to answer a ping with
  std::unique_ptr<CloseReason> dead_;    // the lower stream closed before start()
  std::unique_ptr<Output> output_;       // a ping waits to be sent, or for its answer; or close_wait runs
  std::unique_ptr<QueueWatch> leaving_;  // both Close frames are there
  ws::RandomSource* const random_;
  const std::shared_ptr<WsCounters> counters_;
  const Duration ping_;
  const Duration ping_timeout_;
  const Duration close_wait_;
  const std::size_t queue_bytes_max_;
  const std::size_t high_water_bytes_;
  const std::size_t low_water_bytes_;
  ws::CloseCode peer_code_ = ws::CloseCode::no_status;  // once read_end_
  const bool client_ : 1;
  const bool messages_ : 1;
  bool reading_ : 1 = true;
  bool kept_end_ : 1 = false;  // the last byte kept ends a message
  bool showing_ : 1 = false;
  bool show_again_ : 1 = false;
  bool read_end_ : 1 = false;  // the peer's Close frame came
  bool tell_read_end_ : 1 = false;
  bool heard_ : 1 = false;  // from the peer, since the timer was armed
  bool pong_due_ : 1 = false;
  bool open_message_ : 1 = false;  // a fragment was sent, and its message's end was not
  bool pressed_ : 1 = false;       // on_writable() is owed
  bool lower_pressed_ : 1 = false;
  bool shutdown_wanted_ : 1 = false;
  bool close_sent_ : 1 = false;
  bool closing_ : 1 = false;
  bool told_closed_ : 1 = false;
  PeerInfo peer_;
};

}  // namespace wayport::transport
