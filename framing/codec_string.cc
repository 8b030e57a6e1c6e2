#include "wayport/framing/codec_string.h"

#include <string>

#include "wayport/framing/error_text.h"

namespace wayport::framing {

Result<void> StringCodec::encode(const BodyView& value, Chain& to) const {
  if (value.ops == nullptr || value.ops->text == nullptr) {
    return fail(ErrorCode::unsupported, "codec string cannot send " + type_name(value.ops ? value.ops->type : nullptr) +
                                            ": it is neither text nor bytes");
  }
  to.append(value.ops->text(value.object));
  return {};
}

Result<void> StringCodec::decode(Bytes from, const BodyTarget& target) const {
  if (target.ops == nullptr || target.ops->assign_text == nullptr) {
    return fail(ErrorCode::unsupported, "codec string cannot fill " +
                                            type_name(target.ops ? target.ops->type : nullptr) +
                                            ": it owns neither text nor bytes");
  }
  return target.ops->assign_text(target.object, from);
}

}  // namespace wayport::framing
