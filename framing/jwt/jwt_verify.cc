#include "wayport/framing/jwt/jwt_verify.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/time.h"
#include "wayport/framing/base64.h"

namespace wayport::framing {
namespace {

using nlohmann::json;

constexpr int kNestingMax = 16;
constexpr double kLatestDate = 253402300799;  // the last second of the year 9999

// Unpadded base64url; nullopt: anything else, also bits that stand for nothing.
std::optional<std::string> from_base64url(std::string_view text) {
  std::string standard;
  standard.reserve(text.size() + 3);
  for (const char c : text) {
    if (c == '+' || c == '/' || c == '=') return std::nullopt;
    standard.push_back(c == '-' ? '+' : c == '_' ? '/' : c);
  }
  if (standard.size() % 4 == 1) return std::nullopt;
  while (standard.size() % 4 != 0) standard.push_back('=');
  return from_base64(standard);
}

// An object without duplicate keys, at any depth: two readers must not see two tokens.
Result<json> parse_object(std::string_view text, std::string_view what) {
  std::vector<std::set<std::string>> open;
  bool duplicate = false;
  bool deep = false;
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    deep = deep || depth > kNestingMax;
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end) open.pop_back();
    if (event == json::parse_event_t::key) {
      duplicate = duplicate || !open.back().insert(value.get_ref<const std::string&>()).second;
    }
    return true;
  };
  const std::string part = "the token's " + std::string(what);
  // The library takes a NUL for the end, and would leave what is behind it unread.
  if (text.contains('\0')) return fail(ErrorCode::malformed, part + " is no JSON object: it has a NUL byte");
  json parsed = json::parse(text.begin(), text.end(), watch, false);
  if (parsed.is_discarded() || !parsed.is_object()) return fail(ErrorCode::malformed, part + " is no JSON object");
  if (duplicate) return fail(ErrorCode::malformed, part + " has a key twice");
  if (deep) return fail(ErrorCode::malformed, part + " is nested deeper than " + std::to_string(kNestingMax));
  return parsed;
}

bool equals_folded(std::string_view a, std::string_view lower) {
  return std::ranges::equal(a, lower, [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y; });
}

struct Header {
  JwtAlgorithm algorithm{};
  std::optional<std::string> key_id;
};

Result<Header> read_header(std::string_view text) {
  WAYPORT_TRY_ASSIGN(const json fields, parse_object(text, "header"));
  if (fields.contains("crit")) {
    return fail(ErrorCode::unsupported, "the token's header has `crit`, extensions that must be understood; none are");
  }
  const auto alg = fields.find("alg");
  if (alg == fields.end() || !alg->is_string()) return fail(ErrorCode::malformed, "the token's header names no `alg`");
  Header header;
  const Result<JwtAlgorithm> algorithm = parse_jwt_algorithm(alg->get_ref<const std::string&>());
  if (!algorithm) return fail(ErrorCode::unsupported, "the token's " + algorithm.error().detail);
  header.algorithm = *algorithm;
  if (const auto typ = fields.find("typ"); typ != fields.end()) {
    if (!typ->is_string() || !equals_folded(typ->get_ref<const std::string&>(), "jwt")) {
      return fail(ErrorCode::unsupported, "the token's `typ` is not JWT: it was made for another purpose");
    }
  }
  if (const auto kid = fields.find("kid"); kid != fields.end()) {
    if (!kid->is_string()) return fail(ErrorCode::malformed, "the token's `kid` is no string");
    header.key_id = kid->get<std::string>();
  }
  return header;
}

// nullopt: absent.
Result<std::optional<double>> date(const json& claims, const char* name) {
  const auto found = claims.find(name);
  if (found == claims.end()) return std::optional<double>();
  const double value = found->is_number() ? found->get<double>() : -1;
  if (!std::isfinite(value) || value < 0 || value > kLatestDate) {
    return fail(ErrorCode::malformed, std::string("the token's `") + name + "` is no time in seconds since 1970");
  }
  return std::optional<double>(value);
}

std::string seconds(double value) {
  // Durations end after 292 years, dates of tokens may not.
  constexpr double kLongest = 9e9;
  return format_duration(std::chrono::seconds(static_cast<std::int64_t>(std::min(value, kLongest))));
}

}  // namespace

struct JwtClaims::Content {
  json claims;
  std::string payload;
  std::string key_id;
  std::optional<double> expires;

  const json* find(std::string_view name) const {
    const auto found = claims.find(name);
    return found == claims.end() ? nullptr : &*found;
  }
};

std::optional<std::string> JwtClaims::text(std::string_view name) const {
  const json* value = content_->find(name);
  return value && value->is_string() ? std::optional(value->get<std::string>()) : std::nullopt;
}

std::optional<std::int64_t> JwtClaims::integer(std::string_view name) const {
  const json* value = content_->find(name);
  if (!value || !value->is_number_integer()) return std::nullopt;
  if (value->is_number_unsigned() && !std::in_range<std::int64_t>(value->get<std::uint64_t>())) return std::nullopt;
  return value->get<std::int64_t>();
}

std::optional<bool> JwtClaims::boolean(std::string_view name) const {
  const json* value = content_->find(name);
  return value && value->is_boolean() ? std::optional(value->get<bool>()) : std::nullopt;
}

std::vector<std::string> JwtClaims::texts(std::string_view name) const {
  const json* value = content_->find(name);
  std::vector<std::string> all;
  if (!value) return all;
  if (value->is_string()) all.push_back(value->get<std::string>());
  if (value->is_array()) {
    for (const json& element : *value) {
      if (element.is_string()) all.push_back(element.get<std::string>());
    }
  }
  return all;
}

bool JwtClaims::has(std::string_view name) const { return content_->find(name) != nullptr; }
const std::string& JwtClaims::payload() const noexcept { return content_->payload; }
const std::string& JwtClaims::key_id() const noexcept { return content_->key_id; }

std::optional<std::chrono::sys_seconds> JwtClaims::expires() const noexcept {
  if (!content_->expires) return std::nullopt;
  return std::chrono::sys_seconds(std::chrono::seconds(static_cast<std::int64_t>(*content_->expires)));
}

Result<JwtVerifier> JwtVerifier::make(std::vector<JwtKey> keys, JwtOptions options) {
  if (keys.empty() || keys.size() > kJwtKeysMax) {
    return fail(ErrorCode::invalid_argument, "a token verifier needs 1 to " + std::to_string(kJwtKeysMax) +
                                                 " keys; given were " + std::to_string(keys.size()));
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (keys[i].id() == keys[j].id() && !keys[i].id().empty()) {
        return fail(ErrorCode::invalid_argument, "two token keys have the id " + escape(keys[i].id()));
      }
      if (keys[i].algorithm() == keys[j].algorithm() && (keys[i].id().empty() || keys[j].id().empty())) {
        return fail(ErrorCode::invalid_argument,
                    "a token key for " + std::string(to_string(keys[i].algorithm())) +
                        " has no id, but is not the only one for it: give each its id, which `kid` selects");
      }
    }
  }
  if (options.leeway < std::chrono::seconds(0) || options.leeway > kJwtLeewayMax) {
    return fail(ErrorCode::invalid_argument, "JwtOptions::leeway is " + format_duration(options.leeway) +
                                                 "; allowed are 0 to " + format_duration(kJwtLeewayMax));
  }
  return JwtVerifier(std::move(keys), std::move(options));
}

Result<const JwtKey*> JwtVerifier::choose(const std::optional<std::string>& key_id, JwtAlgorithm algorithm) const {
  const auto named = [&](const JwtKey& key) { return !key_id || key.id() == *key_id; };
  if (std::ranges::none_of(keys_, named)) {
    return fail(ErrorCode::not_found, "the token's `kid` " + escape(*key_id, 64) + " names no configured key");
  }
  const JwtKey* chosen = nullptr;
  for (const JwtKey& key : keys_) {
    if (key.algorithm() != algorithm || !named(key)) continue;
    if (chosen) {
      return fail(ErrorCode::not_found,
                  "the token has no `kid`, which it needs because several keys are configured for " +
                      std::string(to_string(algorithm)));
    }
    chosen = &key;
  }
  if (!chosen) {
    return fail(ErrorCode::unsupported, "the token is signed with " + std::string(to_string(algorithm)) +
                                            ", for which no key is configured" +
                                            (key_id ? " under the id " + escape(*key_id, 64) : ""));
  }
  return chosen;
}

Result<JwtClaims> JwtVerifier::verify(std::string_view token, std::chrono::sys_seconds now) const {
  if (token.size() > options_.token_bytes_max) {
    return fail(ErrorCode::too_large, "the token has " + std::to_string(token.size()) + " bytes; token_bytes_max is " +
                                          std::to_string(options_.token_bytes_max));
  }
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return fail(ErrorCode::malformed, "the token has not exactly three parts");
  }
  const std::array parts{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1)};
  std::array<std::string, 3> decoded;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::optional<std::string> bytes = from_base64url(parts[i]);
    if (parts[i].empty() || !bytes) {
      return fail(ErrorCode::malformed, "part " + std::to_string(i + 1) + " of the token is not unpadded base64url");
    }
    decoded[i] = *std::move(bytes);
  }

  WAYPORT_TRY_ASSIGN(const Header header, read_header(decoded[0]));
  WAYPORT_TRY_ASSIGN(const JwtKey* const key, choose(header.key_id, header.algorithm));
  if (!key->holds(token.substr(0, second), decoded[2])) {
    return fail(ErrorCode::refused, "the token's signature is wrong");
  }

  auto content = std::make_shared<JwtClaims::Content>();
  WAYPORT_TRY_ASSIGN(content->claims, parse_object(decoded[1], "payload"));
  content->payload = std::move(decoded[1]);
  content->key_id = key->id();
  WAYPORT_TRY_ASSIGN(content->expires, date(content->claims, "exp"));
  WAYPORT_TRY(check_claims(*content, now));
  return JwtClaims(std::move(content));
}

Result<void> JwtVerifier::check_claims(const JwtClaims::Content& content, std::chrono::sys_seconds now) const {
  const auto time = static_cast<double>(now.time_since_epoch().count());
  const auto leeway = static_cast<double>(options_.leeway.count());
  if (!content.expires && options_.require_expiry) {
    return fail(ErrorCode::refused, "the token never expires (no `exp`); require_expiry is on");
  }
  if (content.expires && time >= *content.expires + leeway) {
    return fail(ErrorCode::refused, "the token expired " + seconds(time - *content.expires) + " ago");
  }
  for (const char* name : {"nbf", "iat"}) {
    WAYPORT_TRY_ASSIGN(const std::optional<double> from, date(content.claims, name));
    if (from && time + leeway < *from) {
      return fail(ErrorCode::refused, std::string("the token is valid only in ") + seconds(*from - time) + " (`" +
                                          name + "`); compare the clocks");
    }
  }
  if (!options_.issuer.empty()) {
    const json* issuer = content.find("iss");
    if (!issuer || !issuer->is_string() || issuer->get_ref<const std::string&>() != options_.issuer) {
      return fail(ErrorCode::refused, "the token's issuer is not " + options_.issuer);
    }
  }
  if (!options_.audience.empty()) {
    const json* audience = content.find("aud");
    const bool named =
        audience &&
        (*audience == options_.audience ||
         (audience->is_array() && std::ranges::find(*audience, json(options_.audience)) != audience->end()));
    if (!named) return fail(ErrorCode::refused, "the token is not meant for " + options_.audience + " (`aud`)");
  }
  return {};
}

}  // namespace wayport::framing
