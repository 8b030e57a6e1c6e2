// A packet as every wire format shows it: six header fields and a body with a codec id. Views only; who decodes says
// how long they live.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/framing/body.h"

namespace wayport::framing {

class Codec;

// Values of PacketHeader::type as v2.1 and later number them (spec/teleport 3). v2.0 pushes with 4; rpc translates.
inline constexpr std::int32_t kTypeUndefined = 0;
inline constexpr std::int32_t kTypePull = 1;
inline constexpr std::int32_t kTypeReply = 2;
inline constexpr std::int32_t kTypePush = 3;
inline constexpr std::int32_t kTypePushV20 = 4;

struct PacketHeader {
  std::uint64_t seq = 0;
  std::int32_t type = kTypeUndefined;
  std::string_view uri{};
  std::int32_t gzip = 0;  // compression level; non-zero means compressed
  std::int32_t status_code = 0;
  std::string_view status{};

  friend bool operator==(const PacketHeader&, const PacketHeader&) = default;
};

// A whole packet that was read. All views point into the input or into ProtocolContext::text, and live until the next
// decode or until the input goes, whichever is first.
struct PacketView {
  PacketHeader header{};
  std::uint8_t header_codec = 0;
  bool has_body_codec = false;  // false: no body at all (BL = 0)
  std::uint8_t body_codec = 0;
  Bytes body{};             // without the codec id; still compressed when header.gzip != 0
  Bytes body_with_codec{};  // codec id in front: what unknown handlers and forwarders take; empty when there is none
  std::size_t size = 0;     // on the wire
};

// What to write as a body.
struct OutgoingBody {
  enum class Form : std::uint8_t {
    none,        // no body (BL = 0)
    codec_only,  // codec id and nothing else (BL = 1)
    value,       // `codec` encodes `value`, gzip applies
    verbatim,    // `bytes` as they are, whose first byte acts as the codec id; never compressed (spec/teleport 5)
    encoded,     // codec id `codec_id`, then `bytes`, gzip applies
  };
  Form form = Form::none;
  const Codec* codec = nullptr;  // its id wins over `codec_id`
  BodyView value{};
  Bytes bytes{};
  std::uint8_t codec_id = 0;
};

struct OutgoingPacket {
  PacketHeader header{};
  std::uint8_t header_codec = 'j';
  OutgoingBody body{};
};

}  // namespace wayport::framing
