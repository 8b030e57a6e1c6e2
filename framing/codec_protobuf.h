// Protobuf bodies, through the protobuf facet. Nothing is allocated beyond what the message itself needs.
#pragma once

#include "wayport/framing/codec.h"

namespace wayport::framing {

class ProtobufCodec final : public Codec {
 public:
  std::uint8_t id() const noexcept override { return kCodecProtobuf; }
  std::string_view name() const noexcept override { return "protobuf"; }
  Result<void> encode(const BodyView& value, Chain& to) const override;
  Result<void> decode(Bytes from, const BodyTarget& target) const override;
};

}  // namespace wayport::framing
