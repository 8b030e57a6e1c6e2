// JSON bodies, through the json facet. Text as Go's encoding/json writes it; see json_value.h for what is read.
#pragma once

#include "wayport/framing/codec.h"

namespace wayport::framing {

class JsonCodec final : public Codec {
 public:
  std::uint8_t id() const noexcept override { return kCodecJson; }
  std::string_view name() const noexcept override { return "json"; }
  Result<void> encode(const BodyView& value, Chain& to) const override;
  Result<void> decode(Bytes from, const BodyTarget& target) const override;
};

}  // namespace wayport::framing
