#include "wayport/rpc/plugins/authentication/secret_keys.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "wayport/framing/base64.h"

namespace wayport::rpc {
namespace {

constexpr std::size_t kNameBytesMax = 64;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

void wipe(std::string& text) { OPENSSL_cleanse(text.data(), text.size()); }

std::optional<std::string> decode_secret(std::string_view text) {
  if (text.starts_with("base64:")) return framing::from_base64(text.substr(7));
  if (text.starts_with("hex:")) return from_hex(text.substr(4));
  return std::string(text);
}

}  // namespace

Result<void> SecretKeys::add(std::string_view id, std::string_view secret, std::string_view identity) {
  if (identity.empty()) identity = id;
  // Nothing that was given is shown: whoever mixes up the two sides of a line has the secret as the id.
  const auto refuse = [](std::string why) -> Result<void> {
    return fail(ErrorCode::invalid_argument, "secret key: " + std::move(why));
  };
  if (!is_name(id) || !is_name(identity)) {
    return refuse(
        "the id or the identity is not 1 to 64 of A-Z a-z 0-9 . _ - (a line is `id = secret` or `id@identity = "
        "secret`)");
  }
  if (find(id)) return refuse("the id is there twice");
  if (keys_.size() >= kSecretKeysMax) return refuse("more than " + std::to_string(kSecretKeysMax) + " keys");
  if (secret.size() < kSecretBytesMin || secret.size() > kSecretBytesMax) {
    return refuse("the secret has " + std::to_string(secret.size()) + " bytes; allowed are " +
                  std::to_string(kSecretBytesMin) + " to " + std::to_string(kSecretBytesMax) +
                  " (make one: openssl rand -base64 32)");
  }
  if (std::ranges::all_of(secret, [secret](char c) { return c == secret.front(); })) {
    return refuse("the secret is one byte repeated (make one: openssl rand -base64 32)");
  }
  std::shared_ptr<const std::string> kept(new std::string(secret), [](std::string* text) {
    wipe(*text);
    delete text;
  });
  keys_.push_back({std::string(id), std::string(identity), std::move(kept)});
  return {};
}

const SecretKeys::Key* SecretKeys::find(std::string_view id) const noexcept {
  const auto found = std::ranges::find(keys_, id, &Key::id);
  return found == keys_.end() ? nullptr : &*found;
}

Result<SecretKeys> SecretKeys::parse(std::string_view text, std::string_view source) {
  SecretKeys keys;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string where = std::string(source) + ":" + std::to_string(++number) + ": ";
    if (line.empty() || line.front() == '#') continue;
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      return fail(ErrorCode::invalid_argument, where + "a line is `id = secret` or `id@identity = secret`");
    }
    const std::string_view name = trim(line.substr(0, equals));
    const std::size_t at = name.find('@');
    std::optional<std::string> secret = decode_secret(trim(line.substr(equals + 1)));
    if (secret && secret->empty()) {
      return fail(ErrorCode::invalid_argument,
                  where + "no secret stands after the first = (a line is `id = secret` or `id@identity = secret`)");
    }
    if (!secret) return fail(ErrorCode::invalid_argument, where + "the secret does not decode as base64 or hex");
    const Result<void> added =
        keys.add(name.substr(0, at), *secret, at == std::string_view::npos ? std::string_view() : name.substr(at + 1));
    wipe(*secret);
    if (!added) return fail(ErrorCode::invalid_argument, where + added.error().detail);
    if (at != std::string_view::npos && name.substr(at + 1).empty()) {
      return fail(ErrorCode::invalid_argument, where + "no identity stands after the @");
    }
  }
  if (keys.empty()) return fail(ErrorCode::invalid_argument, std::string(source) + " has no key");
  return keys;
}

}  // namespace wayport::rpc
