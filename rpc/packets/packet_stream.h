// PacketStream: packets over any transport::Stream, with codecs and limits, but without sessions, routes and calls. For
// programs that have a protocol of their own on top of the wire format (spec/teleport 15, "low-level socket library").
//
//   struct Echo final : PacketEvents {
//     bool on_packet(PacketStream& stream, const framing::PacketView& packet) override {
//       Result<std::string> text = stream.decode<std::string>(packet);
//       if (!text || !stream.send_value(packet.header, framing::kCodecString, *text)) stream.abort("no echo");
//       return true;
//     }
//     void on_writable(PacketStream&) override {}
//     void on_read_end(PacketStream& stream) override { stream.close("the peer left", std::chrono::seconds(5)); }
//     void on_closed(PacketStream& stream, const CloseReason&) override { streams.erase(&stream); }
//     std::map<PacketStream*, std::shared_ptr<PacketStream>> streams;
//   };
//
// Reading: each whole packet is shown once, in order; its views live until on_packet() returns, its body until the next
// decode. Writing: packets are encoded into one chain, which goes to the stream at the end of the turn. In steady state
// neither allocates.
//
// Errors: a packet that cannot be read ends the stream, at once, with the protocol's error (`malformed`, `too_large`):
// a byte stream cannot resynchronise. So does a stream that ends inside a packet (spec/teleport 14 item 1: never shown
// as a packet). A body that cannot be decoded is an error of decode() only, and a packet that cannot be sent one of
// send(). What codecs, protocols and on_packet() throw becomes `internal`.
//
// Bounds: incoming packets by PacketStreamOptions::limits, output by output_bytes_max.
//
// Threads: everything on the loop of the stream, except id(), store() and loop(), and dropping a handle, which are for
// any thread: `stream->loop().post([stream] { stream->abort("kicked"); })`.
//
// Lifetime: dropping the last handle on the loop aborts without callbacks, also from inside a callback; on another
// thread it does so a little later. The loop outlives the stream; environment and events outlive all that it does on
// the loop until it is dropped, which touches neither.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "wayport/base/chain.h"
#include "wayport/base/counters.h"
#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/packet.h"
#include "wayport/framing/packet_reader.h"
#include "wayport/framing/protocol.h"
#include "wayport/rpc/session_store.h"
#include "wayport/transport/drop_watch.h"
#include "wayport/transport/stream.h"

namespace wayport::rpc {

// Of all packet streams of one loop. Read from any thread.
struct PacketCounters {
  Counter packets_read;
  Counter packets_written;
  Counter bytes_read;     // of whole packets, and what was collected of unfinished ones
  Counter bytes_written;  // encoded
  Counter read_errors;    // streams that ended because of what they read
  Counter sends_refused;  // output_bytes_max was reached
};

// What the packet streams of one loop share; outlives them. `codecs` outlives it.
struct PacketEnvironment {
  explicit PacketEnvironment(const framing::CodecRegistry& codecs) : context{.codecs = codecs} {}

  framing::ProtocolContext context;
  PacketCounters counters;
};

struct PacketStreamOptions {
  // What to do while the output is above the stream's high water mark (StreamOptions::high_water_bytes).
  enum class WhenFull : std::uint8_t {
    keep_reading,  // the application watches full() and on_writable()
    stop_reading,  // for those who only answer: a peer that takes no answers is not read. Two ends that both do it and
                   // both send unasked can wait for each other for ever.
  };

  const framing::Protocol* protocol = nullptr;  // null: Teleport's. Outlives the stream.
  framing::ReadLimits limits{};                 // 64 MiB each
  // Encoded and not yet given to the kernel. More is refused (`overloaded`). StreamOptions::queue_bytes_max, where the
  // whole stream closes, should be larger. Zero: unlimited.
  std::size_t output_bytes_max = 64u << 20;
  WhenFull when_full = WhenFull::keep_reading;
  std::uint8_t header_codec = framing::kCodecJson;  // of send_value() and send_empty()
  std::string id{};                                 // empty: the peer's address, "tcp://10.0.0.1:50112"
};

class PacketStream;

// The consumer of one packet stream or of many. Calls come on the loop, never from inside a call to the stream. Only
// on_packet() may throw; the stream then closes with `internal`.
class PacketEvents {
 public:
  // False stops reading after this packet, until read(true).
  virtual bool on_packet(PacketStream& stream, const framing::PacketView& packet) = 0;
  virtual void on_writable(PacketStream& stream) = 0;  // full() was true and is not any more
  // The peer's end, between two packets; sending still works. When our end was sent, too, the stream closes by itself.
  virtual void on_read_end(PacketStream& stream) = 0;
  // Exactly once, last.
  virtual void on_closed(PacketStream& stream, const CloseReason& reason) = 0;

 protected:
  ~PacketEvents() = default;
};

class PacketStream final : private transport::StreamEvents, private TurnEnd, private transport::DropWatched {
 public:
  // Starts `stream`, which nobody has started. On its loop.
  static std::shared_ptr<PacketStream> create(std::unique_ptr<transport::Stream> stream, PacketEnvironment& environment,
                                              PacketEvents& events, PacketStreamOptions options = {});
  PacketStream(const PacketStream&) = delete;
  PacketStream& operator=(const PacketStream&) = delete;

  // --- sending ---
  // Encodes now, leaves at the end of the turn. On an error nothing is sent: `overloaded` (output_bytes_max: wait for
  // on_writable()), `too_large` (the packet alone is more than that), `local_closed` and `peer_closed`, and what the
  // protocol and the codec say.
  Result<void> send(const framing::OutgoingPacket& packet);
  // `value` encoded by the codec with that id. A RawBody brings its own id; NoBody is no body. `unsupported`: unknown
  // id, or the codec cannot carry T.
  template <framing::SendableBody T>
  Result<void> send_value(const framing::PacketHeader& header, std::uint8_t codec_id, const T& value);
  Result<void> send_empty(const framing::PacketHeader& header);
  bool full() const noexcept { return full_; }  // above high water
  std::size_t queued() const noexcept { return output_.size() + stream_->queued(); }
  // Sends the end of the stream after what was sent before. Reading goes on.
  void shutdown_write();

  // --- receiving ---
  // The body; an absent or empty one leaves the value as it is (spec/teleport 5). Errors: `unsupported` (no such
  // codec, or not for T), `malformed`, `too_large` (limits.inflated_bytes_max).
  template <framing::ReceivableBody T>
  Result<void> decode_to(const framing::PacketView& packet, T& value) {
    return decode_body(packet, {&framing::body_ops<T>(), &value});
  }
  template <framing::ReceivableBody T>
  Result<T> decode(const framing::PacketView& packet) {
    T value{};
    WAYPORT_TRY(decode_to(packet, value));
    return value;
  }
  Result<void> decode_body(const framing::PacketView& packet, const framing::BodyTarget& target);
  // False pauses: the kernel's window closes and the peer waits.
  void read(bool on);

  // --- the end ---
  // on_closed() follows. What was sent is drained for at most `linger`; zero drops it. Sending is refused from here on,
  // and nothing more is read. A later call can only shorten.
  void close(CloseReason reason, transport::Linger linger = {});
  void close(std::string detail, Duration linger = Duration::zero()) {
    close(CloseReason::local(ErrorCode::local_closed, std::move(detail)), {linger});
  }
  void abort(std::string detail) { close(std::move(detail)); }
  bool open() const noexcept { return !closing_; }  // false from close() or on_closed() on
  const std::optional<CloseReason>& close_reason() const noexcept { return reason_; }  // once on_closed() has come

  // --- about it ---
  std::string id() const;  // any thread
  // Any thread. A stream in a hub is renamed by PacketHub::rename() instead.
  void set_id(std::string id);
  SessionStore& store() noexcept { return store_; }  // any thread
  Loop& loop() const noexcept { return loop_; }      // any thread
  const transport::PeerInfo& peer() const noexcept { return stream_->peer(); }
  const PacketStreamOptions& options() const noexcept { return options_; }

 private:
  struct Deleter;

  PacketStream(std::unique_ptr<transport::Stream> stream, PacketEnvironment& environment, PacketEvents& events,
               PacketStreamOptions options);
  ~PacketStream() = default;

  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override;
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;
  void on_turn_end() override { flush(); }

  void flush();
  void update_reading();
  void read_error(Error error);
  std::unexpected<Error> refuse_ended() const;
  std::unexpected<Error> refuse_output(std::size_t packet_bytes);

  PacketEnvironment& environment_;
  PacketEvents& events_;
  Loop& loop_;
  PacketStreamOptions options_;  // without the id
  const framing::Protocol& protocol_;
  const std::unique_ptr<transport::Stream> stream_;

  framing::PacketReader reader_;
  Chain output_;
  std::size_t queued_seen_ = 0;  // stream_->queued() when it was last asked; since then it can only have shrunk
  std::size_t unfinished_ = 0;   // bytes of an unfinished packet that the stream holds for us
  bool reading_wanted_ = true;
  bool reading_ = true;  // as the stream was told
  bool full_ = false;
  bool write_ended_ = false;
  bool closing_ = false;
  bool closed_ = false;
  std::optional<CloseReason> reason_;

  SessionStore store_;
  mutable std::mutex id_mutex_;
  std::string id_;
};

template <framing::SendableBody T>
Result<void> PacketStream::send_value(const framing::PacketHeader& header, std::uint8_t codec_id, const T& value) {
  framing::OutgoingPacket packet{.header = header, .header_codec = options_.header_codec, .body = {}};
  if constexpr (std::same_as<T, framing::RawBody>) {
    packet.body.form =
        value.codec_id == 0 ? framing::OutgoingBody::Form::verbatim : framing::OutgoingBody::Form::encoded;
    packet.body.codec_id = value.codec_id;
    packet.body.bytes = as_bytes(value.bytes);
  } else if constexpr (!framing::kIsNoBody<T>) {
    packet.body.form = framing::OutgoingBody::Form::value;
    packet.body.codec = environment_.context.codecs.find(codec_id);
    if (packet.body.codec == nullptr) {
      return fail(ErrorCode::unsupported, "no body codec with id " + std::to_string(codec_id) + " is registered");
    }
    packet.body.value = {&framing::body_ops<T>(), &value};
  }
  return send(packet);
}

}  // namespace wayport::rpc
