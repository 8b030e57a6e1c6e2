// A packet is read if, and only if, it is within the limit; a refused one gives no packet, and nor does what is inside
// it.
//
// Input: u8 protocol and header codec, u8 gap between limit and packet (signed), u16 length of the uri, u16 length of
// the body, u8 count of steps, the steps. The packet's text is itself made of whole packets.
#include <string>

#include "wayport/base/chain.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/jsonl/protocol.h"
#include "wayport/framing/teleport/protocol.h"
#include "wayport/fuzz/framing/stream.h"

namespace wayport::framing::fuzzing {
namespace {

const CodecRegistry& codecs() {
  static const CodecRegistry registry;
  return registry;
}

std::string encoded(const Protocol& protocol, const OutgoingPacket& packet) {
  ProtocolContext context{codecs()};
  Chain chain;
  WAYPORT_ASSERT(protocol.encode(packet, context, chain).has_value(), "a plain packet can be written");
  return chain.to_string();
}

// `size` characters of small packets, one after the other: what smuggling would hide.
std::string packets_of(std::size_t size) {
  const std::string one = encoded(teleport_protocol(), {{.type = kTypePull, .uri = "/x"}, 'p', {}});
  std::string text;
  while (text.size() < size) text += one;
  text.resize(size);
  return text;
}

}  // namespace
}  // namespace wayport::framing::fuzzing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::framing;
  using namespace wayport::framing::fuzzing;
  Input input(data, size);
  const std::uint8_t kind = input.u8();
  const int gap = static_cast<std::int8_t>(input.u8());
  const std::string uri = packets_of(input.u16());
  const std::string body = packets_of(input.u16());
  const wayport::Bytes steps = input.take(input.u8());

  const bool is_teleport = kind % 3 != 2;
  const Protocol& protocol = is_teleport ? static_cast<const Protocol&>(teleport_protocol()) : jsonl_protocol();
  OutgoingPacket packet{
      {.seq = 1, .type = kTypePull, .uri = uri}, static_cast<std::uint8_t>(kind % 3 == 0 ? 'p' : 'j'), {}};
  if (!body.empty())
    packet.body = {.form = OutgoingBody::Form::encoded, .bytes = wayport::as_bytes(body), .codec_id = 's'};
  const std::string bytes = encoded(protocol, packet);

  // Without a body Teleport counts the header's own bytes and 4 (spec/teleport 8).
  const std::size_t counted = is_teleport && body.empty() ? bytes.size() - 4 : bytes.size();
  const long long limit = static_cast<long long>(counted) + gap;
  if (limit <= 0) return 0;
  const StreamResult result = read_stream(wayport::as_bytes(bytes), steps, protocol, static_cast<std::size_t>(limit));
  if (gap >= 0) {
    WAYPORT_ASSERT(!result.error && result.unfinished == 0, "within the limit it is read");
    WAYPORT_ASSERT(result.packets.size() == 1, "as one packet");
    WAYPORT_ASSERT(result.packets[0].body == body, "and whole");
  } else {
    WAYPORT_ASSERT(result.error == wayport::ErrorCode::too_large, "one byte over the limit it is refused");
    WAYPORT_ASSERT(result.packets.empty(), "and nothing of it is read as a packet");
  }
  return 0;
}
