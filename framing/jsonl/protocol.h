// JsonLinesProtocol: packets as lines of JSON, for tools, scripts and people with netcat; and the example of a protocol
// that users plug in.
//
//     {"seq":7,"type":"pull","uri":"/home/sum","codec":"json","body":[1,2]}
//     {"seq":7,"type":"reply","uri":"/home/sum","status_code":200,"status":"OK","codec":"json","body":3}
//     {"type":"push","uri":"/log","codec":"string","body":"aGVsbG8="}
//
// | key                | value | | seq                | 0 to 2^64 - 1 | | type               | "pull", "reply", "push",
// or a number                                                           | | uri, status        | strings | |
// status_code        | int32                                                                                          |
// | codec              | name of a registered codec, or an id from 1 to 255; without it, and with a body: "json" | |
// body               | the JSON value itself if the codec is json, else its bytes in base64; no body and no codec: no |
// |                    | body; a codec alone: an empty one | | gzip               | not 0: `body` is base64 in any
// case, and compressed. Only for bytes that are passed on as they | |                    | are; what is encoded here is
// not compressed                                                    |
//
// Zero and empty values are left out, unknown keys are ignored, the last of two equal keys wins, null counts as absent
// except for `body`. A line ends with \n; a \r before it is ignored; a blank line is an error. A line with its \n is
// at most limits.packet_bytes_max long.
#pragma once

#include "wayport/framing/protocol.h"

namespace wayport::framing {

class JsonLinesProtocol final : public Protocol {
 public:
  std::string_view name() const noexcept override { return "jsonl"; }
  // malformed: no such object, a wrong kind or range; unsupported: unknown codec name; too_large: no \n within the
  // limit.
  Result<std::size_t> decode(Bytes in, ProtocolContext& context, DecodeState& state, PacketView& packet) const override;
  // invalid_argument: a json body that is no JSON, codec id 0; and what the body's codec returns.
  Result<void> encode(const OutgoingPacket& packet, ProtocolContext& context, Chain& to) const override;
};

const JsonLinesProtocol& jsonl_protocol() noexcept;

}  // namespace wayport::framing
