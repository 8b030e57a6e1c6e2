#include "wayport/framing/codec_registry.h"

#include <string>
#include <utility>

#include "wayport/framing/codec_flatbuffers.h"
#include "wayport/framing/codec_json.h"
#include "wayport/framing/codec_protobuf.h"
#include "wayport/framing/codec_string.h"

namespace wayport::framing {

CodecRegistry::CodecRegistry() {
  const std::shared_ptr<const Codec> built_in[] = {std::make_shared<JsonCodec>(), std::make_shared<ProtobufCodec>(),
                                                   std::make_shared<StringCodec>(),
                                                   std::make_shared<FlatbuffersCodec>()};
  for (const auto& codec : built_in) {
    const Result<void> added = add(codec);
    WAYPORT_ASSERT(added.has_value(), "the built-in codecs have ids and names of their own");
  }
}

Result<void> CodecRegistry::add(std::shared_ptr<const Codec> codec) {
  if (codec == nullptr) return fail(ErrorCode::invalid_argument, "no codec");
  const std::string name(codec->name());
  if (codec->id() == 0) return fail(ErrorCode::invalid_argument, "codec " + name + ": id 0 means \"no codec\"");
  if (const Codec* taken = by_id_[codec->id()]) {
    return fail(ErrorCode::invalid_argument, "codec " + name + ": id " + std::to_string(codec->id()) +
                                                 " belongs to codec " + std::string(taken->name()));
  }
  if (find(codec->name()) != nullptr) return fail(ErrorCode::invalid_argument, "codec " + name + ": the name is taken");
  by_id_[codec->id()] = codec.get();
  owned_.push_back(std::move(codec));
  return {};
}

const Codec* CodecRegistry::find(std::string_view name) const noexcept {
  for (const auto& codec : owned_) {
    if (codec->name() == name) return codec.get();
  }
  return nullptr;
}

std::vector<const Codec*> CodecRegistry::all() const {
  std::vector<const Codec*> codecs;
  for (const auto& codec : owned_) codecs.push_back(codec.get());
  return codecs;
}

}  // namespace wayport::framing
