// Any split of the same bytes gives the same packets and the same verdict; what was read can be passed on and read
// again.
//
// Input: u16 limit (0: none), u8 count of steps, the steps, the stream.
#include "wayport/base/chain.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/teleport/protocol.h"
#include "wayport/fuzz/framing/stream.h"

namespace wayport::framing::fuzzing {
namespace {

// The header of a packet, written and read again, is the same; so is the body.
void check_round_trip(Bytes stream) {
  static const CodecRegistry codecs;
  ProtocolContext context{codecs};
  ProtocolContext other{codecs};
  while (!stream.empty()) {
    DecodeState state;
    PacketView packet;
    const Result<std::size_t> taken = teleport_protocol().decode(stream, context, state, packet);
    if (!taken || *taken == 0) return;
    const PacketCopy before = copy_of(packet);
    Chain chain;
    WAYPORT_ASSERT(teleport_protocol().encode(passed_on(packet), context, chain).has_value(),
                   "what was read can be written");
    const std::string written = chain.to_string();
    DecodeState again;
    PacketView reread;
    const Result<std::size_t> retaken = teleport_protocol().decode(as_bytes(written), other, again, reread);
    WAYPORT_ASSERT(retaken && *retaken == written.size(), "and read");
    PacketCopy after = copy_of(reread);
    after.size = before.size;  // Ours is the shortest form, except that it escapes more in JSON.
    WAYPORT_ASSERT(before == after, "and is the same");
    stream = stream.subspan(*taken);
  }
}

}  // namespace
}  // namespace wayport::framing::fuzzing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::framing;
  using namespace wayport::framing::fuzzing;
  Input input(data, size);
  const std::size_t limit = input.u16();
  const wayport::Bytes steps = input.take(input.u8());
  const StreamResult whole = read_stream(input.rest(), {}, teleport_protocol(), limit);
  if (!steps.empty()) {
    WAYPORT_ASSERT(read_stream(input.rest(), steps, teleport_protocol(), limit) == whole, "split invariance");
  }
  check_round_trip(input.rest());
  return 0;
}
