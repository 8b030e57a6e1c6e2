// RouteGateway: the route gateway (spec/route.md) over a Runtime: clients of any transport name a backend once, and are
// joined to it.
//
//   wayport::Runtime runtime;
//   wayport::route::RouteGateway gateway(runtime, {.routes = {{.listen = {"tcp://:7000"}, .allow = {"10.0.0.0/8:*"}}}});
//   if (auto started = gateway.start(); !started) ...
//
//     client --identify--> Resolver --> AllowList --> dial --> "ok" --> Relay --- backend
//                              '------------'-----------'--> "error", or an HTTP status
//
// Accepted connections are handed to the runtime's loops in turn, and live there. Relays move chunks, or leave plain
// sockets to the kernel (RouteOptions::zero_copy). An idle one owns no buffer.
//
// Bounded: connections and handshakes in all and for each source (AdmissionLimits, for each route), from before the
// handshakes of transports (tls, http) on; the time of these and of the identify together (RouteOptions::connect_timeout);
// identify, time to resolve and dial; what is kept before the dial; what waits for a slow side; the drain of a
// refused client. Counted: RouteCounters.
//
// A client that is one read ahead of the answer is not read on, and its leaving is then noticed when it is answered; so is
// that of a websocket client before its upgrade. Dials end by themselves, too.
//
// Any thread, except start(), which comes first. The Runtime, and what the options point to, outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/runtime.h"
#include "wayport/base/time.h"
#include "wayport/gateway/route/backend_dial.h"
#include "wayport/gateway/route/options.h"
#include "wayport/gateway/route/resolver_registry.h"
#include "wayport/gateway/route/route_counters.h"
#include "wayport/transport/address.h"
#include "wayport/transport/transports.h"

namespace wayport::route {

struct RouteGatewayOptions {
  std::vector<RouteOptions> routes{};
  // How long a close waits for connections to end by themselves, after it stopped accepting. 0: not at all. At most one
  // day.
  Duration drain = Duration::zero();
  // Where other parts of this process listen, as bound (the admin listener, the link gateway's): the gateway's own, too,
  // which an allow list allows only by name (allow_list.h). Read by start(); reloads go by the same.
  std::vector<transport::Address> also_own{};
  // Of all routes. `loops`, `log` and `counters` are filled in if they are empty; `admit`, `stream`, `handshake_timeout`
  // and `handshakes_max` are each route's own (limits, relay_high_water_bytes, connect_timeout).
  transport::ListenOptions listen_options{};
  // nullptr: what this build has (default_transports()).
  const transport::Transports* transports = nullptr;
  // nullptr: what this build has (default_resolvers()).
  const ResolverRegistry* resolvers = nullptr;
  // How backends' names are looked up. nullptr: by the system's name servers.
  NameLookup* names = nullptr;

  // Errors (`invalid_argument`) name the route, the option, its value and what it may be. start() calls it.
  Result<void> validate() const;
};

// What operators may look at.
enum class RouteDump : std::uint8_t {
  connections,  // all: route, client, phase, backend, mode, bytes each way, age
  queues,       // those with unsent bytes, most first
};
std::string_view to_string(RouteDump what) noexcept;

class RouteGateway {
 public:
  // Lines of each loop in a dump, which is written in one turn; how many are left out is said at the end.
  static constexpr std::size_t kDumpLinesMax = 10'000;

  explicit RouteGateway(Runtime& runtime, RouteGatewayOptions options = {});
  // Closes all at once. Not on a loop thread (unless the caller turns the loops itself). close first to drain.
  ~RouteGateway();
  RouteGateway(const RouteGateway&) = delete;
  RouteGateway& operator=(const RouteGateway&) = delete;

  // Binds every address and begins to accept. All or nothing: the error names the option or the address. Once.
  Result<void> start();
  // Other routes from now on. All or nothing: after an error everything is as it was. An address that stays keeps its
  // listener, and who waits in its queue, and its new connections get the new route; the same place with other
  // parameters gets a new listener on the same socket (not kcp: `unsupported`). What is listened on no more is given up as close() does it. Live
  // connections stay as they are. Resolvers and limits that are not changed go on; files are read again
  // (Resolver::reload). Not on a loop thread, but the first one's. local_closed: the gateway is closing.
  Result<void> reload(std::vector<RouteOptions> routes);
  // What is listened on, with the ports that were bound; in the order of the routes.
  std::vector<std::string> addresses() const;

  // --- end ---

  // Stops accepting (nobody who is connected already is lost: transport::Listener::finish), waits for connections to
  // end, at most RouteGatewayOptions::drain, then closes every one. `done` runs once, on the runtime's first loop. A
  // second close shares the end of the first.
  void close_async(std::move_only_function<void()> done);
  // Not on a loop thread.
  void close_blocking();
  // Ends what a close waits for, or closes without waiting.
  void abort();
  // From the first close on.
  bool closing() const noexcept;

  // The listening sockets, for a successor process (base/restart.h). They stay this gateway's; from now on a close leaves
  // whoever waits in their queues, and the files of unix sockets, to the successor.
  std::vector<int> hand_over_listeners();
  // There will be no successor: a close is as if hand_over_listeners() had not been called.
  void take_back_listeners();

  // --- looking ---

  std::size_t loop_count() const noexcept;
  // Of one loop of the runtime; sum them up. REQUIRES: start() was successful.
  const RouteCounters& counters(std::size_t loop) const;
  // Of all listeners, unless RouteGatewayOptions::listen_options has counters of its own.
  const transport::ListenerCounters& listener_counters() const noexcept;
  // Of all loops, handshakes and refusals under way included.
  std::size_t connection_count() const noexcept;
  // Of each route: its name, what its limits count, and what its resolver does. Not on a loop thread, but the first
  // one's.
  struct RouteInfo {
    std::string name;
    std::string resolver;
    std::shared_ptr<const AdmissionCounters> admission;
    std::vector<ResolverCounter> resolver_counters;
  };
  std::vector<RouteInfo> routes() const;

  // Text for people, one line for each, as "route=web loop=0 client=tcp://10.0.0.9:51822 phase=relaying ...". Each loop
  // writes its part in a turn of its own. `done` runs on the runtime's first loop.
  void dump_async(RouteDump what, std::move_only_function<void(std::string)> done) const;
  // Not on a loop thread.
  std::string dump(RouteDump what) const;

  Runtime& runtime() noexcept;
  // Those of the start; reload() does not change them.
  const RouteGatewayOptions& options() const noexcept;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace wayport::route
