// Text and other bytes as they are, through the text facet.
#pragma once

#include "wayport/framing/codec.h"

namespace wayport::framing {

class StringCodec final : public Codec {
 public:
  std::uint8_t id() const noexcept override { return kCodecString; }
  std::string_view name() const noexcept override { return "string"; }
  Result<void> encode(const BodyView& value, Chain& to) const override;
  Result<void> decode(Bytes from, const BodyTarget& target) const override;
};

}  // namespace wayport::framing
