#include "wayport/framing/codec_json.h"

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "wayport/framing/error_text.h"
#include "wayport/framing/json_value.h"

namespace wayport::framing {
namespace {

// Small documents live on the stack.
constexpr std::size_t kStackBytes = 2048;

}  // namespace

Result<void> JsonCodec::encode(const BodyView& value, Chain& to) const {
  if (value.ops == nullptr || value.ops->to_json == nullptr) {
    return fail(ErrorCode::unsupported, "codec json cannot send " + type_name(value.ops ? value.ops->type : nullptr) +
                                            ": it has no JSON form (wayport/framing/json.h)");
  }
  unsigned char stack[kStackBytes];
  boost::json::monotonic_resource memory(stack, sizeof(stack));
  boost::json::value document(&memory);
  Result<void> converted = value.ops->to_json(value.object, document);
  if (!converted) {
    converted.error().detail.insert(0, "json: value");
    return converted;
  }
  return write_json(document, to);
}

Result<void> JsonCodec::decode(Bytes from, const BodyTarget& target) const {
  if (target.ops == nullptr || target.ops->from_json == nullptr) {
    return fail(ErrorCode::unsupported, "codec json cannot fill " + type_name(target.ops ? target.ops->type : nullptr) +
                                            ": it has no JSON form (wayport/framing/json.h)");
  }
  unsigned char stack[kStackBytes];
  boost::json::monotonic_resource memory(stack, sizeof(stack));
  boost::json::value document(&memory);
  WAYPORT_TRY(parse_json(as_text(from), document));
  Result<void> converted = target.ops->from_json(target.object, document);
  if (!converted) converted.error().detail.insert(0, "json: value");
  return converted;
}

}  // namespace wayport::framing
