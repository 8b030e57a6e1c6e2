// Protocol: the wire format of packets, as a replaceable part (v2.5's ProtoFunc). Teleport's is the default
// (framing/teleport/protocol.h); users plug in others per listener, per dial, per wrapped stream, or for a runtime.
//
// A protocol is stateless: one object serves every session of every loop. What it needs per loop is lent in a
// ProtocolContext; what it needs per unfinished packet is in DecodeState.
#pragma once

#include <cstddef>
#include <string>

#include "wayport/base/chain.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/gzip.h"
#include "wayport/framing/packet.h"

namespace wayport::framing {

struct ReadLimits {
  // Teleport: length fields against this as spec/teleport 8 says. Zero: unlimited.
  std::size_t packet_bytes_max = 64u << 20;
  // A compressed body may become this large. Zero: unlimited.
  std::size_t inflated_bytes_max = 64u << 20;
};

// Shared by the sessions of one loop. Not thread-safe.
struct ProtocolContext {
  const CodecRegistry& codecs;
  ReadLimits limits{};
  Deflater deflater{};  // keeps its streams between packets
  Inflater inflater{};
  std::string text{};      // storage for header strings that had to be unescaped
  std::string inflated{};  // storage for an inflated body
};

// Zeroed before each packet; carried between calls while the packet is unfinished.
struct DecodeState {
  // Out: do not call again with fewer bytes than this. 0: any more bytes help.
  std::size_t bytes_wanted = 0;
  // For the protocol's own use: how much of the front was searched already.
  std::size_t scanned = 0;
};

class Protocol {
 public:
  virtual ~Protocol() = default;
  virtual std::string_view name() const noexcept = 0;

  // One packet from the front of `in`. Returns how many bytes it took; 0: not yet (state says how many are wanted). An
  // error ends the session: a byte stream cannot resynchronise. Limits are checked on the length fields, before the
  // bytes have arrived. Never reads past `in`, never keeps a pointer to it other than in `packet`.
  virtual Result<std::size_t> decode(Bytes in, ProtocolContext& context, DecodeState& state,
                                     PacketView& packet) const = 0;

  // Appends one packet. On an error nothing was appended.
  virtual Result<void> encode(const OutgoingPacket& packet, ProtocolContext& context, Chain& to) const = 0;

  // True if a reader of this format may meet end of stream now, with `unconsumed` bytes left, without an error.
  virtual bool may_end(Bytes unconsumed) const { return unconsumed.empty(); }
};

// Decodes the body of `packet` into `target`: inflates if needed, finds the codec by id, decodes. An absent or empty
// body leaves the target as it is, whatever the codec id (spec/teleport 5); a compressed nothing goes to the codec,
// as it is a body that was sent. A RawBody takes it as it is on the wire. The errors name the codec, the type, and the
// limit.
Result<void> decode_body(const PacketView& packet, ProtocolContext& context, const BodyTarget& target);
// Only the inflating: the body's plain bytes, valid until the next call on this context.
Result<Bytes> plain_body(const PacketView& packet, ProtocolContext& context);

}  // namespace wayport::framing
