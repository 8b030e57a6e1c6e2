#include "wayport/rpc/pre_session.h"

#include <utility>

#include "wayport/framing/teleport/protocol.h"

namespace wayport::rpc {
namespace {

constexpr Duration kLinger = std::chrono::seconds(1);

}  // namespace

framing::PacketView PreSession::Packet::view() const {
  framing::PacketView view;
  view.header = {seq, type, uri, gzip, status_code, status};
  view.header_codec = header_codec;
  view.has_body_codec = !body_with_codec.empty();
  view.body_with_codec = as_bytes(body_with_codec);
  if (view.has_body_codec) {
    view.body_codec = static_cast<std::uint8_t>(body_with_codec.front());
    view.body = view.body_with_codec.subspan(1);
  }
  return view;
}

PreSession::PreSession(std::unique_ptr<transport::Stream> stream, bool dialled,
                       std::shared_ptr<const SessionOptions> options, framing::ProtocolContext& context,
                       std::size_t packet_bytes_max, Duration timeout)
    : stream_(std::move(stream)),
      loop_(stream_->loop()),
      dialled_(dialled),
      options_(std::move(options)),
      protocol_(options_->protocol ? *options_->protocol : framing::teleport_protocol()),
      context_(context),
      limits_{packet_bytes_max, packet_bytes_max},
      timeout_(timeout) {
  stream_->start(*this);
  stream_->read(false);
  due_ = after(loop_.now(), timeout);
  loop_.arm(*this, due_);
}

PreSession::~PreSession() = default;

Result<void> PreSession::send(const framing::OutgoingPacket& packet) {
  if (closed_) return fail(failure_);
  Chain bytes;
  WAYPORT_TRY(protocol_.encode(packet, context_, bytes));
  stream_->write(std::move(bytes));
  return {};
}

boost::asio::awaitable<Result<PreSession::Packet>> PreSession::receive() {
  if (ended_) co_return fail(failure_);
  Result<Packet> packet = co_await async_callback<Packet>([this](Completion<Packet> done) {
    waiting_ = [done = std::move(done)](Result<Packet> outcome) mutable { done(std::move(outcome)); };
    stream_->read(true);
  });
  waiting_ = nullptr;
  co_return packet;
}

Result<void> PreSession::decode_body(const Packet& packet, const framing::BodyTarget& target) {
  context_.limits = limits_;
  return framing::decode_body(packet.view(), context_, target);
}

void PreSession::deliver(Result<Packet> outcome) {
  if (!waiting_) return;
  // Posted: the coroutine goes on there, and may destroy this object and the stream whose callback this is.
  loop_.post([waiting = std::exchange(waiting_, nullptr), outcome = std::move(outcome)]() mutable {
    waiting(std::move(outcome));
  });
}

std::size_t PreSession::on_bytes(MutableBytes bytes, bool) {
  if (!waiting_) return 0;
  context_.limits = limits_;
  std::optional<Packet> packet;
  const Result<std::size_t> consumed =
      reader_.read(bytes, protocol_, context_, [&packet](const framing::PacketView& view) {
        packet = Packet{view.header.seq,
                        view.header.type,
                        std::string(view.header.uri),
                        view.header.gzip,
                        view.header.status_code,
                        std::string(view.header.status),
                        view.header_codec,
                        std::string(as_text(view.body_with_codec))};
        return false;
      });
  if (!consumed) {
    failure_ = consumed.error();
    ended_ = true;
    deliver(fail(failure_));
    return bytes.size();
  }
  if (packet) {
    stream_->read(false);
    deliver(*std::move(packet));
  }
  return *consumed;
}

void PreSession::on_read_end() {
  ended_ = true;
  failure_ = {ErrorCode::peer_closed, "the peer ended the stream during the handshake", {}};
  deliver(fail(failure_));
}

void PreSession::on_closed(const CloseReason& reason) {
  closed_ = true;
  ended_ = true;
  if (failure_.detail.empty()) failure_ = reason.error;
  deliver(fail(failure_));
  if (finished_) loop_.post([finished = std::move(finished_)]() mutable { finished(true); });
}

void PreSession::hurry(Duration most) {
  const TimePoint due = after(loop_.now(), most);
  if (closed_ || due >= due_) return;
  due_ = due;
  loop_.arm(*this, due_);
}

void PreSession::on_timer() {
  close({ErrorCode::timed_out, "the handshake was not over within handshake_timeout " + format_duration(timeout_), {}});
}

void PreSession::close(Error why) {
  if (closed_) return;
  ended_ = true;
  failure_ = why;
  stream_->close({CloseReason::By::local, std::move(why)}, {kLinger});
  deliver(fail(failure_));
}

boost::asio::awaitable<void> PreSession::finish(Error why) {
  close(std::move(why));
  if (closed_) co_return;
  static_cast<void>(co_await async_callback<bool>([this](Completion<bool> done) { finished_ = std::move(done); }));
}

std::unique_ptr<transport::Stream> PreSession::release() {
  unlink();
  if (closed_ || ended_) return nullptr;
  return std::move(stream_);
}

}  // namespace wayport::rpc
