#include "wayport/gateway/route/jwt_resolver.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <atomic>
#include <boost/json/value.hpp>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>

#include "wayport/base/bytes.h"
#include "wayport/framing/base64.h"
#include "wayport/framing/json_value.h"
#include "wayport/framing/jwt/jwt_verify.h"
#include "wayport/gateway/program/files.h"
#include "wayport/gateway/route/periodic.h"

namespace wayport::route {
namespace {

using framing::JwtAlgorithm;
using framing::JwtClaims;
using framing::JwtKey;
using framing::JwtVerifier;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr std::size_t kKeyFileBytesMax = 64 * 1024;
constexpr std::size_t kTokenBytesMax = 4096;
constexpr std::size_t kPassedClaimBytesMax = 256;
constexpr std::size_t kPassedClaimsMax = 32;

// Where a key comes from.
struct KeySource {
  std::string id;
  JwtAlgorithm algorithm = JwtAlgorithm::es256;
  std::string file;    // empty: `secret`
  std::string secret;  // HS only
};

struct JwtSettings {
  std::vector<KeySource> keys;
  std::string key_directory;
  framing::JwtOptions options{};
  std::string host_claim = "host";
  std::string port_claim = "port";
  std::vector<std::string> pass_claims;
  Duration reload_interval = seconds(10);
  bool unsigned_tokens = false;
};

bool is_mac(JwtAlgorithm algorithm) noexcept { return framing::to_string(algorithm).starts_with("HS"); }

Result<KeySource> read_key_source(const SettingsTable& table, const std::string& what) {
  SettingsReader read(table, what);
  KeySource source;
  std::string algorithm;
  WAYPORT_TRY(read.text("id", source.id));
  WAYPORT_TRY(read.text("algorithm", algorithm));
  WAYPORT_TRY(read.text("file", source.file));
  WAYPORT_TRY(read.text("secret", source.secret));
  WAYPORT_TRY(read.finish());
  const Result<JwtAlgorithm> known = framing::parse_jwt_algorithm(algorithm);
  if (!known) return read.bad("algorithm", "is not usable: " + known.error().detail);
  source.algorithm = *known;
  if (source.file.empty() == source.secret.empty()) return read.bad("file", "or secret has to be given, and not both");
  if (!source.secret.empty() && !is_mac(source.algorithm)) {
    return read.bad("secret", "is for HS algorithms; " + algorithm + " needs a file with a public key");
  }
  return source;
}

Result<JwtSettings> read_settings(const SettingsTable& table) {
  SettingsReader read(table, "resolver \"jwt\"");
  JwtSettings settings;
  WAYPORT_TRY_ASSIGN(const auto keys, read.tables("keys"));
  WAYPORT_TRY(read.text("key_directory", settings.key_directory));
  WAYPORT_TRY(read.text("issuer", settings.options.issuer));
  WAYPORT_TRY(read.text("audience", settings.options.audience));
  Duration leeway = settings.options.leeway;
  WAYPORT_TRY(read.time("leeway", leeway, Duration::zero(), framing::kJwtLeewayMax));
  settings.options.leeway = std::chrono::duration_cast<seconds>(leeway);
  WAYPORT_TRY(read.flag("require_expiry", settings.options.require_expiry));
  WAYPORT_TRY(read.text("host_claim", settings.host_claim));
  WAYPORT_TRY(read.text("port_claim", settings.port_claim));
  WAYPORT_TRY(read.texts("pass_claims", settings.pass_claims));
  WAYPORT_TRY(read.time("reload_interval", settings.reload_interval, Duration::zero(), std::chrono::hours(24)));
  WAYPORT_TRY(read.flag("unsafe_accept_unsigned_tokens", settings.unsigned_tokens));
  WAYPORT_TRY(read.finish());
  if (settings.host_claim.empty()) return read.bad("host_claim", "is empty");
  if (settings.port_claim.empty()) return read.bad("port_claim", "is empty");
  if (settings.pass_claims.size() > kPassedClaimsMax) {
    return read.bad("pass_claims", "has more than " + std::to_string(kPassedClaimsMax) + " names");
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    WAYPORT_TRY_ASSIGN(KeySource source, read_key_source(*keys[i], read.what() + ": keys[" + std::to_string(i) + "]"));
    settings.keys.push_back(std::move(source));
  }
  const bool has_keys = !settings.keys.empty() || !settings.key_directory.empty();
  if (settings.unsigned_tokens && has_keys) {
    return read.bad("unsafe_accept_unsigned_tokens",
                    "verifies nothing, so there must be neither keys nor key_directory");
  }
  if (!settings.unsigned_tokens && !has_keys) {
    return read.bad("keys", "or key_directory has to be given: tokens are verified");
  }
  return settings;
}

// "2026-11.ES256.pem"; nullopt: no name of a key.
std::optional<KeySource> key_source_of(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  if (name.starts_with('.')) return std::nullopt;  // also where orchestrators keep the files that others link to
  const std::string kind = path.extension().string();
  if (kind != ".pem" && kind != ".secret") return std::nullopt;
  const std::filesystem::path stem = path.stem();
  const std::string algorithm = stem.extension().string();
  const Result<JwtAlgorithm> known = framing::parse_jwt_algorithm(algorithm.empty() ? algorithm : algorithm.substr(1));
  if (!known || is_mac(*known) != (kind == ".secret")) return std::nullopt;
  return KeySource{stem.stem().string(), *known, path.string(), {}};
}

Result<std::vector<KeySource>> list_directory(const std::string& directory) {
  std::vector<KeySource> sources;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    std::optional<KeySource> source = key_source_of(at->path());
    if (!source) continue;
    if (sources.size() == framing::kJwtKeysMax) {
      return fail(ErrorCode::too_large, "key_directory " + escape(directory) + " has more than " +
                                            std::to_string(framing::kJwtKeysMax) + " keys");
    }
    sources.push_back(*std::move(source));
  }
  if (error) {
    return fail(Error{ErrorCode::io, "key_directory " + escape(directory) + " cannot be listed", error});
  }
  std::ranges::sort(sources, {}, &KeySource::file);
  return sources;
}

// --- claims, whoever vouches for them ---

class Claims {
 public:
  virtual ~Claims() = default;
  virtual std::optional<std::string> text(const std::string& name) const = 0;
  virtual std::optional<std::int64_t> integer(const std::string& name) const = 0;
  virtual std::optional<bool> boolean(const std::string& name) const = 0;
};

class VerifiedClaims final : public Claims {
 public:
  explicit VerifiedClaims(JwtClaims claims) : claims_(std::move(claims)) {}
  std::optional<std::string> text(const std::string& name) const override { return claims_.text(name); }
  std::optional<std::int64_t> integer(const std::string& name) const override { return claims_.integer(name); }
  std::optional<bool> boolean(const std::string& name) const override { return claims_.boolean(name); }

 private:
  const JwtClaims claims_;
};

class UnsignedClaims final : public Claims {
 public:
  // The payload of what looks like a token, in either alphabet, with or without padding. Its times count.
  static std::expected<UnsignedClaims, std::string> read(std::string_view token, sys_seconds now, seconds leeway) {
    if (token.size() > kTokenBytesMax) return std::unexpected("it has over 4096 bytes");
    const std::size_t first = token.find('.');
    const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
    if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
      return std::unexpected("it has not three parts");
    }
    std::string payload(token.substr(first + 1, second - first - 1));
    for (char& c : payload) c = c == '-' ? '+' : c == '_' ? '/' : c;
    while (payload.ends_with('=')) payload.pop_back();
    while (payload.size() % 4 != 0) payload += '=';
    const std::optional<std::string> text = framing::from_base64(payload);
    UnsignedClaims claims;
    if (!text || !framing::parse_json(*text, claims.content_) || !claims.content_.is_object()) {
      return std::unexpected("its payload is no JSON object in base64");
    }
    const auto time = [&](const std::string& name) { return claims.integer(name); };
    const std::int64_t clock = now.time_since_epoch().count();
    if (const auto expiry = time("exp"); expiry && clock - leeway.count() >= *expiry) {
      return std::unexpected("it is expired");
    }
    if (const auto begin = time("nbf"); begin && clock + leeway.count() < *begin) {
      return std::unexpected("it is not yet valid");
    }
    return claims;
  }
  std::optional<std::string> text(const std::string& name) const override {
    const boost::json::value* const value = find(name);
    if (!value || !value->is_string()) return std::nullopt;
    return std::string(value->get_string().data(), value->get_string().size());
  }
  std::optional<std::int64_t> integer(const std::string& name) const override {
    const boost::json::value* const value = find(name);
    return value && value->is_int64() ? std::optional(value->get_int64()) : std::nullopt;
  }
  std::optional<bool> boolean(const std::string& name) const override {
    const boost::json::value* const value = find(name);
    return value && value->is_bool() ? std::optional(value->get_bool()) : std::nullopt;
  }

 private:
  const boost::json::value* find(const std::string& name) const { return content_.get_object().if_contains(name); }

  boost::json::value content_;
};

// --- the resolver ---

class JwtResolver final : public ImmediateResolver {
 public:
  JwtResolver(JwtSettings settings, const ResolverContext& context)
      : settings_(std::move(settings)),
        log_(context.log),
        route_(context.route),
        wall_clock_(context.wall_clock),
        reload_timer_(context.loop, settings_.unsigned_tokens ? Duration::zero() : settings_.reload_interval,
                      [this] { reload(); }) {}

  Result<void> begin() {
    if (settings_.unsigned_tokens) {
      log_.write(LogLevel::warning, "TOKENS ARE NOT VERIFIED: anybody may name any backend that the allow list allows",
                 {{"route", route_}, {"setting", "unsafe_accept_unsigned_tokens"}});
      return {};
    }
    WAYPORT_TRY_ASSIGN(const Loaded loaded, load());
    if (loaded.keys == 0) {
      return fail(ErrorCode::invalid_argument, "key_directory " + escape(settings_.key_directory) + " has no key");
    }
    take(loaded);
    return {};
  }

  ResolveOutcome resolve_now(const ResolveRequest& request) const override {
    ResolveOutcome outcome = settings_.unsigned_tokens ? from_unsigned(request) : from_signed(request);
    auto& counter = !outcome ? refused_ : settings_.unsigned_tokens ? unsigned_ : verified_;
    counter.fetch_add(1, std::memory_order_relaxed);
    return outcome;
  }
  bool identify_is_secret() const noexcept override { return true; }

  void reload() override {
    if (settings_.unsigned_tokens) return;
    const Result<Loaded> loaded = load();
    if (!loaded) {
      failures_.fetch_add(1, std::memory_order_relaxed);
      if (loaded.error().detail != last_failure_) {
        last_failure_ = loaded.error().detail;
        log_.write(LogLevel::warning, "keys of tokens cannot be read; those read before stay",
                   {{"route", route_}, {"error", loaded.error()}});
      }
      return;
    }
    last_failure_.clear();
    if (loaded->fingerprint == fingerprint_) return;
    take(*loaded);
    reloads_.fetch_add(1, std::memory_order_relaxed);
    if (loaded->keys == 0) {
      log_.write(LogLevel::error, "no key of tokens is left: every token is refused until there is one",
                 {{"route", route_}, {"key_directory", settings_.key_directory}});
      return;
    }
    log_.write(LogLevel::info, "keys of tokens were read again", {{"route", route_}, {"keys", loaded->keys}});
  }

  std::vector<ResolverCounter> counters() const override {
    const auto read = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
    return {{"verified", read(verified_)},
            {"unsigned", read(unsigned_)},
            {"refused_tokens", read(refused_)},
            {"key_reloads", read(reloads_)},
            {"key_reload_failures", read(failures_)},
            {"keys", read(keys_)}};
  }

 private:
  struct Loaded {
    std::shared_ptr<const JwtVerifier> verifier;  // nullptr: there is no key
    std::size_t keys = 0;
    std::uint64_t fingerprint = 0;  // of what the keys were made of
  };

  Result<Loaded> load() const {
    std::vector<KeySource> sources = settings_.keys;
    if (!settings_.key_directory.empty()) {
      WAYPORT_TRY_ASSIGN(std::vector<KeySource> more, list_directory(settings_.key_directory));
      std::ranges::move(more, std::back_inserter(sources));
    }
    Loaded loaded;
    std::vector<JwtKey> keys;
    for (const KeySource& source : sources) {
      std::string content = source.secret;
      if (!source.file.empty()) {
        WAYPORT_TRY_ASSIGN(content, gateway::read_file(source.file, kKeyFileBytesMax, gateway::Links::follow));
        if (is_mac(source.algorithm) && content.ends_with('\n')) content.pop_back();
        if (is_mac(source.algorithm) && content.ends_with('\r')) content.pop_back();
      }
      Result<JwtKey> key = is_mac(source.algorithm) ? JwtKey::secret(source.id, source.algorithm, content)
                                                    : JwtKey::public_key(source.id, source.algorithm, content);
      if (!key) {
        return fail(key.error().code, "key \"" + escape(source.id, 64) + "\"" +
                                          (source.file.empty() ? "" : " of " + escape(source.file)) + ": " +
                                          key.error().detail);
      }
      for (const std::string_view part :
           {std::string_view(source.id), framing::to_string(source.algorithm), std::string_view(content)}) {
        loaded.fingerprint = loaded.fingerprint * 0x9e3779b97f4a7c15u + std::hash<std::string_view>()(part);
      }
      ::OPENSSL_cleanse(content.data(), content.size());
      keys.push_back(*std::move(key));
    }
    loaded.keys = keys.size();
    if (keys.empty()) return loaded;  // an empty directory: the last key was revoked
    WAYPORT_TRY_ASSIGN(JwtVerifier verifier, JwtVerifier::make(std::move(keys), settings_.options));
    loaded.verifier = std::make_shared<const JwtVerifier>(std::move(verifier));
    return loaded;
  }
  void take(const Loaded& loaded) {
    fingerprint_ = loaded.fingerprint;
    keys_.store(loaded.keys, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    verifier_ = loaded.verifier;
  }

  sys_seconds now() const {
    return wall_clock_ ? wall_clock_() : std::chrono::floor<seconds>(std::chrono::system_clock::now());
  }

  ResolveOutcome from_signed(const ResolveRequest& request) const {
    std::shared_ptr<const JwtVerifier> verifier;
    {
      const std::lock_guard lock(mutex_);
      verifier = verifier_;
    }
    if (!verifier) return refuse(RouteError::unauthorized, "there is no key: every token is refused");
    Result<JwtClaims> claims = verifier->verify(request.identify, now());
    if (!claims) return refuse(RouteError::unauthorized, claims.error().to_string());
    const std::string key =
        claims->key_id().empty() ? "the only key of its algorithm" : "key \"" + escape(claims->key_id(), 64) + "\"";
    return resolved(VerifiedClaims(*std::move(claims)), "a token that " + key + " signed");
  }
  ResolveOutcome from_unsigned(const ResolveRequest& request) const {
    const auto claims = UnsignedClaims::read(request.identify, now(), settings_.options.leeway);
    if (!claims) return refuse(RouteError::unauthorized, "the token is refused: " + claims.error());
    return resolved(*claims, "a token that NOBODY VERIFIED (unsafe_accept_unsigned_tokens)");
  }
  ResolveOutcome resolved(const Claims& claims, std::string how) const {
    const std::optional<std::string> host = claims.text(settings_.host_claim);
    const std::optional<std::int64_t> port = claims.integer(settings_.port_claim);
    if (!host || !port) {
      return refuse(RouteError::unauthorized, "the token has no claim \"" +
                                                  (host ? settings_.port_claim : settings_.host_claim) +
                                                  (host ? "\" that is a whole number" : "\" that is a text"));
    }
    Result<Target> target = make_target(*host, *port);
    if (!target) return refuse(RouteError::unauthorized, "the token names no backend: " + target.error().detail);
    Resolved outcome;
    outcome.backends.push_back({*std::move(target), std::nullopt});
    outcome.how = std::move(how);
    for (const std::string& name : settings_.pass_claims) {
      std::string value;
      if (const auto text = claims.text(name)) {
        value = *text;
      } else if (const auto number = claims.integer(name)) {
        value = std::to_string(*number);
      } else if (const auto flag = claims.boolean(name)) {
        value = *flag ? "true" : "false";
      } else {
        continue;
      }
      outcome.claims.emplace_back(name, value.substr(0, kPassedClaimBytesMax));
    }
    return outcome;
  }

  const JwtSettings settings_;
  Log& log_;
  const std::string route_;
  const std::function<sys_seconds()> wall_clock_;
  std::uint64_t fingerprint_ = 0;
  std::string last_failure_;
  mutable std::mutex mutex_;
  std::shared_ptr<const JwtVerifier> verifier_;  // by mutex_; nullptr: no key
  mutable std::atomic<std::uint64_t> verified_{0}, unsigned_{0}, refused_{0}, reloads_{0}, failures_{0}, keys_{0};
  Periodic reload_timer_;
};

}  // namespace

Result<std::shared_ptr<Resolver>> make_jwt_resolver(const SettingsTable& table, const ResolverContext& context) {
  WAYPORT_TRY_ASSIGN(JwtSettings settings, read_settings(table));
  auto resolver = std::make_shared<JwtResolver>(std::move(settings), context);
  if (const Result<void> begun = resolver->begin(); !begun) {
    return fail(begun.error().code, "resolver \"jwt\": " + begun.error().detail);
  }
  return resolver;
}

}  // namespace wayport::route
