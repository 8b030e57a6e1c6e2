// A flatbuffer that passed verification can be walked to every leaf without leaving its bytes.
#include <string>

#include "wayport/base/chain.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec_flatbuffers.h"
#include "wayport/framing/flatbuffer.h"
#include "wayport/framing/test_flatbuffers_generated.h"

namespace wayport::framing {
namespace {

// Tables may be shared, so that there are more paths than bytes: the walk is bounded.
std::size_t walk(const test::Node* node, std::size_t& budget) {
  if (node == nullptr || budget == 0) return 0;
  --budget;
  std::size_t sum = static_cast<std::size_t>(node->value());
  const auto read = [&](const flatbuffers::String* text) {
    if (text == nullptr || budget == 0) return;
    --budget;
    for (const char c : *text) sum += static_cast<unsigned char>(c);
    WAYPORT_ASSERT(text->c_str()[text->size()] == '\0', "strings end with a zero");
  };
  read(node->name());
  if (node->tags() != nullptr) {
    for (const auto* tag : *node->tags()) read(tag);
  }
  if (node->nested() != nullptr) {
    for (const std::uint8_t byte : *node->nested()) sum += byte;
    const auto nested = FlatBuffer<test::Node>::view(
        {reinterpret_cast<const std::byte*>(node->nested()->data()), node->nested()->size()});
    if (nested) sum += walk(nested->get(), budget);
  }
  if (node->children() != nullptr) {
    for (const auto* child : *node->children()) sum += walk(child, budget);
  }
  return sum + walk(node->next(), budget);
}

// Text is none of these, and is neither filled nor sent.
void check_refused(Bytes input) {
  std::string text = "text";
  const Result<void> filled = FlatbuffersCodec().decode(input, {&body_ops<std::string>(), &text});
  WAYPORT_ASSERT(!filled && filled.error().code == ErrorCode::unsupported && text == "text", "text is not filled");
  Chain chain;
  const Result<void> sent = FlatbuffersCodec().encode({&body_ops<std::string>(), &text}, chain);
  WAYPORT_ASSERT(!sent && sent.error().code == ErrorCode::unsupported && chain.empty(), "nor sent");
}

}  // namespace
}  // namespace wayport::framing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::framing;
  using Buffer = FlatBuffer<test::Node>;
  const wayport::Bytes input(reinterpret_cast<const std::byte*>(data), size);
  check_refused(input);
  Buffer buffer;
  const FlatbuffersCodec codec;
  if (!codec.decode(input, {&body_ops<Buffer>(), &buffer})) return 0;
  std::size_t budget = 20'000;
  volatile std::size_t sum = walk(buffer.get(), budget);
  static_cast<void>(sum);
  wayport::Chain chain;
  WAYPORT_ASSERT(codec.encode({&body_ops<Buffer>(), &buffer}, chain).has_value(), "what was read can be written");
  WAYPORT_ASSERT(chain.to_string() == wayport::as_text(input), "as the same bytes");
  return 0;
}
