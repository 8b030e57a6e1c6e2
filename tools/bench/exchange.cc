#include "wayport/tools/bench/exchange.h"

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/codec.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/protocol.h"
#include "wayport/framing/teleport/protocol.h"

namespace wayport::tools {
namespace {

constexpr std::uint64_t kThreeByteSeq = 1 << 20;
constexpr std::int32_t kStatusOk = 200;

std::size_t encoded_bytes(framing::OutgoingPacket packet, const std::string& body, std::uint8_t codec_id) {
  packet.body.form = framing::OutgoingBody::Form::encoded;
  packet.body.codec_id = codec_id;
  packet.body.bytes = as_bytes(body);
  const framing::CodecRegistry codecs;
  framing::ProtocolContext context{.codecs = codecs};
  Chain chain;
  const Result<void> encoded = framing::teleport_protocol().encode(packet, context, chain);
  WAYPORT_ASSERT(encoded.has_value(), "a packet of the benchmark cannot be encoded");
  return chain.size();
}

}  // namespace

framing::RawBody Exchange::raw_request() const { return {framing::kCodecString, std::string(body_bytes, 'w')}; }

void Exchange::number_raw(framing::RawBody& body, std::uint64_t number) noexcept {
  store_be(reinterpret_cast<std::byte*>(body.bytes.data()), number);
}

std::uint64_t Exchange::raw_number(Bytes body) const noexcept {
  return body.size() == body_bytes ? load_be<std::uint64_t>(body.data()) : 0;
}

Sum Exchange::add(const Sum& request) {
  Sum reply;
  reply.set_a(request.a() + request.b());
  reply.set_b(request.b());
  return reply;
}

std::size_t Exchange::request_bytes() const {
  const framing::OutgoingPacket packet = pull_packet(*this, kThreeByteSeq);
  if (kind == BodyKind::raw) return encoded_bytes(packet, raw_request().bytes, framing::kCodecString);
  Sum sum;
  number_sum(sum, 1);
  return encoded_bytes(packet, sum.SerializeAsString(), framing::kCodecProtobuf);
}

std::size_t Exchange::reply_bytes() const {
  const framing::OutgoingPacket packet = reply_packet(pull_packet(*this, kThreeByteSeq).header);
  if (kind == BodyKind::raw) return encoded_bytes(packet, raw_request().bytes, framing::kCodecString);
  Sum sum;
  number_sum(sum, 1);
  return encoded_bytes(packet, add(sum).SerializeAsString(), framing::kCodecProtobuf);
}

framing::OutgoingPacket pull_packet(const Exchange& exchange, std::uint64_t seq) noexcept {
  framing::OutgoingPacket packet;
  packet.header.seq = seq;
  packet.header.type = framing::kTypePull;
  packet.header.uri = exchange.uri();
  packet.header_codec = framing::kCodecProtobuf;
  return packet;
}

framing::OutgoingPacket reply_packet(const framing::PacketHeader& request) noexcept {
  framing::OutgoingPacket packet;
  packet.header.seq = request.seq;
  packet.header.type = framing::kTypeReply;
  packet.header.uri = request.uri;
  packet.header.status_code = kStatusOk;
  packet.header.status = "OK";
  packet.header_codec = framing::kCodecProtobuf;
  return packet;
}

}  // namespace wayport::tools
