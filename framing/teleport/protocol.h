// TeleportProtocol: the packets of Teleport v2.0 to v2.6 (spec/teleport 1, 2, 5, 8), the default of every session.
//
//     | HL: u32 be | header codec 'p' or 'j' | header: HL - 1 bytes | BL: u32 be | body codec | body: BL - 1 bytes |
//
// Stateless, one object for all threads. Decoding copies nothing: header strings are views of the input, unless JSON
// had to be unescaped. What the originals swallow is an error here, which ends the session: HL = 0, an unknown header
// codec, a header that does not decode, a length over the limit. So no byte of a refused header is ever read as a
// packet.
#pragma once

#include "wayport/framing/protocol.h"

namespace wayport::framing {

class TeleportProtocol final : public Protocol {
 public:
  std::string_view name() const noexcept override { return "teleport"; }
  // malformed, unsupported (header codec id), too_large (limits.packet_bytes_max): each as soon as its bytes are there.
  Result<std::size_t> decode(Bytes in, ProtocolContext& context, DecodeState& state, PacketView& packet) const override;
  // unsupported: header codec id; too_large: header or body beyond 32-bit lengths; and what the body's codec returns.
  Result<void> encode(const OutgoingPacket& packet, ProtocolContext& context, Chain& to) const override;
};

const TeleportProtocol& teleport_protocol() noexcept;

}  // namespace wayport::framing
