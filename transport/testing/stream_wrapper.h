// StreamWrapper: a Stream that passes everything through; the doubles below it change one thing each.
//
// Not thread-safe.
#pragma once

#include <memory>
#include <utility>

#include "wayport/transport/drop_watch.h"
#include "wayport/transport/stream.h"

namespace wayport::transport {

class StreamWrapper : public Stream, protected StreamEvents, protected DropWatched {
 public:
  explicit StreamWrapper(std::unique_ptr<Stream> lower) : lower_(std::move(lower)) {}

  void start(StreamEvents& events) override {
    events_ = &events;
    lower_->start(*this);
  }
  void read(bool on) override { lower_->read(on); }
  Pressure write(Chain&& chain, bool message_end) override { return lower_->write(std::move(chain), message_end); }
  std::size_t queued() const noexcept override { return lower_->queued(); }
  bool half_closes() const noexcept override { return lower_->half_closes(); }
  void shutdown_write() override { lower_->shutdown_write(); }
  void close(CloseReason reason, Linger linger) override { lower_->close(std::move(reason), linger); }
  void replace_events(StreamEvents& events) override {
    events_ = &events;
    lower_->replace_events(*this);
  }
  const PeerInfo& peer() const noexcept override { return lower_->peer(); }
  Loop& loop() const noexcept override { return lower_->loop(); }
  unsigned scratch_depth() const noexcept override { return lower_->scratch_depth(); }

 protected:
  std::size_t on_bytes(MutableBytes bytes, bool message_end) override { return events_->on_bytes(bytes, message_end); }
  void on_writable() override { events_->on_writable(); }
  void on_read_end() override { events_->on_read_end(); }
  void on_closed(const CloseReason& reason) override { events_->on_closed(reason); }

  std::unique_ptr<Stream> lower_;
  StreamEvents* events_ = nullptr;
};

}  // namespace wayport::transport
