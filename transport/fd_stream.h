// FdStream: a Stream on a connected stream socket; what tcp and unix share, and the hot path of everything.
//
// One recv per wake, into the loop's scratch(0) behind the unconsumed tail (if any); a chain that is flushed by one
// sendmsg at turn end; interest in EPOLLOUT only while the kernel is full. A turn reads at most one scratch buffer and
// writes until the kernel is full or the queue is empty; on_writable() comes once per flush, and what it writes leaves
// in the next turn, so a fast pair cannot hold the loop.
//
// A reset is told also while nobody reads, and takes what was not read with it; an end in order is not, because bytes may
// be before it.
//
// Abort is a plain close(2): the kernel sends FIN, or RST if bytes are unread. A FIN reads as an end in order, also to a
// peer that was owed more. Whoever must not let that happen closes with a negative linger: an abort as a reset, RST
// on tcp. A unix socket knows no resets and ends as ever. Other streams take a negative linger as zero, and
// layers hand it down, so tls over tcp resets as well.
//
// Idle, the object is all there is: no buffer, no timer; the closing state is allocated when a close needs one.
#pragma once

#include <memory>
#include <optional>

#include "wayport/transport/drop_watch.h"
#include "wayport/transport/stream.h"

namespace wayport::transport {

class FdStream final : public Stream, private FdEvents, private TurnEnd, private DropWatched {
 public:
  // `fd` is connected and non-blocking.
  FdStream(Loop& loop, Fd fd, PeerInfo peer, const StreamOptions& options);
  ~FdStream() override;

  void start(StreamEvents& events) override;
  void read(bool on) override;
  Pressure write(Chain&& chain, bool message_end) override;
  std::size_t queued() const noexcept override { return out_.size(); }
  void shutdown_write() override;
  void close(CloseReason reason, Linger linger) override;
  std::optional<Fd> detach() override;  // nullopt also from inside on_bytes(): its bytes are still on loan
  void replace_events(StreamEvents& events) override;
  const PeerInfo& peer() const noexcept override { return peer_; }
  Loop& loop() const noexcept override { return loop_; }

 private:
  struct Closing;  // reason, deadline

  void on_fd(std::uint32_t events) override;
  void on_turn_end() override;

  bool receive();
  void receive_and_drop();
  void show(MutableBytes bytes);
  void show_kept();
  void handle_read_end();
  void flush();
  void flush_pieces();
  bool take_sent(ssize_t sent, std::size_t offered);
  void handle_write_error(int error);
  void fail(CloseReason reason);
  void end_drain();
  void tell_closed();
  void release_fd() noexcept;
  void update_interest();
  void schedule() noexcept { loop_.at_turn_end(*this); }
  std::string describe(const char* doing) const;

  Loop& loop_;
  StreamEvents* events_ = nullptr;
  Chain out_;
  Chain kept_;  // shown and not consumed
  std::unique_ptr<Closing> closing_;
  std::size_t queue_bytes_max_;
  std::uint32_t high_water_bytes_;
  std::uint32_t low_water_bytes_;
  Fd fd_;
  Interest interest_ = Interest::none;
  bool watched_ : 1 = false;
  bool reading_ : 1 = true;         // what the consumer wants
  bool showing_ : 1 = false;        // on_bytes() is on the stack
  bool show_again_ : 1 = false;     // kept_ is to be shown at turn end
  bool read_end_ : 1 = false;       // the peer's end was read
  bool tell_read_end_ : 1 = false;  // and is to be told at turn end
  bool blocked_ : 1 = false;        // the kernel was full, or it is the next turn's turn: wait for EPOLLOUT
  bool pressed_ : 1 = false;        // Pressure::high was returned: on_writable() is owed
  bool resuming_ : 1 = false;       // on_writable() is on the stack
  bool shutdown_wanted_ : 1 = false;
  bool shutdown_sent_ : 1 = false;
  bool told_closed_ : 1 = false;
  PeerInfo peer_;
};

std::unique_ptr<Stream> make_fd_stream(Loop& loop, Fd fd, PeerInfo peer, const StreamOptions& options);

// How errno of a connected socket reads to the owner of the connection.
CloseReason close_reason(int errno_value, std::string_view what);

}  // namespace wayport::transport
