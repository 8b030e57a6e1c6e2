// JWT authentication: the dialling side sends a token, the accepting side verifies it (framing/jwt) before the session exists.
//
//   auto key = framing::JwtKey::public_key("2026-11", framing::JwtAlgorithm::es256, pem);
//   auto verifier = framing::JwtVerifier::make({*key}, {.issuer = "https://login.example", .audience = "orders"});
//   server.plugins().add(std::make_shared<rpc::JwtServer>(*verifier));
//   client.plugins().add(std::make_shared<rpc::JwtClient>([] { return read_token(); }));
//
// Whoever sees a token can use it until it expires: the client sends it only over TLS with a verified server, or connections
// that do not leave the machine. The server proves nothing by this; TLS does. Thread-safe; nothing runs per message.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "wayport/framing/jwt/jwt_verify.h"
#include "wayport/rpc/plugin.h"
#include "wayport/rpc/plugins/authentication/authentication.h"
#include "wayport/rpc/plugins/authentication/shared_secret.h"

namespace wayport::rpc {

inline constexpr std::string_view kAuthJwtUri = "/wayport/auth/jwt";
// In the session's store, as framing::JwtClaims.
inline constexpr std::string_view kAuthClaimsKey = "auth.claims";

struct JwtServerOptions {
  std::string identity_claim = "sub";  // whose text is the identity; tokens without it are refused
  // The identity becomes the session's id: a new session of an identity closes its older one (spec/teleport 9).
  bool session_id_is_identity = false;
  std::function<std::chrono::sys_seconds()> clock{};  // empty: the system's
};

// The accepting side.
class JwtServer final : public Plugin, public PostAccept {
 public:
  explicit JwtServer(framing::JwtVerifier verifier, JwtServerOptions options = {});
  // For handshakes that begin from now on; any thread.
  void set_verifier(framing::JwtVerifier verifier);
  const AuthCounters& counters() const noexcept { return counters_; }

  std::string_view name() const noexcept override { return "jwt_server"; }
  boost::asio::awaitable<Status> post_accept(PreSession& session) override;

 private:
  boost::asio::awaitable<Status> exchange(PreSession& session);

  mutable std::mutex mutex_;  // guards verifier_
  std::shared_ptr<const framing::JwtVerifier> verifier_;
  const JwtServerOptions options_;
  AuthCounters counters_;
};

// nullopt: the session's dialling side showed no token. Any thread.
std::optional<framing::JwtClaims> jwt_claims(const Session& session);

struct JwtClientOptions {
  // Over connections that are neither TLS with a verified server nor within this machine, the token can be stolen; the dial
  // fails then, unless this is true.
  bool allow_plain_text = false;
};

// The dialling side.
class JwtClient final : public Plugin, public PostDial {
 public:
  // Asked once per dial, on the connection's loop: must not block; an error fails the dial.
  using TokenSource = std::function<Result<std::string>()>;
  explicit JwtClient(TokenSource source, JwtClientOptions options = {});
  explicit JwtClient(std::string token, JwtClientOptions options = {});
  const AuthCounters& counters() const noexcept { return counters_; }

  std::string_view name() const noexcept override { return "jwt_client"; }
  boost::asio::awaitable<Status> post_dial(PreSession& session) override;

 private:
  boost::asio::awaitable<Status> exchange(PreSession& session);

  const TokenSource source_;
  const JwtClientOptions options_;
  AuthCounters counters_;
};

}  // namespace wayport::rpc
