// Tokens: whatever comes, the verdict is the same twice, and nothing is believed but what the key really signed. Of what
// the key has signed, exactly that is believed which a second, obvious reading (Boost.JSON) finds in order.
//
// Input: one byte of choices, then the token. With kSign in the first byte: the size of a header (0: the usual one), the
// header, the payload; the target signs them.
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/framing/base64.h"
#include "wayport/framing/jwt/jwt_verify.h"

namespace wayport::framing {
namespace {

constexpr std::string_view kSecret = "wayport-test-secret-0123456789abcdef";
constexpr std::string_view kRsa =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmyKh4soo5hmcQXZLLqcw\n"
    "Xb4KOtV9JpFfYMbte1CvnVxjqwOsFAZBH+s3NKGdtWzeeOCp6/jAti9Ho0eFW5Bb\n"
    "vO0qSYq3+WeAxzc5xJ5GKB6B4YnqUHs9NGnEixkiqZOQYBbmsQ5lN+/25BGL0Vxu\n"
    "75vaVFcBYURXCRXb79LiOgEuOkjCq2+gGPZRs3HW6JWsRZQdgp2WYJkafk8Z5tKr\n"
    "urr/OVn0WOjI/Rj9t+R8lsEoJP4tfFjmrEQ1JxEW0BFA9Z1hlHsPIQG6iLJJoW/k\n"
    "HtSX+7Yzv8K7pD3w8dN4ZEo/N3okU/rM2C/wDAPCK/7USt5WBE8BBbAAv3JSkfQM\n"
    "dQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kEc =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEoc9CzEq8lQkmdLXIi2piArwdwBx6\n"
    "4XmomxVWEaHro9VQxO2GmYBs9wGDXdSWbnMo46ynOeavsM4YiTspFOrOLg==\n"
    "-----END PUBLIC KEY-----\n";

constexpr std::uint8_t kEarly = 1;    // the clock is where most tokens are valid
constexpr std::uint8_t kSign = 0x80;  // bits 1 and 2: by which key; 3 and 4: for which judge

struct Secret {
  std::string_view id, algorithm;
  const EVP_MD* (*digest)();
};
constexpr std::array kSecrets{Secret{"", "HS256", EVP_sha256}, Secret{"384", "HS384", EVP_sha384},
                              Secret{"512", "HS512", EVP_sha512}};

JwtVerifier make(JwtOptions options) {
  return *JwtVerifier::make(
      {*JwtKey::secret("", JwtAlgorithm::hs256, kSecret), *JwtKey::secret("384", JwtAlgorithm::hs384, kSecret),
       *JwtKey::secret("512", JwtAlgorithm::hs512, kSecret), *JwtKey::public_key("rsa", JwtAlgorithm::rs256, kRsa),
       *JwtKey::public_key("ec", JwtAlgorithm::es256, kEc)},
      std::move(options));
}

// Each member comes by its own kind, and by no other.
void check_claims(const JwtClaims& claims) {
  for (const char* const name : {"sub", "aud", "exp", "iat", "host", "port", "admin", "roles", "none of these"}) {
    const auto text = claims.text(name);
    const auto integer = claims.integer(name);
    const auto boolean = claims.boolean(name);
    const int kinds = (text ? 1 : 0) + (integer ? 1 : 0) + (boolean ? 1 : 0);
    WAYPORT_ASSERT(kinds <= (claims.has(name) ? 1 : 0), "a member has one kind, if it is there");
    if (text) WAYPORT_ASSERT(claims.texts(name) == std::vector<std::string>{*text}, "one text is a list of one");
    if (integer || boolean) WAYPORT_ASSERT(claims.texts(name).empty(), "a number is no text");
  }
  const std::string& key = claims.key_id();
  WAYPORT_ASSERT(key.empty() || key == "384" || key == "512" || key == "rsa" || key == "ec",
                 "a key that is configured");
}

// --- what is signed here ---

std::string base64url(std::string_view bytes) {
  std::string text(base64_size(bytes.size()), '\0');
  write_base64(text.data(), as_bytes(bytes));
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

std::string signed_token(const Secret& secret, std::string_view header, std::string_view payload) {
  const std::string part = base64url(header) + "." + base64url(payload);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(secret.digest(), kSecret.data(), static_cast<int>(kSecret.size()),
       reinterpret_cast<const unsigned char*>(part.data()), part.size(), mac, &size);
  return part + "." + base64url({reinterpret_cast<const char*>(mac), size});
}

// --- the second reading ---

namespace json = boost::json;

// How many members a text has, those that a later one of the same name replaces included.
struct Members {
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();
  using Code = json::error_code;

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) { return true; }
  bool on_object_end(std::size_t size, Code&) {
    count += size;
    return true;
  }
  bool on_array_begin(Code&) { return true; }
  bool on_array_end(std::size_t, Code&) { return true; }
  bool on_key_part(json::string_view, std::size_t, Code&) { return true; }
  bool on_key(json::string_view, std::size_t, Code&) { return true; }
  bool on_string_part(json::string_view, std::size_t, Code&) { return true; }
  bool on_string(json::string_view, std::size_t, Code&) { return true; }
  bool on_number_part(json::string_view, Code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, Code&) { return true; }
  bool on_uint64(std::uint64_t, json::string_view, Code&) { return true; }
  bool on_double(double, json::string_view, Code&) { return true; }
  bool on_bool(bool, Code&) { return true; }
  bool on_null(Code&) { return true; }
  bool on_comment_part(json::string_view, Code&) { return true; }
  bool on_comment(json::string_view, Code&) { return true; }

  std::size_t count = 0;
};

std::size_t members_in(const json::value& value) {
  std::size_t count = 0;
  if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) count += members_in(element);
  } else if (const json::object* object = value.if_object()) {
    for (const json::key_value_pair& member : *object) count += 1 + members_in(member.value());
  }
  return count;
}

// The most objects and arrays around any value.
int depth_of(const json::value& value) {
  int depth = 0;
  if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) depth = std::max(depth, 1 + depth_of(element));
  } else if (const json::object* object = value.if_object()) {
    for (const json::key_value_pair& member : *object) depth = std::max(depth, 1 + depth_of(member.value()));
  }
  return depth;
}

// Boost rounds otherwise near the end of the range, and makes infinity of what is beyond.
bool has_huge_number(const json::value& value) {
  if (const double* real = value.if_double()) return std::abs(*real) > 1e307;
  if (const json::array* array = value.if_array()) return std::ranges::any_of(*array, has_huge_number);
  const json::object* object = value.if_object();
  return object && std::ranges::any_of(*object, [](const auto& member) { return has_huge_number(member.value()); });
}

std::optional<std::string_view> text_of(const json::value* value) {
  if (!value || !value->is_string()) return std::nullopt;
  return std::string_view(value->get_string().data(), value->get_string().size());
}

enum class Verdict : std::uint8_t { refused, accepted, unsure };

// `to` is the object, if accepted.
Verdict read_object(std::string_view text, json::object& to) {
  // Readers may ignore a byte order mark (RFC 8259, 8.1): ours does, Boost does not.
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  json::parse_options options;
  options.max_depth = 5000;  // more than a token has bytes
  json::error_code failed;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), failed, {}, options);
  if (failed == json::error::exponent_overflow) return Verdict::unsure;  // 0e9999999999
  if (failed || !value.is_object() || depth_of(value) > 16) return Verdict::refused;
  json::basic_parser<Members> members(options);
  members.write_some(false, text.data(), text.size(), failed);
  if (members.handler().count != members_in(value)) return Verdict::refused;
  to = value.get_object();
  return has_huge_number(value) ? Verdict::unsure : Verdict::accepted;
}

Verdict judge_header(std::string_view text, const Secret& secret) {
  json::object header;
  const Verdict verdict = read_object(text, header);
  if (verdict != Verdict::accepted) return verdict;
  bool good = !header.contains("crit") && text_of(header.if_contains("alg")) == secret.algorithm;
  if (header.contains("kid")) good = good && text_of(header.if_contains("kid")) == secret.id;
  if (header.contains("typ")) {
    std::string lower(text_of(header.if_contains("typ")).value_or(""));
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    good = good && lower == "jwt";
  }
  return good ? verdict : Verdict::refused;
}

Verdict judge_claims(const json::object& claims, const JwtOptions& options, std::chrono::sys_seconds now) {
  Verdict verdict = Verdict::accepted;
  // `from` and `until`: how the time that a claim names must lie to now. Boost may err in a double's last digits.
  const auto judge_date = [&](const char* name, bool from, bool until) {
    const json::value* const value = claims.if_contains(name);
    if (!value) return;
    const double time = value->is_number() ? value->to_number<double>() : -1;
    const double ahead = time - static_cast<double>(now.time_since_epoch().count());
    const auto leeway = static_cast<double>(options.leeway.count());
    const double edge = until ? ahead + leeway : leeway - ahead;
    const bool good = time >= 0 && time <= 253402300799 && (!from || edge >= 0) && (!until || edge > 0);
    if (value->is_double() && (std::abs(edge) < 0.01 || std::abs(time - 253402300799) < 0.01)) {
      if (verdict == Verdict::accepted) verdict = Verdict::unsure;
    } else if (!good) {
      verdict = Verdict::refused;
    }
  };
  judge_date("exp", false, true);
  judge_date("nbf", true, false);
  judge_date("iat", true, false);
  if (options.require_expiry && !claims.contains("exp")) return Verdict::refused;
  const json::value* const audience = claims.if_contains("aud");
  const auto is_audience = [&options](const json::value& value) { return text_of(&value) == options.audience; };
  const bool issued = options.issuer.empty() || text_of(claims.if_contains("iss")) == options.issuer;
  const bool meant = options.audience.empty() ||
                     (audience && (is_audience(*audience) ||
                                   (audience->is_array() && std::ranges::any_of(audience->get_array(), is_audience))));
  return issued && meant ? verdict : Verdict::refused;
}

// A changed signature, header or payload is refused, whichever character it is. REQUIRES: the token is believed.
void check_changed(const JwtVerifier& verifier, std::string_view token, std::chrono::sys_seconds now,
                   std::size_t where) {
  const std::size_t signature = token.rfind('.') + 1;
  for (const auto& [begin, end] : {std::pair(std::size_t{0}, signature - 1), std::pair(signature, token.size() - 1)}) {
    std::string changed(token);
    char& c = changed[begin + where % (end - begin)];
    if (c == '.') continue;
    c = c == 'A' ? 'B' : 'A';
    WAYPORT_ASSERT(!verifier.verify(changed, now).has_value(), "another signature, or of something else, is refused");
  }
}

struct Judge {
  const JwtOptions options;
  const JwtVerifier verifier = make(options);
};

// The verdict on what the key has signed, against the second reading.
void check_signed(const Judge& judge, const Secret& secret, std::string_view header, std::string_view payload,
                  std::chrono::sys_seconds now, std::size_t where) {
  const std::string token = signed_token(secret, header, payload);
  const auto found = judge.verifier.verify(token, now);
  const Verdict form = judge_header(header, secret);
  json::object claims;
  Verdict content = token.size() > 4096 ? Verdict::refused : read_object(payload, claims);
  if (content == Verdict::accepted) content = judge_claims(claims, judge.options, now);
  const bool no = form == Verdict::refused || content == Verdict::refused;
  const bool yes = form == Verdict::accepted && content == Verdict::accepted;
  WAYPORT_ASSERT(!(no && found), "what the second reading refuses is not believed, though it is signed");
  WAYPORT_ASSERT(!(yes && !found), "what is signed and in order is believed");
  if (!found) return;
  WAYPORT_ASSERT(found->payload() == payload, "and it is what was signed");
  check_claims(*found);
  check_changed(judge.verifier, token, now, where);
}

}  // namespace
}  // namespace wayport::framing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::framing;
  static const Judge judges[] = {{{}},
                                 {{.leeway = std::chrono::seconds(30), .require_expiry = false}},
                                 {{.issuer = "wayport", .audience = "gate"}}};
  const JwtVerifier& strict = judges[0].verifier;
  const JwtVerifier& loose = judges[1].verifier;
  const JwtVerifier& here = judges[2].verifier;
  if (size == 0) return 0;
  const std::uint8_t choice = data[0];
  const std::string_view token(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::chrono::sys_seconds now{std::chrono::seconds((choice & kEarly) != 0 ? 1'800'000'000 : 1'900'000'000)};
  if ((choice & kSign) != 0 && !token.empty()) {
    const Secret& secret = kSecrets[(choice >> 1 & 3) % kSecrets.size()];
    const std::string_view header = token.substr(1, static_cast<std::uint8_t>(token[0]));
    const std::string usual = R"({"alg":")" + std::string(secret.algorithm) + R"("})";
    check_signed(judges[(choice >> 3 & 3) % std::size(judges)], secret, header.empty() ? usual : header,
                 token.substr(1 + header.size()), now, size);
    return 0;
  }
  const auto claims = strict.verify(token, now);
  const auto again = strict.verify(token, now);
  const auto easier = loose.verify(token, now);
  WAYPORT_ASSERT(claims.has_value() == again.has_value(), "the same token gets the same verdict");
  WAYPORT_ASSERT(easier.has_value() || !claims, "fewer demands accept no less");
  if (!claims) {
    WAYPORT_ASSERT(claims.error().to_string() == again.error().to_string(), "for the same reason");
    return 0;
  }
  WAYPORT_ASSERT(claims->expires() && *claims->expires() + std::chrono::seconds(10) >= now,
                 "what has expired is refused");
  boost::json::object object;
  WAYPORT_ASSERT(token.size() <= 4096 && read_object(claims->payload(), object) != Verdict::refused,
                 "a bounded object, as others read it");
  check_claims(*claims);
  const auto ours = here.verify(token, now);
  const auto audience = claims->texts("aud");
  WAYPORT_ASSERT(
      ours.has_value() == (claims->text("iss") == "wayport" && std::ranges::find(audience, "gate") != audience.end()),
      "a token for somebody else, or of somebody else, is refused");
  check_changed(strict, token, now, choice + token.size());
  return 0;
}
