#include "wayport/rpc/plugins/authentication/jwt.h"

#include <boost/describe/class.hpp>
#include <utility>

#include "wayport/framing/body_ops.h"
#include "wayport/rpc/plugins/authentication/auth_packets.h"

namespace wayport::rpc {

// The body of the one request, as JSON.
struct AuthToken {
  std::string token;
};
BOOST_DESCRIBE_STRUCT(AuthToken, (), (token))

namespace {

using Packet = PreSession::Packet;

constexpr std::uint64_t kTokenSeq = 1;

std::chrono::sys_seconds system_seconds() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

}  // namespace

bool auth::is_private(const transport::PeerInfo& peer) {
  const std::string_view scheme = peer.scheme;
  if ((peer.tls && peer.tls->verified) || peer.unix_peer || scheme == "unix") return true;
  const std::string remote = peer.remote.to_string();
  return remote.starts_with("127.") || remote.starts_with("[::1]");
}

JwtServer::JwtServer(framing::JwtVerifier verifier, JwtServerOptions options)
    : verifier_(std::make_shared<const framing::JwtVerifier>(std::move(verifier))), options_(std::move(options)) {}

void JwtServer::set_verifier(framing::JwtVerifier verifier) {
  auto fresh = std::make_shared<const framing::JwtVerifier>(std::move(verifier));
  const std::lock_guard lock(mutex_);
  verifier_ = std::move(fresh);
}

boost::asio::awaitable<Status> JwtServer::post_accept(PreSession& session) {
  Status status = co_await exchange(session);
  (status.ok() ? counters_.accepted : counters_.refused).fetch_add(1, std::memory_order_relaxed);
  co_return status;
}

boost::asio::awaitable<Status> JwtServer::exchange(PreSession& session) {
  const Result<Packet> request = co_await session.receive();
  if (!request) co_return auth::unauthorized("before it showed a token: " + request.error().to_string());
  if (std::string why = auth::unexpected_request(*request, kAuthJwtUri); !why.empty()) {
    co_return auth::refuse(session, *request, std::move(why));
  }
  const Result<AuthToken> body = session.decode<AuthToken>(*request);
  // What a decoder says of a body may show pieces of it.
  if (!body) co_return auth::refuse(session, *request, "the packet with its token does not decode");
  std::shared_ptr<const framing::JwtVerifier> verifier;
  {
    const std::lock_guard lock(mutex_);
    verifier = verifier_;
  }
  const Result<framing::JwtClaims> claims =
      verifier->verify(body->token, options_.clock ? options_.clock() : system_seconds());
  if (!claims) co_return auth::refuse(session, *request, claims.error().detail);
  const std::optional<std::string> identity = claims->text(options_.identity_claim);
  if (!identity || identity->empty() || identity->size() > kAuthIdentityBytesMax) {
    co_return auth::refuse(
        session, *request,
        "its token is valid, but has no usable text in the claim " + options_.identity_claim + ", which is to name it");
  }
  framing::OutgoingPacket reply;
  reply.header = auth::reply_header(*request);
  reply.header_codec = session.options().header_codec;
  const Result<void> answered = session.send(reply);
  if (!answered) co_return auth::unauthorized("the answer could not be sent: " + answered.error().to_string());
  session.store().set(std::string(kAuthIdentityKey), *identity);
  session.store().set(std::string(kAuthClaimsKey), *claims);
  if (options_.session_id_is_identity) session.set_id(*identity);
  co_return Status();
}

std::optional<framing::JwtClaims> jwt_claims(const Session& session) {
  return session.store().get<framing::JwtClaims>(kAuthClaimsKey);
}

JwtClient::JwtClient(TokenSource source, JwtClientOptions options) : source_(std::move(source)), options_(options) {}

JwtClient::JwtClient(std::string token, JwtClientOptions options)
    : JwtClient([token = std::move(token)]() -> Result<std::string> { return token; }, options) {}

boost::asio::awaitable<Status> JwtClient::post_dial(PreSession& session) {
  Status status = co_await exchange(session);
  (status.ok() ? counters_.accepted : counters_.refused).fetch_add(1, std::memory_order_relaxed);
  co_return status;
}

boost::asio::awaitable<Status> JwtClient::exchange(PreSession& session) {
  const transport::PeerInfo& peer = session.peer();
  if (!options_.allow_plain_text && !auth::is_private(peer)) {
    co_return auth::unauthorized(
        "a token sent over " + std::string(peer.scheme) + " could be stolen: " +
        (peer.tls ? "the server's certificate is not verified; verify it (ca=..., without insecure=1)"
                  : "dial tls://") +
        ", or set JwtClientOptions::allow_plain_text");
  }
  const Result<std::string> token = source_();
  if (!token) co_return auth::unauthorized("there is no token to show: " + token.error().to_string());
  const Result<void> sent =
      session.send_value(auth::pull_header(kTokenSeq, kAuthJwtUri), framing::kCodecJson, AuthToken{*token});
  if (!sent) co_return auth::unauthorized("the token could not be sent: " + sent.error().to_string());
  const Result<Packet> reply = co_await session.receive();
  if (!reply) co_return auth::unauthorized("the server did not answer the token: " + reply.error().to_string());
  if (std::string why = auth::bad_reply(*reply, kTokenSeq); !why.empty()) co_return auth::unauthorized(std::move(why));
  co_return Status();
}

}  // namespace wayport::rpc
