#include "wayport/framing/teleport/protocol.h"

#include <cstring>
#include <limits>

#include "wayport/framing/error_text.h"
#include "wayport/framing/teleport/header_json.h"
#include "wayport/framing/teleport/header_protobuf.h"

namespace wayport::framing {
namespace {

constinit const TeleportProtocol kProtocol{};

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kLengthMax = std::numeric_limits<std::uint32_t>::max();
// A finished body up to this size goes into the same piece as its header.
constexpr std::size_t kJoinBytesMax = 1024;

[[gnu::cold]] std::unexpected<Error> empty_header() {
  return fail(ErrorCode::malformed, "teleport: header length 0, it is at least 1");
}
[[gnu::cold]] std::unexpected<Error> unknown_header_codec(std::uint8_t id) {
  return fail(ErrorCode::unsupported,
              "teleport: header codec id " + codec_id_text(id) + ", known are 'j' (json) and 'p' (protobuf)");
}
[[gnu::cold]] std::unexpected<Error> header_too_large(std::uint64_t header_length, std::uint64_t limit) {
  return fail(ErrorCode::too_large, "teleport: header length " + std::to_string(header_length) +
                                        " + 4 is over the limit " + std::to_string(limit) + " (packet_bytes_max)");
}
[[gnu::cold]] std::unexpected<Error> packet_too_large(std::uint64_t header_length, std::uint64_t body_length,
                                                      std::uint64_t limit) {
  return fail(ErrorCode::too_large, "teleport: header length " + std::to_string(header_length) + " + body length " +
                                        std::to_string(body_length) + " + 8 is over the limit " +
                                        std::to_string(limit) + " (packet_bytes_max)");
}

Result<void> read_header(std::uint8_t codec, Bytes from, std::string& text, PacketHeader& header) {
  return codec == kCodecProtobuf ? read_header_protobuf(from, header) : read_header_json(as_text(from), text, header);
}

bool has_codec_id(OutgoingBody::Form form) noexcept {
  return form != OutgoingBody::Form::none && form != OutgoingBody::Form::verbatim;
}

// Appends the value, compressed or not.
Result<void> encode_value(const OutgoingBody& body, std::int32_t gzip, ProtocolContext& context, Chain& to) {
  if (body.codec == nullptr) return fail(ErrorCode::invalid_argument, "teleport: a value needs a codec");
  if (gzip == 0) return body.codec->encode(body.value, to);
  Chain plain;
  WAYPORT_TRY(body.codec->encode(body.value, plain));
  return context.deflater.compress(plain, gzip, to);
}

}  // namespace

Result<std::size_t> TeleportProtocol::decode(Bytes in, ProtocolContext& context, DecodeState& state,
                                             PacketView& packet) const {
  const auto wait_for = [&state](std::size_t size) -> std::size_t {
    state.bytes_wanted = size;
    return 0;
  };
  if (in.size() < kLengthBytes) return wait_for(kLengthBytes);
  const std::uint64_t header_length = load_be<std::uint32_t>(in.data());
  if (header_length == 0) return empty_header();
  const std::uint64_t limit = context.limits.packet_bytes_max;
  if (limit != 0 && header_length + kLengthBytes > limit) return header_too_large(header_length, limit);

  if (in.size() == kLengthBytes) return wait_for(kLengthBytes + 1);
  const auto header_codec = static_cast<std::uint8_t>(in[kLengthBytes]);
  if (header_codec != kCodecProtobuf && header_codec != kCodecJson) return unknown_header_codec(header_codec);

  const std::size_t body_at = kLengthBytes + header_length + kLengthBytes;
  if (in.size() < body_at) return wait_for(body_at);
  const std::uint64_t body_length = load_be<std::uint32_t>(in.data() + kLengthBytes + header_length);
  const std::uint64_t size = body_at + body_length;
  if (limit != 0 && body_length != 0 && size > limit) return packet_too_large(header_length, body_length, limit);

  // Before the body is there, too: a bad header should not have to wait for it.
  WAYPORT_TRY(read_header(header_codec, in.subspan(kLengthBytes + 1, header_length - 1), context.text, packet.header));
  if (in.size() < size) return wait_for(size);

  packet.header_codec = header_codec;
  packet.has_body_codec = body_length != 0;
  packet.body_codec = body_length != 0 ? static_cast<std::uint8_t>(in[body_at]) : 0;
  packet.body_with_codec = in.subspan(body_at, body_length);
  packet.body = body_length != 0 ? packet.body_with_codec.subspan(1) : Bytes();
  packet.size = size;
  return size;
}

Result<void> TeleportProtocol::encode(const OutgoingPacket& packet, ProtocolContext& context, Chain& to) const {
  const PacketHeader& header = packet.header;
  const OutgoingBody& body = packet.body;
  std::size_t header_size_max;
  if (packet.header_codec == kCodecProtobuf) {
    header_size_max = header_protobuf_size(header);
  } else if (packet.header_codec == kCodecJson) {
    header_size_max = header_json_size_max(header);
  } else {
    return unknown_header_codec(packet.header_codec);
  }
  if (header_size_max >= kLengthMax) {
    return fail(ErrorCode::too_large, "teleport: a header of " + std::to_string(header_size_max) + " bytes");
  }

  const bool is_finished =
      body.form == OutgoingBody::Form::verbatim || (body.form == OutgoingBody::Form::encoded && header.gzip == 0);
  const std::size_t joined = is_finished && body.bytes.size() <= kJoinBytesMax ? body.bytes.size() : 0;
  const std::uint8_t codec_id = body.codec != nullptr ? body.codec->id() : body.codec_id;
  if (has_codec_id(body.form) && codec_id == 0) {
    return fail(ErrorCode::invalid_argument, "teleport: body codec id 0 means \"no codec\"");
  }
  const std::size_t start = to.size();

  // Lengths, header, codec id and a small finished body in one piece.
  const MutableBytes room = to.prepare(kLengthBytes + 1 + header_size_max + kLengthBytes + 1 + joined);
  std::byte* const header_at = room.data() + kLengthBytes;
  header_at[0] = static_cast<std::byte>(packet.header_codec);
  std::byte* const body_length_at =
      packet.header_codec == kCodecProtobuf
          ? write_header_protobuf(header_at + 1, header)
          : reinterpret_cast<std::byte*>(write_header_json(reinterpret_cast<char*>(header_at + 1), header));
  store_be<std::uint32_t>(room.data(), static_cast<std::uint32_t>(body_length_at - header_at));
  std::byte* end = body_length_at + kLengthBytes;
  if (has_codec_id(body.form)) *end++ = static_cast<std::byte>(codec_id);
  if (joined != 0) {
    std::memcpy(end, body.bytes.data(), joined);
    end += joined;
  }
  to.commit(static_cast<std::size_t>(end - room.data()));
  const std::size_t body_start = start + static_cast<std::size_t>(body_length_at + kLengthBytes - room.data());

  Result<void> encoded;
  if (body.form == OutgoingBody::Form::value) {
    encoded = encode_value(body, header.gzip, context, to);
  } else if (body.form == OutgoingBody::Form::encoded && header.gzip != 0) {
    encoded = context.deflater.compress(body.bytes, header.gzip, to);
  } else if (is_finished && joined == 0) {
    to.append(body.bytes);
  }
  const std::size_t body_length = to.size() - body_start;
  if (encoded && body_length > kLengthMax) {
    encoded = fail(ErrorCode::too_large, "teleport: a body of " + std::to_string(body_length) + " bytes");
  }
  if (!encoded) {
    to.truncate(start);
    return encoded;
  }
  store_be<std::uint32_t>(body_length_at, static_cast<std::uint32_t>(body_length));
  return {};
}

const TeleportProtocol& teleport_protocol() noexcept { return kProtocol; }

}  // namespace wayport::framing
