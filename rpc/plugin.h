// Plugins: what users add to a peer without touching its handlers: authentication, limits, statistics, logs.
//
//   class Stamp final : public rpc::Plugin, public rpc::PreWriteReply {
//     std::string_view name() const noexcept override { return "stamp"; }
//     rpc::Status pre_write_reply(rpc::OutgoingView& reply) override { ... }
//   };
//   peer.plugins().add(std::make_shared<Stamp>());               // every route
//   rpc::Router admin = peer.router().group("/admin");
//   admin.plugins().add(std::make_shared<OnlyFromOffice>());     // what is registered in the group, and in groups in it
//   admin.on_pull("/stop", stop, {.plugins = {std::make_shared<Audit>()}});  // one route
//
// A plugin implements hooks by deriving from their classes: those of packets are in hooks.h, those of sessions here.
// Order: the peer's plugins, then the groups' from the outside in, then the route's; each in order of addition. Hooks
// of sessions and headers exist at peer level only, because no route is known yet: a plugin that has one is refused by
// groups and routes.
//
// Added before the peer starts, from one thread; a mistake (duplicate name, wrong level, after the start) throws
// std::logic_error with the plugin's name and the reason. Plugins are shared by all loops: they must be thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/rpc/hooks.h"
#include "wayport/rpc/router_core.h"
#include "wayport/rpc/session.h"
#include "wayport/transport/stream.h"

namespace wayport::rpc {

class Peer;
class PreSession;

class Plugin {
 public:
  virtual ~Plugin() = default;
  // Unique in its container.
  virtual std::string_view name() const noexcept = 0;
};

// A handler that is being registered.
class Registration {
 public:
  Registration(RouterCore& router, const Route& route) noexcept : router_(router), route_(route) {}
  const Route& route() const noexcept { return route_; }
  // Another path that leads to the same handler; compared as it stands. not_found is no error here: invalid_argument
  // says which route has that name already.
  Result<void> add_alias(std::string_view path);

 private:
  RouterCore& router_;
  const Route& route_;
};

// Hooks of registration and sessions; those of packets are in hooks.h.
// clang-format off

// When the peer starts, for each route in order of registration, except unknown-handlers. An error refuses the start.
class PostReg { public: virtual Result<void> post_reg(Registration& registration) = 0; protected: ~PostReg() = default; };

// Not in the original: when the peer starts, once per plugin, after the last PostReg of all: every route and alias is
// known. Runs at every level, for a plugin that guards a whole (nothing ambiguous, nothing left over). An error refuses
// the start.
class PostRoutes { public: virtual Result<void> post_routes(RouterCore& router) = 0; protected: ~PostRoutes() = default; };

// Before the session exists; raw packets may be sent and received (pre_session.h). A status other than ok closes the
// connection, and fails the dial. Bounded by PeerOptions::handshake_timeout.
class PostDial { public: virtual boost::asio::awaitable<Status> post_dial(PreSession& session) = 0; protected: ~PostDial() = default; };
class PostAccept { public: virtual boost::asio::awaitable<Status> post_accept(PreSession& session) = 0; protected: ~PostAccept() = default; };

// Once the stream is closed, on the session's loop; for every session, however it began.
class PostDisconnect { public: virtual void post_disconnect(const Session& session, const CloseReason& reason) = 0; protected: ~PostDisconnect() = default; };

// Not in the original: the session exists, its first packet has not been read. On its loop; for every session.
class PostStart { public: virtual void post_start(const Session& session) = 0; protected: ~PostStart() = default; };

// Not in the original: the peer listens on all of its addresses. On the thread that starts it; an error refuses the start.
class PostListen { public: virtual Result<void> post_listen(Peer& peer) = 0; protected: ~PostListen() = default; };

// Not in the original: the peer is about to close, and accepts still. On the thread that closes it; must not block; each
// time that somebody closes it.
class PreClose { public: virtual void pre_close(Peer& peer) noexcept = 0; protected: ~PreClose() = default; };
// clang-format on

// Not in the original: a pair around each accepted connection, before anything is read or allocated for it. For each
// begin_session() that returned ok, end_session() runs exactly once.
class AcceptGuard {
 public:
  // A status other than ok rejects the connection.
  virtual Status begin_session(const transport::PeerInfo& peer) = 0;
  virtual void end_session(const transport::PeerInfo& peer) noexcept = 0;

 protected:
  ~AcceptGuard() = default;
};

class PluginContainer {
 public:
  enum class Level : std::uint8_t { peer, group, route };
  explicit PluginContainer(Level level, const RouterCore& router) noexcept : level_(level), router_(router) {}

  void add(std::shared_ptr<Plugin> plugin);
  // False: there was none of that name.
  bool remove(std::string_view name);
  std::shared_ptr<Plugin> find(std::string_view name) const noexcept;  // nullptr: none
  template <class P>
  std::shared_ptr<P> find_as(std::string_view name) const noexcept {
    return std::dynamic_pointer_cast<P>(find(name));
  }
  const std::vector<std::shared_ptr<Plugin>>& list() const noexcept { return plugins_; }

 private:
  void refuse(const Plugin* plugin, std::string_view why) const;

  Level level_;
  const RouterCore& router_;
  std::vector<std::shared_ptr<Plugin>> plugins_;
};

// The hooks of sessions, found among a peer's plugins.
struct SessionHooks {
  std::vector<AcceptGuard*> accept_guards;
  std::vector<PostDial*> post_dial;
  std::vector<PostAccept*> post_accept;
  std::vector<PostStart*> post_start;
  std::vector<PostListen*> post_listen;
  std::vector<PreClose*> pre_close;
  std::vector<PostDisconnect*> post_disconnect;
};

// The session of a call or packet, in hooks. It belongs to a peer; not for cores that tests drive bare.
Session session_of(SessionCore& core);

}  // namespace wayport::rpc
