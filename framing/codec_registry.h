// CodecRegistry: which body codecs a runtime knows.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/framing/codec.h"

namespace wayport::framing {

// Filled before use, then only read: any number of threads.
class CodecRegistry {
 public:
  CodecRegistry();  // json, protobuf, string, flatbuffers

  // invalid_argument: id 0, or an id or name already taken.
  Result<void> add(std::shared_ptr<const Codec> codec);
  const Codec* find(std::uint8_t id) const noexcept { return by_id_[id]; }
  const Codec* find(std::string_view name) const noexcept;
  std::vector<const Codec*> all() const;  // in the order they were added

 private:
  std::array<const Codec*, 256> by_id_{};
  std::vector<std::shared_ptr<const Codec>> owned_;
};

}  // namespace wayport::framing
