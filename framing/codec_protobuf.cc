#include "wayport/framing/codec_protobuf.h"

#include <limits>
#include <string>

#include "wayport/framing/error_text.h"

namespace wayport::framing {
namespace {

// protobuf's own limit.
constexpr std::size_t kMessageBytesMax = std::numeric_limits<std::int32_t>::max();

}  // namespace

Result<void> ProtobufCodec::encode(const BodyView& value, Chain& to) const {
  if (value.ops == nullptr || value.ops->protobuf_write == nullptr) {
    return fail(ErrorCode::unsupported, "codec protobuf cannot send " +
                                            type_name(value.ops ? value.ops->type : nullptr) + ": it is no message");
  }
  const std::size_t size = value.ops->protobuf_size(value.object);
  if (size > kMessageBytesMax) {
    return fail(ErrorCode::too_large, "protobuf: a message of " + std::to_string(size) + " bytes, the limit is " +
                                          std::to_string(kMessageBytesMax));
  }
  // Also when it is empty: a required field may be missing.
  const MutableBytes room = to.prepare(size);
  if (!value.ops->protobuf_write(value.object, room)) {
    return fail(ErrorCode::invalid_argument, "protobuf: " + type_name(value.ops->type) + " lacks required fields");
  }
  to.commit(size);
  return {};
}

Result<void> ProtobufCodec::decode(Bytes from, const BodyTarget& target) const {
  if (target.ops == nullptr || target.ops->protobuf_parse == nullptr) {
    return fail(ErrorCode::unsupported, "codec protobuf cannot fill " +
                                            type_name(target.ops ? target.ops->type : nullptr) + ": it is no message");
  }
  if (from.size() > kMessageBytesMax) {
    return fail(ErrorCode::too_large, "protobuf: a message of " + std::to_string(from.size()) +
                                          " bytes, the limit is " + std::to_string(kMessageBytesMax));
  }
  if (!target.ops->protobuf_parse(target.object, from)) {
    return fail(ErrorCode::malformed,
                "protobuf: " + std::to_string(from.size()) + " bytes are no " + type_name(target.ops->type));
  }
  return {};
}

}  // namespace wayport::framing
