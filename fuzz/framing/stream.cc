#include "wayport/fuzz/framing/stream.h"

#include <algorithm>

#include "wayport/framing/codec_registry.h"
#include "wayport/framing/packet_reader.h"

namespace wayport::framing::fuzzing {
namespace {

constexpr std::size_t kPushesMax = 500;

}  // namespace

PacketCopy copy_of(const PacketView& packet) {
  const PacketHeader& header = packet.header;
  WAYPORT_ASSERT(packet.has_body_codec == !packet.body_with_codec.empty(), "a codec id is a byte");
  WAYPORT_ASSERT(packet.body.size() + (packet.has_body_codec ? 1 : 0) == packet.body_with_codec.size(), "id and body");
  return {header.seq,
          header.type,
          header.gzip,
          header.status_code,
          std::string(header.uri),
          std::string(header.status),
          packet.header_codec,
          packet.has_body_codec,
          packet.body_codec,
          std::string(as_text(packet.body)),
          packet.size};
}

OutgoingPacket passed_on(const PacketView& packet) {
  OutgoingPacket out{packet.header, packet.header_codec, {}};
  if (packet.has_body_codec) out.body = {.form = OutgoingBody::Form::verbatim, .bytes = packet.body_with_codec};
  return out;
}

StreamResult read_stream(Bytes stream, Bytes steps, const Protocol& protocol, std::size_t packet_bytes_max) {
  static const CodecRegistry codecs;
  ProtocolContext context{codecs};
  context.limits.packet_bytes_max = packet_bytes_max;
  PacketReader reader;
  StreamResult result;
  const std::size_t stream_size = stream.size();
  std::vector<std::byte> shown;
  std::size_t step_index = 0;
  while (!stream.empty()) {
    std::size_t step = stream.size();
    if (!steps.empty()) {
      step = static_cast<std::size_t>(steps[step_index++ % steps.size()]);
      if (step == 0) step = 256;
      step = std::max(step, stream_size / kPushesMax);  // what is shown again and again adds up
    }
    const Bytes piece = stream.first(std::min(step, stream.size()));
    stream = stream.subspan(piece.size());
    shown.insert(shown.end(), piece.begin(), piece.end());
    shown.shrink_to_fit();
    const std::size_t held_before = reader.buffered();
    std::size_t packet_bytes = 0;
    const Result<std::size_t> consumed = reader.read(shown, protocol, context, [&](const PacketView& packet) {
      result.packets.push_back(copy_of(packet));
      packet_bytes += packet.size;
      return true;
    });
    if (!consumed) {
      WAYPORT_ASSERT(!consumed.error().detail.empty(), "an error says what is wrong");
      WAYPORT_ASSERT(consumed.error().code != ErrorCode::internal, "the protocol counts right");
      result.error = consumed.error().code;
      return result;
    }
    WAYPORT_ASSERT(*consumed <= shown.size(), "no more than was shown");
    WAYPORT_ASSERT(held_before + *consumed == packet_bytes + reader.buffered(), "every byte is in one place");
    shown.erase(shown.begin(), shown.begin() + static_cast<std::ptrdiff_t>(*consumed));
    WAYPORT_ASSERT(shown.size() < PacketReader::kInPlaceBytesMax, "only small rests stay with the stream");
    const std::size_t held = reader.buffered() + shown.size();
    WAYPORT_ASSERT(packet_bytes_max == 0 || held < packet_bytes_max + 4, "the limit bounds what is held");
    WAYPORT_ASSERT(reader.capacity() <= std::max<std::size_t>(2 * reader.buffered(), 256),
                   "memory follows what arrived");
  }
  result.unfinished = reader.buffered() + shown.size();
  return result;
}

}  // namespace wayport::framing::fuzzing
