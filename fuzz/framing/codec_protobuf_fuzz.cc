// Protobuf bodies: what decodes comes back the same, as protobuf and as JSON.
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/message_differencer.h>

#include <string>

#include "wayport/base/chain.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec_json.h"
#include "wayport/framing/codec_protobuf.h"
#include "wayport/framing/test_messages.pb.h"

namespace wayport::framing {
namespace {

bool equal(const test::Everything& one, const test::Everything& two) {
  google::protobuf::util::MessageDifferencer differencer;
  differencer.set_message_field_comparison(google::protobuf::util::MessageDifferencer::EQUAL);
  google::protobuf::util::DefaultFieldComparator comparator;
  comparator.set_treat_nan_as_equal(true);
  differencer.set_field_comparator(&comparator);
  return differencer.Compare(one, two);
}

// False: the codec cannot say it.
bool check_round_trip(const Codec& codec, const test::Everything& message) {
  Chain chain;
  const Result<void> encoded = codec.encode({&body_ops<test::Everything>(), &message}, chain);
  if (!encoded) return false;
  const std::string bytes = chain.to_string();
  test::Everything again;
  WAYPORT_ASSERT(codec.decode(as_bytes(bytes), {&body_ops<test::Everything>(), &again}).has_value(),
                 "we read what we write");
  WAYPORT_ASSERT(equal(message, again), "and it is the same");
  return true;
}

// Text is none of these, and is neither filled nor sent.
void check_refused(Bytes input) {
  std::string text = "text";
  const Result<void> filled = ProtobufCodec().decode(input, {&body_ops<std::string>(), &text});
  WAYPORT_ASSERT(!filled && filled.error().code == ErrorCode::unsupported && text == "text", "text is not filled");
  Chain chain;
  const Result<void> sent = ProtobufCodec().encode({&body_ops<std::string>(), &text}, chain);
  WAYPORT_ASSERT(!sent && sent.error().code == ErrorCode::unsupported && chain.empty(), "nor sent");
}

}  // namespace
}  // namespace wayport::framing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::framing;
  static const auto quiet = google::protobuf::SetLogHandler(nullptr);
  static_cast<void>(quiet);
  const wayport::Bytes input(reinterpret_cast<const std::byte*>(data), size);
  check_refused(input);
  test::Everything message;
  if (!ProtobufCodec().decode(input, {&body_ops<test::Everything>(), &message})) return 0;
  message.DiscardUnknownFields();
  WAYPORT_ASSERT(check_round_trip(ProtobufCodec(), message), "protobuf says everything");
  check_round_trip(JsonCodec(), message);  // JSON does not: infinities, nesting over 64
  return 0;
}
