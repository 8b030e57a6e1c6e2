#include "wayport/framing/codec_flatbuffers.h"

#include <string>

#include "wayport/framing/error_text.h"

namespace wayport::framing {

Result<void> FlatbuffersCodec::encode(const BodyView& value, Chain& to) const {
  if (value.ops == nullptr || value.ops->flatbuffer == nullptr) {
    return fail(ErrorCode::unsupported, "codec flatbuffers cannot send " +
                                            type_name(value.ops ? value.ops->type : nullptr) + ": it is no FlatBuffer");
  }
  to.append(value.ops->flatbuffer(value.object));
  return {};
}

Result<void> FlatbuffersCodec::decode(Bytes from, const BodyTarget& target) const {
  if (target.ops == nullptr || target.ops->assign_flatbuffer == nullptr) {
    return fail(ErrorCode::unsupported, "codec flatbuffers cannot fill " +
                                            type_name(target.ops ? target.ops->type : nullptr) +
                                            ": it is no FlatBuffer");
  }
  return target.ops->assign_flatbuffer(target.object, from);
}

}  // namespace wayport::framing
