// RouteLoop: one loop's share of a RouteGateway: its connections, its pipes, its counters. Internal to gateway/route.
//
//   listener --before a handshake of tls, http--> admit() --place--.
//      '----------------------Incoming--------------------------> accept() --> RouteConnection --> its end --> forget()
//
// On its loop, but for the counters.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "wayport/base/intrusive_list.h"
#include "wayport/base/log.h"
#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/gateway/relay/pipe_pool.h"
#include "wayport/gateway/route/route_connection.h"
#include "wayport/gateway/route/route_counters.h"
#include "wayport/gateway/route/route_gateway_route.h"
#include "wayport/transport/transports.h"

namespace wayport::route {

// What the loops of one gateway share: limits of what is logged, one for each cause.
struct RouteShared {
  explicit RouteShared(Log& its_log) : log(its_log) {}

  Log& log;
  std::array<LogLimit, kRouteErrors.size()> refused;
  LogLimit at_accept;
  LogLimit late;  // no identify in time
  LogLimit gone;
  LogLimit ended{100, 500};
};

// The route that a listener's next connections belong to; a reload changes it. Any thread.
class RouteSlot {
 public:
  void set(ServedRoutePtr route) {
    const std::lock_guard lock(mutex_);
    route_.swap(route);
  }
  ServedRoutePtr get() const {
    const std::lock_guard lock(mutex_);
    return route_;
  }

 private:
  mutable std::mutex mutex_;
  ServedRoutePtr route_;
};

enum class RouteDump : std::uint8_t;

class RouteLoop final : private Timer {
 public:
  // `seed`: random and secret; refusals are delayed by what comes of it.
  RouteLoop(Loop& loop, std::shared_ptr<RouteShared> shared, std::uint64_t seed);
  ~RouteLoop();
  RouteLoop(const RouteLoop&) = delete;
  RouteLoop& operator=(const RouteLoop&) = delete;

  // For ListenOptions::admit: the place that accept() takes over. overloaded: over a limit; local_closed.
  Result<std::unique_ptr<transport::ConnectionPlace>> admit(const RouteSlot& slot, const SocketAddress& remote);
  void accept(const RouteSlot& slot, std::unique_ptr<transport::Incoming> incoming);
  // `on_idle` runs whenever the last connection has ended; at once, if there is none.
  void drain(std::function<void()> on_idle);
  // Closes every connection, rejects those that still come, and runs `done` when none is left.
  void close_all(std::move_only_function<void()> done);

  Loop& loop() noexcept { return loop_; }
  const RouteCounters& counters() const noexcept { return counters_; }

  struct DumpLine {
    std::uint64_t rank;  // lowest first
    std::string text;
  };
  // At most RouteGateway::kDumpLinesMax; returns how many there would have been.
  std::size_t dump(RouteDump what, std::vector<DumpLine>& to);

 private:
  friend class RouteConnection;

  Result<AdmissionPlace> enter(const ServedRoute& route, const SocketAddress& remote);
  void forget(RouteConnection& connection);  // destroyed at turn end
  void tell_if_none();
  Duration draw_delay(const RouteOptions& options) noexcept;
  void on_timer() override;  // looks at what relays have carried
  void look_soon();

  Loop& loop_;
  const std::shared_ptr<RouteShared> shared_;
  RouteCounters counters_;
  relay::PipePool pipes_;
  List<RouteConnection> connections_;
  std::size_t connection_count_ = 0;
  std::uint64_t random_;
  std::function<void()> on_idle_;
  std::move_only_function<void()> on_closed_;
  bool closing_ = false;
};

}  // namespace wayport::route
