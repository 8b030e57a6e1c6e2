// Codec: turns values into body bytes and back. Which there are: "wayport/framing/codec_registry.h".
//
// Codecs are stateless and thread-safe. The built-in ones: json 'j', protobuf 'p', string 's' (bytes as they are), as
// the originals have them, and flatbuffers 'b'. Id 0 means "no codec" and cannot be registered (spec/teleport 1).
#pragma once

#include <cstdint>
#include <string_view>

#include "wayport/base/chain.h"
#include "wayport/framing/body.h"

namespace wayport::framing {

inline constexpr std::uint8_t kCodecJson = 'j';
inline constexpr std::uint8_t kCodecProtobuf = 'p';
inline constexpr std::uint8_t kCodecString = 's';
inline constexpr std::uint8_t kCodecFlatbuffers = 'b';

class Codec {
 public:
  virtual ~Codec() = default;
  virtual std::uint8_t id() const noexcept = 0;
  virtual std::string_view name() const noexcept = 0;
  // Appends the encoded value, without id byte. On failure the caller truncates what was appended.
  virtual Result<void> encode(const BodyView& value, Chain& to) const = 0;
  // `from` is the whole body, inflated, without id byte. An empty one never gets here, unless it was compressed: the
  // target keeps its value.
  virtual Result<void> decode(Bytes from, const BodyTarget& target) const = 0;
};

}  // namespace wayport::framing
