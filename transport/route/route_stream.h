// RouteStream: what a route dial gives, once the gateway has answered: the lower stream, from the first byte of the
// backend on.
//
// Over byte streams the consumer is the lower stream's own: a byte costs nothing more. Over a websocket that is used as
// a byte stream, messages are hidden: each write() leaves as messages of up to kMessageBytesSent, and received ones are
// shown without their ends. With messages=1 they are shown as they are.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "wayport/base/chain.h"
#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/transport/drop_watch.h"
#include "wayport/transport/stream.h"

namespace wayport::transport {

class RouteStream final : public Stream, private StreamEvents, private TurnEnd, private DropWatched {
 public:
  static constexpr std::size_t kMessageBytesSent = 64 * 1024;

  // `lower` is started, with reading off.
  RouteStream(std::unique_ptr<Stream> lower, bool hide_messages);

  void start(StreamEvents& events) override;
  void read(bool on) override;
  Pressure write(Chain&& chain, bool message_end) override;
  std::size_t queued() const noexcept override { return lower_->queued(); }
  bool half_closes() const noexcept override { return lower_->half_closes(); }
  void shutdown_write() override { lower_->shutdown_write(); }
  void close(CloseReason reason, Linger linger) override;
  std::optional<Fd> detach() override;
  void replace_events(StreamEvents& events) override;
  bool reconnect_now() override { return lower_->reconnect_now(); }
  const PeerInfo& peer() const noexcept override { return lower_->peer(); }
  Loop& loop() const noexcept override { return lower_->loop(); }
  unsigned scratch_depth() const noexcept override { return lower_->scratch_depth(); }

 private:
  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override;
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;
  void on_turn_end() override;

  std::unique_ptr<Stream> lower_;
  StreamEvents* events_ = nullptr;
  std::unique_ptr<CloseReason> dead_;  // the lower stream closed before start()
  const bool hide_messages_;
  bool reading_ = true;
  bool closing_ = false;
};

}  // namespace wayport::transport
