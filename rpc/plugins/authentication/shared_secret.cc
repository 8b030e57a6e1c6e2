#include "wayport/rpc/plugins/authentication/shared_secret.h"

#include <openssl/rand.h>

#include <algorithm>
#include <boost/describe/class.hpp>
#include <stdexcept>
#include <utility>
#include <vector>

#include "wayport/framing/body_ops.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/plugins/authentication/auth_dials.h"
#include "wayport/rpc/plugins/authentication/auth_packets.h"
#include "wayport/rpc/plugins/authentication/shared_secret_proof.h"

namespace wayport::rpc {

// Bodies, as JSON; bytes are base64 (framing/json.h).
struct AuthHello {
  std::string key;
  std::string server;
  std::vector<std::byte> nonce;
};
struct AuthChallenge {
  std::vector<std::byte> nonce;
};
struct AuthAnswer {
  std::vector<std::byte> proof;
};
BOOST_DESCRIBE_STRUCT(AuthHello, (), (key, server, nonce))
BOOST_DESCRIBE_STRUCT(AuthChallenge, (), (nonce))
BOOST_DESCRIBE_STRUCT(AuthAnswer, (), (proof))

namespace {

using Packet = PreSession::Packet;

constexpr std::uint64_t kHelloSeq = 1;
constexpr std::uint64_t kProofSeq = 2;

std::vector<std::byte> random_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size)) != 1) {
    throw StatusError(code::kInternal, "OpenSSL has no random numbers");
  }
  return bytes;
}

std::vector<std::byte> to_vector(const AuthProof& proof) { return {proof.begin(), proof.end()}; }

SecretKeys::Key choose(const SecretKeys& keys, std::string_view id) {
  if (keys.empty()) throw std::logic_error("shared_secret_client needs a key");
  if (id.empty()) return keys.all().back();
  const SecretKeys::Key* key = keys.find(id);
  if (!key) throw std::logic_error("shared_secret_client: there is no key " + std::string(id));
  return *key;
}

SharedSecretServerOptions checked(SharedSecretServerOptions options) {
  for (const std::string& name : options.names) {
    if (name.empty() || name.size() > kAuthServerBytesMax) {
      throw std::logic_error("shared_secret_server: the name " + escape(name, 64) + " has " +
                             std::to_string(name.size()) + " bytes; allowed are 1 to " +
                             std::to_string(kAuthServerBytesMax));
    }
  }
  return options;
}

SharedSecretClientOptions checked(SharedSecretClientOptions options) {
  if (options.server.size() > kAuthServerBytesMax) {
    throw std::logic_error("shared_secret_client: the server's name has " + std::to_string(options.server.size()) +
                           " bytes; allowed are " + std::to_string(kAuthServerBytesMax));
  }
  return options;
}

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// What a stranger to whom we were led cannot choose: the name that his certificate would need, or where he is.
std::string reached(const transport::PeerInfo& peer) {
  if (peer.tls && peer.tls->verified && !peer.tls->server_name.empty()) return peer.tls->server_name;
  return peer.remote.to_string();
}

std::shared_ptr<const SecretKeys> some(SecretKeys keys) {
  if (keys.empty()) throw std::logic_error("shared_secret_server needs a key, or it could let nobody in");
  return std::make_shared<const SecretKeys>(std::move(keys));
}

}  // namespace

SharedSecretServer::SharedSecretServer(SecretKeys keys, SharedSecretServerOptions options)
    : keys_(some(std::move(keys))),
      options_(checked(std::move(options))),
      nobody_(as_text(random_bytes(kSecretBytesMin))) {}

// Nothing of this peer dials before it listens.
Result<void> SharedSecretServer::post_listen(Peer& peer) {
  if (const auto client = peer.plugins().find_as<SharedSecretClient>("shared_secret_client")) {
    const std::lock_guard lock(mutex_);
    own_dials_.push_back(client->dials_);
  }
  return {};
}

void SharedSecretServer::set_keys(SecretKeys keys) {
  auto fresh = some(std::move(keys));
  const std::lock_guard lock(mutex_);
  keys_ = std::move(fresh);
}

std::shared_ptr<const SecretKeys> SharedSecretServer::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

std::string SharedSecretServer::relayed(const std::string& server, const std::vector<std::byte>& nonce) const {
  {
    const std::lock_guard lock(mutex_);
    if (std::ranges::any_of(own_dials_, [&](const auto& dials) { return dials->contains(nonce); })) {
      return "its hello is that of a dial of our own: somebody whom this peer dialled passes its proof back, or it "
             "dialled itself";
    }
  }
  if (options_.names.empty()) return {};
  if (std::ranges::any_of(options_.names, [&](const std::string& name) { return same_name(name, server); })) return {};
  return "its hello is meant for " + (server.empty() ? "nobody in particular" : escape(server, 64)) +
         ", which is none of SharedSecretServerOptions::names: somebody whom it dialled passes its proof on, or the "
         "name "
         "is missing";
}

boost::asio::awaitable<Status> SharedSecretServer::post_accept(PreSession& session) {
  Status status = co_await exchange(session);
  (status.ok() ? counters_.accepted : counters_.refused).fetch_add(1, std::memory_order_relaxed);
  co_return status;
}

boost::asio::awaitable<Status> SharedSecretServer::exchange(PreSession& session) {
  const Result<Packet> first = co_await session.receive();
  if (!first) co_return auth::unauthorized("before it said who it is: " + first.error().to_string());
  if (std::string why = auth::unexpected_request(*first, kAuthHelloUri); !why.empty()) {
    co_return auth::refuse(session, *first, std::move(why));
  }
  const Result<AuthHello> hello = session.decode<AuthHello>(*first);
  if (!hello) co_return auth::refuse(session, *first, "its hello does not decode: " + hello.error().detail);
  if (hello->nonce.size() != kAuthNonceBytes || hello->key.empty() || hello->key.size() > kAuthIdentityBytesMax) {
    co_return auth::refuse(session, *first, "its hello has no key id, or a nonce of the wrong size");
  }
  if (hello->server.size() > kAuthServerBytesMax) {
    co_return auth::refuse(session, *first,
                           "its hello names a server with more than " + std::to_string(kAuthServerBytesMax) + " bytes");
  }
  if (std::string why = relayed(hello->server, hello->nonce); !why.empty()) {
    co_return auth::refuse(session, *first, std::move(why));
  }
  // Whether the id is known shows neither in the answers nor in their cost.
  const std::shared_ptr<const SecretKeys> known = keys();
  const SecretKeys::Key* key = known->find(hello->key);
  const AuthChallenge challenge{random_bytes(kAuthNonceBytes)};
  const Result<void> challenged = session.send_value(auth::reply_header(*first), framing::kCodecJson, challenge);
  if (!challenged) co_return auth::unauthorized("the challenge could not be sent: " + challenged.error().to_string());

  const Result<Packet> second = co_await session.receive();
  if (!second) co_return auth::unauthorized("before it proved its key: " + second.error().to_string());
  if (std::string why = auth::unexpected_request(*second, kAuthProofUri); !why.empty()) {
    co_return auth::refuse(session, *second, std::move(why));
  }
  const Result<AuthAnswer> answer = session.decode<AuthAnswer>(*second);
  if (!answer) co_return auth::refuse(session, *second, "its proof does not decode: " + answer.error().detail);
  const AuthTranscript transcript{options_.context, hello->key, hello->server, hello->nonce, challenge.nonce};
  const bool proven = auth_proof_holds(key ? *key->secret : nobody_, AuthRole::client, transcript, answer->proof);
  if (!key) co_return auth::refuse(session, *second, "its key " + escape(hello->key, 64) + " is unknown here");
  if (!proven) {
    co_return auth::refuse(session, *second,
                           "its proof for key " + key->id + " is wrong: another secret, or another context");
  }

  const AuthAnswer ours{to_vector(auth_proof(*key->secret, AuthRole::server, transcript))};
  const Result<void> answered = session.send_value(auth::reply_header(*second), framing::kCodecJson, ours);
  if (!answered) co_return auth::unauthorized("our proof could not be sent: " + answered.error().to_string());
  session.store().set(std::string(kAuthIdentityKey), key->identity);
  if (options_.session_id_is_identity) session.set_id(key->identity);
  co_return Status();
}

SharedSecretClient::SharedSecretClient(SecretKeys keys, SharedSecretClientOptions options)
    : key_(choose(keys, options.key_id)),
      options_(checked(std::move(options))),
      dials_(std::make_shared<AuthDials>()) {}

void SharedSecretClient::set_keys(SecretKeys keys, std::string_view key_id) {
  SecretKeys::Key chosen = choose(keys, key_id);
  const std::lock_guard lock(mutex_);
  key_ = std::move(chosen);
}

boost::asio::awaitable<Status> SharedSecretClient::post_dial(PreSession& session) {
  Status status = co_await exchange(session);
  (status.ok() ? counters_.accepted : counters_.refused).fetch_add(1, std::memory_order_relaxed);
  co_return status;
}

boost::asio::awaitable<Status> SharedSecretClient::exchange(PreSession& session) {
  SecretKeys::Key key;
  {
    const std::lock_guard lock(mutex_);
    key = key_;
  }
  const AuthHello hello{key.id, options_.server.empty() ? reached(session.peer()) : options_.server,
                        random_bytes(kAuthNonceBytes)};
  const AuthDials::Entry ours_while_it_lasts(dials_, hello.nonce);
  const Result<void> greeted =
      session.send_value(auth::pull_header(kHelloSeq, kAuthHelloUri), framing::kCodecJson, hello);
  if (!greeted) co_return auth::unauthorized("the hello could not be sent: " + greeted.error().to_string());
  const Result<Packet> first = co_await session.receive();
  if (!first) co_return auth::unauthorized("no challenge came: " + first.error().to_string());
  if (std::string why = auth::bad_reply(*first, kHelloSeq); !why.empty()) co_return auth::unauthorized(std::move(why));
  const Result<AuthChallenge> challenge = session.decode<AuthChallenge>(*first);
  if (!challenge || challenge->nonce.size() != kAuthNonceBytes) {
    co_return auth::unauthorized("the server's challenge is malformed");
  }

  const AuthTranscript transcript{options_.context, key.id, hello.server, hello.nonce, challenge->nonce};
  const AuthAnswer ours{to_vector(auth_proof(*key.secret, AuthRole::client, transcript))};
  const Result<void> proved =
      session.send_value(auth::pull_header(kProofSeq, kAuthProofUri), framing::kCodecJson, ours);
  if (!proved) co_return auth::unauthorized("our proof could not be sent: " + proved.error().to_string());
  const Result<Packet> second = co_await session.receive();
  if (!second) co_return auth::unauthorized("the server did not answer our proof: " + second.error().to_string());
  if (std::string why = auth::bad_reply(*second, kProofSeq); !why.empty()) co_return auth::unauthorized(std::move(why));
  const Result<AuthAnswer> theirs = session.decode<AuthAnswer>(*second);
  if (!theirs || !auth_proof_holds(*key.secret, AuthRole::server, transcript, theirs->proof)) {
    co_return auth::unauthorized("the server did not prove that it has key " + key.id + ": it is not who it should be");
  }
  co_return Status();
}

}  // namespace wayport::rpc
