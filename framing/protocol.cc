#include "wayport/framing/protocol.h"

#include "wayport/framing/error_text.h"

namespace wayport::framing {
namespace {

// More inflated bytes than this are given back as soon as they are decoded.
constexpr std::size_t kKeptBytesMax = 1u << 20;

}  // namespace

Result<void> decode_body(const PacketView& packet, ProtocolContext& context, const BodyTarget& target) {
  if (target.ops == nullptr) return {};
  if (target.ops->assign_raw != nullptr) {
    if (packet.has_body_codec) target.ops->assign_raw(target.object, packet.body_codec, packet.body);
    return {};
  }
  // Not even the codec id matters without a body, as v2.5 has it.
  if (packet.body.empty()) return {};
  const Codec* const codec = context.codecs.find(packet.body_codec);
  if (codec == nullptr) {
    return fail(ErrorCode::unsupported, "no body codec with id " + codec_id_text(packet.body_codec));
  }
  WAYPORT_TRY_ASSIGN(const Bytes plain, plain_body(packet, context));
  // A compressed nothing goes to the codec: a Go peer's defect 6 (spec/teleport 14) loses bodies that way, and what
  // is no JSON text must not look like a body that was never sent.
  Result<void> decoded = codec->decode(plain, target);
  if (!decoded)
    decoded.error().detail +=
        " (a body of " + std::to_string(plain.size()) + " bytes for " + type_name(target.ops->type) + ")";
  if (context.inflated.capacity() > kKeptBytesMax) std::string().swap(context.inflated);
  return decoded;
}

Result<Bytes> plain_body(const PacketView& packet, ProtocolContext& context) {
  if (packet.header.gzip == 0 || packet.body.empty()) return packet.body;
  WAYPORT_TRY(context.inflater.expand(packet.body, context.limits.inflated_bytes_max, context.inflated));
  return as_bytes(context.inflated);
}

}  // namespace wayport::framing
