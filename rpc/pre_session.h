// PreSession: a connection before its session exists, as post_dial and post_accept hooks see it (plugin.h). Packets of
// the connection's wire format go out and come in raw: their seq, type, uri and status are the hook's business
// (spec/teleport 9).
//
//   asio::awaitable<Status> post_accept(PreSession& session) override {
//     Result<PreSession::Packet> hello = co_await session.receive();
//     if (!hello) co_return Status::make(code::kUnauthorized, hello.error().detail);
//     ...
//     session.set_id(user);
//     co_return Status();
//   }
//
// On the connection's loop. All of it is over after PeerOptions::handshake_timeout; then receive() fails with
// `timed_out`. A packet may be as large as PeerOptions::handshake_bytes_max, inflated, too.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "wayport/base/co.h"
#include "wayport/base/loop.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/packet_reader.h"
#include "wayport/rpc/options.h"
#include "wayport/rpc/session_store.h"
#include "wayport/transport/stream.h"

namespace wayport::rpc {

class PreSession final : private transport::StreamEvents, private Timer {
 public:
  // A packet that owns what it shows.
  struct Packet {
    std::uint64_t seq = 0;
    std::int32_t type = 0;
    std::string uri;
    std::int32_t gzip = 0;
    std::int32_t status_code = 0;
    std::string status;
    std::uint8_t header_codec = 0;
    std::string body_with_codec;  // empty: none. Compressed if `gzip` is not 0.
    framing::PacketView view() const;
  };

  // Used by Peer. `fresh`: nobody has started the stream. `options` and `context` outlive it.
  PreSession(std::unique_ptr<transport::Stream> stream, bool dialled, std::shared_ptr<const SessionOptions> options,
             framing::ProtocolContext& context, std::size_t packet_bytes_max, Duration timeout);
  ~PreSession();

  bool dialled() const noexcept { return dialled_; }
  const transport::PeerInfo& peer() const noexcept { return stream_->peer(); }
  Loop& loop() const noexcept { return loop_; }
  const SessionOptions& options() const noexcept { return *options_; }
  // Becomes the session's.
  SessionStore& store() noexcept { return store_; }
  // Becomes the session's, and closes the session that has it (spec/teleport 9). Empty: the default id.
  void set_id(std::string id) { id_ = std::move(id); }
  const std::string& id() const noexcept { return id_; }

  // Queued; leaves at the end of the turn.
  Result<void> send(const framing::OutgoingPacket& packet);
  // `value` with the codec of that id. Uri, seq and so on are those of `header`.
  template <framing::SendableBody T>
  Result<void> send_value(const framing::PacketHeader& header, std::uint8_t codec_id, const T& value) {
    framing::OutgoingPacket packet{.header = header, .header_codec = options_->header_codec, .body = {}};
    packet.body.form = framing::OutgoingBody::Form::value;
    packet.body.codec = context_.codecs.find(codec_id);
    if (!packet.body.codec) return fail(ErrorCode::unsupported, "no body codec has the id " + std::to_string(codec_id));
    packet.body.value = {&framing::body_ops<T>(), &value};
    return send(packet);
  }
  // The next packet. Errors: what is wrong with it, `timed_out`, or why the connection ended. One at a time.
  boost::asio::awaitable<Result<Packet>> receive();
  template <framing::ReceivableBody T>
  Result<T> decode(const Packet& packet) {
    T value{};
    WAYPORT_TRY(decode_body(packet, {&framing::body_ops<T>(), &value}));
    return value;
  }

  // --- Peer's ---
  // The stream, with every byte that was not received; nullptr once it has closed. Reading is off.
  std::unique_ptr<transport::Stream> release();
  // Why there is no stream any more.
  const Error& failure() const noexcept { return failure_; }
  // It may take so long from now, not more.
  void hurry(Duration most);
  // Ends the connection: receive() fails with `why`.
  void abort(Error why) { close(std::move(why)); }
  // Ends the connection and waits until it has closed; what was sent is drained for a second.
  boost::asio::awaitable<void> finish(Error why);

 private:
  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override {}
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;
  void on_timer() override;
  Result<void> decode_body(const Packet& packet, const framing::BodyTarget& target);
  void deliver(Result<Packet> outcome);
  void close(Error why);

  std::unique_ptr<transport::Stream> stream_;
  Loop& loop_;
  const bool dialled_;
  const std::shared_ptr<const SessionOptions> options_;
  const framing::Protocol& protocol_;
  framing::ProtocolContext& context_;
  framing::ReadLimits limits_;
  const Duration timeout_;
  TimePoint due_{};
  framing::PacketReader reader_;
  SessionStore store_;
  std::string id_;
  std::move_only_function<void(Result<Packet>)> waiting_;
  bool ended_ = false;  // nothing more can be received
  bool closed_ = false;
  Completion<bool> finished_;
  Error failure_;
};

}  // namespace wayport::rpc
