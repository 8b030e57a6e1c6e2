#include "wayport/rpc/packets/packet_stream.h"

#include <exception>
#include <utility>

#include "wayport/framing/teleport/protocol.h"

namespace wayport::rpc {
namespace {

// Runs what may be the application's code; its exceptions become errors.
template <class F>
auto without_exceptions(const char* what, F&& run) -> decltype(run()) {
  try {
    return run();
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, std::string(what) + " threw: " + escape(error.what()));
  } catch (...) {
    return fail(ErrorCode::internal, std::string(what) + " threw");
  }
}

}  // namespace

// Timers, turn-end nodes and streams belong to the loop, while the last handle may go on any thread.
struct PacketStream::Deleter {
  void operator()(PacketStream* stream) const {
    Loop& loop = stream->loop();
    if (loop.in_loop_thread()) {
      delete stream;
    } else {
      struct Delete {
        void operator()(PacketStream* p) const { delete p; }
      };
      loop.post([owned = std::unique_ptr<PacketStream, Delete>(stream)] {});
    }
  }
};

std::shared_ptr<PacketStream> PacketStream::create(std::unique_ptr<transport::Stream> stream,
                                                   PacketEnvironment& environment, PacketEvents& events,
                                                   PacketStreamOptions options) {
  std::shared_ptr<PacketStream> created(new PacketStream(std::move(stream), environment, events, std::move(options)),
                                        Deleter());
  created->stream_->start(*created);
  return created;
}

PacketStream::PacketStream(std::unique_ptr<transport::Stream> stream, PacketEnvironment& environment,
                           PacketEvents& events, PacketStreamOptions options)
    : environment_(environment),
      events_(events),
      loop_(stream->loop()),
      options_(std::move(options)),
      protocol_(options_.protocol ? *options_.protocol : framing::teleport_protocol()),
      stream_(std::move(stream)),
      id_(std::exchange(options_.id, {})) {
  if (id_.empty()) id_ = stream_->peer().remote_url();
}

std::string PacketStream::id() const {
  const std::lock_guard lock(id_mutex_);
  return id_;
}

void PacketStream::set_id(std::string id) {
  const std::lock_guard lock(id_mutex_);
  id_.swap(id);
}

Result<void> PacketStream::send(const framing::OutgoingPacket& packet) {
  if (closing_ || write_ended_) return refuse_ended();
  const std::size_t before = output_.size();
  Result<void> encoded =
      without_exceptions("encoding a packet", [&] { return protocol_.encode(packet, environment_.context, output_); });
  if (!encoded) {
    // Half a packet must not stay, whoever failed (spec/teleport 14 item 5).
    output_.truncate(before);
    return encoded;
  }
  const std::size_t max = options_.output_bytes_max;
  if (max != 0 && output_.size() + queued_seen_ > max) {
    queued_seen_ = stream_->queued();
    if (output_.size() + queued_seen_ > max) {
      const std::size_t packet_bytes = output_.size() - before;
      output_.truncate(before);
      return refuse_output(packet_bytes);
    }
  }
  environment_.counters.packets_written.add();
  environment_.counters.bytes_written.add(output_.size() - before);
  if (before == 0) loop_.at_turn_end(*this);
  return {};
}

Result<void> PacketStream::send_empty(const framing::PacketHeader& header) {
  return send({.header = header, .header_codec = options_.header_codec, .body = {}});
}

std::unexpected<Error> PacketStream::refuse_ended() const {
  if (!reason_) {
    return fail(ErrorCode::local_closed, closing_ ? "this side closed the packet stream to " + id()
                                                  : "this side ended its half of the packet stream to " + id());
  }
  return fail(reason_->by == CloseReason::By::local ? ErrorCode::local_closed : ErrorCode::peer_closed,
              "the packet stream to " + id() + " was " + to_string(*reason_));
}

std::unexpected<Error> PacketStream::refuse_output(std::size_t packet_bytes) {
  environment_.counters.sends_refused.add();
  const std::string max = std::to_string(options_.output_bytes_max);
  if (packet_bytes > options_.output_bytes_max) {
    return fail(ErrorCode::too_large, "a packet of " + std::to_string(packet_bytes) + " bytes to " + id() +
                                          " is more than output_bytes_max (" + max + "); send less or raise it");
  }
  return fail(ErrorCode::overloaded, id() + " has not taken " + std::to_string(queued()) + " bytes: a packet of " +
                                         std::to_string(packet_bytes) + " more would pass output_bytes_max (" + max +
                                         "); wait for on_writable");
}

void PacketStream::shutdown_write() {
  if (closing_ || write_ended_) return;
  flush();
  write_ended_ = true;
  stream_->shutdown_write();
}

Result<void> PacketStream::decode_body(const framing::PacketView& packet, const framing::BodyTarget& target) {
  environment_.context.limits = options_.limits;
  return without_exceptions("decoding a body",
                            [&] { return framing::decode_body(packet, environment_.context, target); });
}

void PacketStream::read(bool on) {
  reading_wanted_ = on;
  update_reading();
}

void PacketStream::update_reading() {
  const bool on = reading_wanted_ && !(full_ && options_.when_full == PacketStreamOptions::WhenFull::stop_reading);
  if (closing_ || on == reading_) return;
  reading_ = on;
  stream_->read(on);
}

void PacketStream::close(CloseReason reason, transport::Linger linger) {
  if (closed_) return;
  closing_ = true;  // before the flush, which must not stop reading: draining waits for the peer's end
  if (linger.time > Duration::zero() && !write_ended_) flush();
  output_.clear();
  stream_->close(std::move(reason), linger);
}

void PacketStream::flush() {
  if (output_.empty()) return;
  full_ = stream_->write(std::move(output_)) == transport::Pressure::high;
  queued_seen_ = stream_->queued();
  update_reading();
}

std::size_t PacketStream::on_bytes(MutableBytes bytes, bool) {
  if (closing_) return bytes.size();
  environment_.context.limits = options_.limits;
  // The sink's last act may be to destroy this object: it then returns false, after which the reader touches nothing.
  transport::DropWatch watch(*this);
  PacketCounters& counters = environment_.counters;
  std::uint64_t packets = 0;
  const Result<std::size_t> consumed = without_exceptions("reading a packet", [&] {
    return reader_.read(bytes, protocol_, environment_.context, [&](const framing::PacketView& packet) {
      ++packets;
      const bool more = events_.on_packet(*this, packet);
      if (watch.dropped()) return false;
      if (!more) read(false);
      return reading_ && !closing_;
    });
  });
  counters.packets_read.add(packets);
  if (watch.dropped()) return bytes.size();
  if (!consumed) {
    read_error(consumed.error());
    return bytes.size();
  }
  counters.bytes_read.add(*consumed);
  if (closing_) return bytes.size();
  const Bytes rest = bytes.subspan(*consumed);
  unfinished_ = rest.empty() || protocol_.may_end(rest) ? 0 : rest.size();
  return *consumed;
}

void PacketStream::read_error(Error error) {
  if (closing_) return;
  environment_.counters.read_errors.add();
  error.detail += " (from " + id() + ")";
  close({CloseReason::By::local, std::move(error)});
}

void PacketStream::on_writable() {
  queued_seen_ = stream_->queued();
  full_ = false;
  update_reading();
  events_.on_writable(*this);
}

void PacketStream::on_read_end() {
  if (closing_) return;
  if (const std::size_t unfinished = unfinished_ + reader_.buffered(); unfinished > 0) {
    read_error({ErrorCode::malformed,
                "the stream ended inside a packet, of which " + std::to_string(unfinished) + " bytes had come",
                {}});
    return;
  }
  events_.on_read_end(*this);
}

void PacketStream::on_closed(const CloseReason& reason) {
  closing_ = true;
  closed_ = true;
  output_.clear();
  // The callback may drop this object, and the stream with its reason.
  const CloseReason copy = reason;
  reason_ = copy;
  events_.on_closed(*this, copy);
}

}  // namespace wayport::rpc
