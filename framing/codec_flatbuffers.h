// Flatbuffer bodies, through the flatbuffer facet, which verifies them. An addition of wayport: Go peers do not know
// it.
#pragma once

#include "wayport/framing/codec.h"

namespace wayport::framing {

class FlatbuffersCodec final : public Codec {
 public:
  std::uint8_t id() const noexcept override { return kCodecFlatbuffers; }
  std::string_view name() const noexcept override { return "flatbuffers"; }
  Result<void> encode(const BodyView& value, Chain& to) const override;
  Result<void> decode(Bytes from, const BodyTarget& target) const override;
};

}  // namespace wayport::framing
