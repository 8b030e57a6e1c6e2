// Peer: server and client at once. It listens on any number of addresses, dials, wraps streams that somebody else made,
// and runs the handlers of one router for all of its sessions.
//
//   wayport::Runtime runtime;
//   wayport::rpc::Peer peer(runtime, {.listen = {"tcp://127.0.0.1:9090"}});
//   peer.router().on_pull("/home/sum", [](rpc::Context&, std::array<int, 2> v) { return v[0] + v[1]; });
//   if (auto started = peer.start(); !started) ...
//
// Any thread, except router(), plugins(), codecs() and start(), which come first, from one thread. The Runtime, and streams'
// transports given in the options, outlive it. Sessions are handed round robin to the runtime's loops.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/runtime.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/rpc/options.h"
#include "wayport/rpc/plugin.h"
#include "wayport/rpc/router.h"
#include "wayport/rpc/session.h"
#include "wayport/transport/transports.h"

namespace wayport::rpc {

// One address to listen on. Sessions accepted there follow `session` if given, else PeerOptions::session.
struct ListenAt {
  std::string address;
  std::optional<SessionOptions> session{};

  ListenAt(std::string at) : address(std::move(at)) {}
  ListenAt(const char* at) : address(at) {}
  ListenAt(std::string at, SessionOptions options) : address(std::move(at)), session(std::move(options)) {}
};

struct PeerOptions {
  std::vector<ListenAt> listen{};
  // For sessions without options of their own.
  SessionOptions session{};
  std::size_t sessions_max = 1'000'000;  // accepted sessions; more are rejected before they cost anything
  // Coroutine handlers that run at one time on one loop; more get 503.
  std::size_t coroutines_per_loop_max = 64 * 1024;
  // For plugins that talk before the session (post_dial, post_accept): how long, how many at one time on one loop (more
  // are rejected), how large a packet, inflated, too.
  Duration handshake_timeout = std::chrono::seconds(10);
  std::size_t handshakes_per_loop_max = 4096;
  std::size_t handshake_bytes_max = 64 * 1024;
  transport::ListenOptions listen_options{};
  // nullptr: what this build has (default_transports()).
  const transport::Transports* transports = nullptr;
  // On the session's loop, before its first packet is read: accepted, dialled and wrapped ones alike.
  std::function<void(const Session&)> on_session{};
  std::function<void(const Session&, const CloseReason&)> on_session_closed{};
};

struct DialOptions {
  Duration timeout = std::chrono::seconds(10);
  std::string session_id{};                 // empty: the local address
  std::optional<SessionOptions> session{};  // nullopt: PeerOptions::session
  transport::StreamOptions stream{};
  std::shared_ptr<Canceler> canceler{};  // ends the dial with `canceled`
  Loop* loop = nullptr;                  // nullptr: the runtime chooses
};

class Peer {
 public:
  explicit Peer(Runtime& runtime, PeerOptions options = {});
  // Aborts what is left: sessions first, then waits for handlers. Not on a loop thread. close() first for a graceful
  // end.
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  Router router();
  // Of all routes and sessions; groups have their own (Router::plugins).
  PluginContainer& plugins();
  framing::CodecRegistry& codecs();

  // Binds every address and begins to accept; needed for dialling, too. All or nothing: the error names the address.
  Result<void> start();
  // What is listened on, with the ports that were bound; in the order of PeerOptions::listen.
  std::vector<std::string> addresses() const;

  // --- new sessions ---
  boost::asio::awaitable<Result<Session>> dial(std::string address, DialOptions options = {});
  // `done` runs once on the session's loop.
  void dial_async(std::string_view address, DialOptions options, std::move_only_function<void(Result<Session>)> done);
  // On a loop thread, which would wait for itself: invalid_argument at once.
  Result<Session> dial_blocking(std::string_view address, DialOptions options = {});
  // A session over a stream that is there already. Its loop must be one of the runtime's; call it there.
  Result<Session> wrap(std::unique_ptr<transport::Stream> stream, std::optional<SessionOptions> options = {},
                       std::string session_id = {});

  // --- sessions ---
  // Empty handle: no such session.
  Session find(std::string_view id) const;
  std::size_t session_count() const;
  void for_each(const std::function<void(const Session&)>& visit) const;

  // --- end ---
  // Graceful: stops listening first, without losing anybody who is connected (transport::Listener::finish); closes all
  // sessions in parallel (Session::close), those that are still arriving, too; and is done when the last one and its
  // handlers have ended. Bounded by the sessions' close_timeout; what is left then is aborted.
  boost::asio::awaitable<void> close();
  // `done` runs once, on the runtime's first loop.
  void close_async(std::move_only_function<void()> done);
  // Not on a loop thread.
  void close_blocking();

  // The listening sockets, for a successor process (wayport/rpc/graceful does it all). They stay this peer's; from now
  // on a close leaves whoever waits in their queues, and the files of unix sockets, to the successor. Any thread.
  std::vector<int> hand_over_listeners();
  // There will be no successor: a close is as if hand_over_listeners() had not been called.
  void take_back_listeners();
  // What a close waits for ends now: sessions are aborted, coroutine handlers canceled, who still arrives is rejected.
  // For those whose patience is over. Any thread.
  void abort_sessions();

  // Counters of one loop of the runtime.
  const SessionCounters& counters(std::size_t loop_index) const;
  Runtime& runtime() noexcept;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace wayport::rpc
