// Lines of JSON: any split gives the same packets and verdict; what was read can be passed on and read again.
//
// Input: u16 limit (0: none), u8 count of steps, the steps, the stream.
#include "wayport/base/chain.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/jsonl/protocol.h"
#include "wayport/fuzz/framing/stream.h"

namespace wayport::framing::fuzzing {
namespace {

void check_round_trip(Bytes stream) {
  static const CodecRegistry codecs;
  ProtocolContext context{codecs};
  ProtocolContext other{codecs};
  while (!stream.empty()) {
    DecodeState state;
    PacketView packet;
    const Result<std::size_t> taken = jsonl_protocol().decode(stream, context, state, packet);
    if (!taken || *taken == 0) return;
    PacketCopy before = copy_of(packet);
    if (before.body.empty() && !before.has_body_codec) before.gzip = 0;  // says nothing without a body
    Chain chain;
    WAYPORT_ASSERT(jsonl_protocol().encode(passed_on(packet), context, chain).has_value(),
                   "what was read can be written");
    const std::string written = chain.to_string();
    DecodeState again;
    PacketView reread;
    const Result<std::size_t> retaken = jsonl_protocol().decode(as_bytes(written), other, again, reread);
    WAYPORT_ASSERT(retaken && *retaken == written.size(), "and read");
    PacketCopy after = copy_of(reread);
    after.size = before.size;
    WAYPORT_ASSERT(before.body.size() == after.body.size(), "and is as long");
    // A \r among the tokens of a JSON body has become a space.
    for (char& c : before.body) c = before.body_codec == 'j' && before.gzip == 0 && c == '\r' ? ' ' : c;
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
  const StreamResult whole = read_stream(input.rest(), {}, jsonl_protocol(), limit);
  if (!steps.empty()) {
    WAYPORT_ASSERT(read_stream(input.rest(), steps, jsonl_protocol(), limit) == whole, "split invariance");
  }
  check_round_trip(input.rest());
  return 0;
}
