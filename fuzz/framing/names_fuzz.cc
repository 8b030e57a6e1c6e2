// Names that configurations and command lines give: of a peer's version, a codec, the algorithm and the secret of a token
// key. A name is known or not, a known one means one thing, and what is refused is named without being shown whole.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/framing/codec.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/codec_string.h"
#include "wayport/framing/jwt/jwt_key.h"
#include "wayport/framing/teleport/version.h"

namespace wayport::framing {
namespace {

void check_version(std::string_view text) {
  const std::optional<PeerVersion> version = parse_peer_version(text);
  if (!version) return;
  const std::string_view written = to_string(*version);
  WAYPORT_ASSERT(parse_peer_version(written) == version && (written == text || text.starts_with("2.")),
                 "a version is written as one that is read");
  const std::int32_t push = push_type(*version);
  WAYPORT_ASSERT(is_push(*version, push) && !is_push(*version, push + 1), "and has one type for pushes");
}

// A codec that an application brings, under any name and id.
class OwnCodec final : public Codec {
 public:
  OwnCodec(std::uint8_t id, std::string_view name) : id_(id), name_(name) {}
  std::uint8_t id() const noexcept override { return id_; }
  std::string_view name() const noexcept override { return name_; }
  Result<void> encode(const BodyView& value, Chain& to) const override { return StringCodec().encode(value, to); }
  Result<void> decode(Bytes from, const BodyTarget& target) const override {
    return StringCodec().decode(from, target);
  }

 private:
  std::uint8_t id_;
  std::string name_;
};

void check_codec(std::string_view text) {
  CodecRegistry registry;
  const std::size_t before = registry.all().size();
  const Codec* const known = registry.find(text);
  if (known != nullptr)
    WAYPORT_ASSERT(known->name() == text && registry.find(known->id()) == known, "name and id are one");
  const auto id = static_cast<std::uint8_t>(text.size());
  const bool taken = known != nullptr || id == 0 || registry.find(id) != nullptr;
  const Result<void> added = registry.add(std::make_shared<OwnCodec>(id, text));
  WAYPORT_ASSERT(added.has_value() != taken, "no name and no id belongs to two");
  WAYPORT_ASSERT(registry.all().size() == before + (added ? 1 : 0), "what is refused is not there");
  if (added) WAYPORT_ASSERT(registry.find(text) == registry.find(id), "and what is added is found by both");
}

void check_key(std::string_view text) {
  if (const Result<JwtAlgorithm> algorithm = parse_jwt_algorithm(text)) {
    WAYPORT_ASSERT(to_string(*algorithm) == text, "an algorithm has one name");
  } else {
    WAYPORT_ASSERT(algorithm.error().detail.size() < 512, "what is refused is not shown whole");
  }
  for (const JwtAlgorithm algorithm : {JwtAlgorithm::hs256, JwtAlgorithm::rs256, JwtAlgorithm::es256}) {
    const Result<JwtKey> secret = JwtKey::secret("id", algorithm, text);
    if (!secret) {
      const std::string& why = secret.error().detail;
      const Result<JwtKey> other = JwtKey::secret("id", algorithm, std::string(text.size(), 'x'));
      if (why.find("PEM") == std::string::npos) {
        WAYPORT_ASSERT(!other && other.error().detail == why, "an error says how long a secret is, and no more");
      } else {
        WAYPORT_ASSERT(text.size() < kJwtSecretBytesMin || why.find(text) == std::string::npos, "no error shows one");
      }
      continue;
    }
    WAYPORT_ASSERT(algorithm == JwtAlgorithm::hs256 && text.size() >= kJwtSecretBytesMin, "short secrets are none");
    WAYPORT_ASSERT(text.find("-----BEGIN") == std::string_view::npos, "and a public key is none");
  }
  for (const JwtAlgorithm algorithm : {JwtAlgorithm::hs256, JwtAlgorithm::rs256, JwtAlgorithm::es256}) {
    const Result<JwtKey> key = JwtKey::public_key("id", algorithm, text);
    WAYPORT_ASSERT(!key || algorithm != JwtAlgorithm::hs256, "a public key is no secret");
    if (key) WAYPORT_ASSERT(key->algorithm() == algorithm, "a key keeps its algorithm");
  }
}

}  // namespace
}  // namespace wayport::framing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::framing;
  const std::string_view text(reinterpret_cast<const char*>(data), std::min<std::size_t>(size, 8192));
  check_version(text);
  check_codec(text);
  check_key(text);
  return 0;
}
