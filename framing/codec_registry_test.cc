#include "wayport/framing/codec_registry.h"

#include <gtest/gtest.h>

namespace wayport::framing {
namespace {

class NamedCodec final : public Codec {
 public:
  NamedCodec(std::uint8_t id, std::string_view name) : id_(id), name_(name) {}
  std::uint8_t id() const noexcept override { return id_; }
  std::string_view name() const noexcept override { return name_; }
  Result<void> encode(const BodyView&, Chain&) const override { return {}; }
  Result<void> decode(Bytes, const BodyTarget&) const override { return {}; }

 private:
  std::uint8_t id_;
  std::string_view name_;
};
ErrorCode refusal(CodecRegistry& registry, std::uint8_t id, std::string_view name) {
  const Result<void> added = registry.add(std::make_shared<NamedCodec>(id, name));
  return added ? ErrorCode::internal : added.error().code;
}

TEST(CodecRegistry, HasTheFourBuiltInCodecsByIdAndName) {
  const CodecRegistry registry;
  for (const auto& [id, name] : {std::pair{'j', "json"}, {'p', "protobuf"}, {'s', "string"}, {'b', "flatbuffers"}}) {
    const Codec* const codec = registry.find(static_cast<std::uint8_t>(id));
    ASSERT_NE(codec, nullptr);
    EXPECT_EQ(codec->name(), name);
    EXPECT_EQ(codec->id(), id);
    EXPECT_EQ(registry.find(std::string_view(name)), codec);
  }
  EXPECT_EQ(registry.all().size(), 4u);
  EXPECT_EQ(registry.find(std::uint8_t{0}), nullptr);
  EXPECT_EQ(registry.find(std::uint8_t{'x'}), nullptr);
  EXPECT_EQ(registry.find("thrift"), nullptr);
}

TEST(CodecRegistry, TakesMore) {
  CodecRegistry registry;
  ASSERT_TRUE(registry.add(std::make_shared<NamedCodec>(0xff, "mine")));
  EXPECT_EQ(registry.find(std::uint8_t{0xff})->name(), "mine");
  EXPECT_EQ(registry.find("mine")->id(), 0xff);
  EXPECT_EQ(registry.all().back()->name(), "mine");
}

TEST(CodecRegistry, RefusesIdZeroAndWhatIsTaken) {
  CodecRegistry registry;
  EXPECT_EQ(refusal(registry, 0, "zero"), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(registry, 'j', "other"), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(registry, 'x', "json"), ErrorCode::invalid_argument);
  EXPECT_EQ(registry.add(nullptr).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(registry.all().size(), 4u);
}

}  // namespace
}  // namespace wayport::framing
