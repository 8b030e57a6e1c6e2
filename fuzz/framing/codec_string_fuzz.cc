// Any bytes as a body of the codec `string`: into each type that owns text they come as they are, and go out again the
// same; a type that is no text is refused, and not touched.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec_string.h"

namespace {

using namespace wayport;
using namespace wayport::framing;

template <class T>
std::string encoded(const T& value) {
  Chain chain;
  WAYPORT_ASSERT(StringCodec().encode({&body_ops<T>(), &value}, chain).has_value(), "text can be sent");
  return chain.to_string();
}

template <class T>
void check_owner(Bytes bytes) {
  T value(3, typename T::value_type(1));  // what was there goes
  WAYPORT_ASSERT(StringCodec().decode(bytes, {&body_ops<T>(), &value}).has_value(), "any bytes are text");
  WAYPORT_ASSERT(value.size() == bytes.size() && encoded(value) == as_text(bytes), "and come back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
  check_owner<std::string>(bytes);
  check_owner<std::vector<std::byte>>(bytes);
  WAYPORT_ASSERT(encoded(as_text(bytes)) == as_text(bytes) && encoded(bytes) == as_text(bytes), "views are sent too");

  int number = 7;
  const Result<void> filled = StringCodec().decode(bytes, {&body_ops<int>(), &number});
  WAYPORT_ASSERT(!filled && filled.error().code == ErrorCode::unsupported && number == 7, "a number is no text");
  Chain chain;
  const Result<void> sent = StringCodec().encode({&body_ops<int>(), &number}, chain);
  WAYPORT_ASSERT(!sent && sent.error().code == ErrorCode::unsupported && chain.empty(), "nor is it sent as one");
  return 0;
}
