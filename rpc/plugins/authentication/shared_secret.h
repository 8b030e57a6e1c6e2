// Shared-secret authentication: both sides prove, with HMAC-SHA-256 over nonces of both, that they know the same key, before
// the session exists. The README beside this gives the exchange byte by byte.
//
//   auto keys = rpc::secret_keys_from_file("/etc/orders/keys");                           // key_source.h
//   server.plugins().add(std::make_shared<rpc::SharedSecretServer>(*keys));
//   client.plugins().add(std::make_shared<rpc::SharedSecretClient>(*keys));
//   ...
//   std::string who = rpc::authenticated_identity(session);                               // at the server
//
// Not encryption: who sits between the two can read, change and take over what follows; use tls:// for that. Nor does it
// alone say that the proof comes from the other end of this connection and not through a stranger whom the client dialled
// (relay): use verified tls://, or SharedSecretServerOptions::names.
// A peer that dials and accepts adds both plugins, one of each and none of another peer's: the server then refuses hellos of
// its own peer's dials, which somebody has passed back to it. Such a peer cannot dial itself. Thread-safe; nothing runs per
// message.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "wayport/rpc/plugin.h"
#include "wayport/rpc/plugins/authentication/authentication.h"
#include "wayport/rpc/plugins/authentication/secret_keys.h"

namespace wayport::rpc {

inline constexpr std::string_view kAuthHelloUri = "/wayport/auth/hmac-sha256/hello";
inline constexpr std::string_view kAuthProofUri = "/wayport/auth/hmac-sha256/proof";

// Longest name of a server: that of a host, a colon and a port.
inline constexpr std::size_t kAuthServerBytesMax = 260;

class AuthDials;  // auth_dials.h

// Any thread.
struct AuthCounters {
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
};

struct SharedSecretServerOptions {
  std::string
      context{};  // what is served, for instance "orders/production"; proofs for another context do not hold here
  // As whom clients may reach this side, without scheme: the TLS server name ("orders.example"), the numeric address and port
  // that they dial over other transports ("10.0.0.7:9090"), or SharedSecretClientOptions::server. Letter case is ignored.
  // Clients that meant somebody else are refused: a server that they dialled has passed their proof on. Empty: not checked.
  std::vector<std::string> names{};
  // The identity becomes the session's id: a new session of an identity closes its older one (spec/teleport 9).
  bool session_id_is_identity = false;
};

// The accepting side.
class SharedSecretServer final : public Plugin, public PostAccept, public PostListen {
 public:
  // std::logic_error: no keys; a name that is empty or longer than kAuthServerBytesMax.
  explicit SharedSecretServer(SecretKeys keys, SharedSecretServerOptions options = {});
  // For handshakes that begin from now on; sessions stay. Any thread. std::logic_error: no keys.
  void set_keys(SecretKeys keys);
  const AuthCounters& counters() const noexcept { return counters_; }

  std::string_view name() const noexcept override { return "shared_secret_server"; }
  boost::asio::awaitable<Status> post_accept(PreSession& session) override;
  Result<void> post_listen(Peer& peer) override;

 private:
  boost::asio::awaitable<Status> exchange(PreSession& session);
  std::shared_ptr<const SecretKeys> keys() const;
  // Empty: the hello of `server` and `nonce` is no relayed one, as far as we can tell.
  std::string relayed(const std::string& server, const std::vector<std::byte>& nonce) const;

  mutable std::mutex mutex_;  // guards keys_ and own_dials_
  std::shared_ptr<const SecretKeys> keys_;
  std::vector<std::shared_ptr<const AuthDials>> own_dials_;  // of the client plugin beside this one
  const SharedSecretServerOptions options_;
  const std::string nobody_;  // the secret of ids that are unknown, so that they cost as much as others
  AuthCounters counters_;
};

struct SharedSecretClientOptions {
  std::string context{};  // as the server's
  std::string key_id{};   // which key to use; empty: the last one given
  // Whom dials mean to reach, for the server's `names`. Empty: the server name that TLS has verified, else the address and
  // port that the connection goes to.
  std::string server{};
};

// The dialling side.
class SharedSecretClient final : public Plugin, public PostDial {
 public:
  // std::logic_error: no keys, or none of that id; a `server` longer than kAuthServerBytesMax.
  explicit SharedSecretClient(SecretKeys keys, SharedSecretClientOptions options = {});
  // For dials from now on; any thread. `key_id` as in the options.
  void set_keys(SecretKeys keys, std::string_view key_id = {});
  const AuthCounters& counters() const noexcept { return counters_; }

  std::string_view name() const noexcept override { return "shared_secret_client"; }
  boost::asio::awaitable<Status> post_dial(PreSession& session) override;

 private:
  friend class SharedSecretServer;
  boost::asio::awaitable<Status> exchange(PreSession& session);

  mutable std::mutex mutex_;  // guards key_
  SecretKeys::Key key_;
  const SharedSecretClientOptions options_;
  const std::shared_ptr<AuthDials> dials_;
  AuthCounters counters_;
};

}  // namespace wayport::rpc
