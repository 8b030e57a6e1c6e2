// RouterCore: names to routes; two tables, pulls and pushes (spec/teleport 7).
//
// Filled before the peer starts, then only read, by any number of threads. Registration that cannot be right (a
// duplicate, an empty handler, a frozen router) throws std::logic_error with the route's name.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/time.h"
#include "wayport/rpc/call.h"
#include "wayport/rpc/hooks.h"

namespace wayport::rpc {

class RouteTable;

struct Route {
  Call::Kind kind;
  std::string path;   // "/home/sum"; of unknown-handlers "(unknown)"
  std::size_t index;  // 0, 1, ... among all routes of the router: for tables beside it
  std::shared_ptr<Handler> handler;
  // Pulls that finish later and have not by then are answered with 504. Zero: none.
  Duration deadline{0};
  bool continuation = false;                  // HandlerOptions
  std::unique_ptr<const RouteHooks> hooks{};  // null: none
};

// Looks up what is registered under no such name, before an unknown-handler gets it. Used by all loops at once.
class RouteFallback {
 public:
  virtual ~RouteFallback() = default;
  virtual const Route* find(Call::Kind kind, std::string_view path) const noexcept = 0;  // nullptr: not mine
};

class RouterCore {
 public:
  RouterCore();
  ~RouterCore();

  // `path` is joined to `prefix` and cleaned. The route lives as long as the router.
  Route& add(Call::Kind kind, std::string_view path, std::shared_ptr<Handler> handler);
  // For paths without a route; a second one replaces the first.
  Route& set_unknown(Call::Kind kind, std::shared_ptr<Handler> handler);
  // `path`, as it stands, leads to `route`, too. False: a route or an alias has that name.
  bool add_alias(std::string_view path, const Route& route);

  // Asked in the order of addition.
  void add_fallback(std::unique_ptr<const RouteFallback> fallback);

  // nullptr: neither the route, nor one of a fallback, nor an unknown-handler.
  const Route* find(Call::Kind kind, std::string_view path) const noexcept;
  // Only what is registered under that name.
  const Route* find_exact(Call::Kind kind, std::string_view path) const noexcept;
  std::vector<std::string> routes(Call::Kind kind) const;                          // sorted, without aliases
  std::vector<std::pair<std::string, const Route*>> names(Call::Kind kind) const;  // sorted, with aliases
  // In the order of registration; their hooks may be set until freeze().
  const std::vector<std::unique_ptr<Route>>& all() const noexcept { return routes_; }

  // nullptr: no plugin has hooks of this kind.
  const PeerHooks* hooks() const noexcept { return hooks_.get(); }
  void set_hooks(std::unique_ptr<const PeerHooks> hooks);

  void freeze() noexcept { frozen_ = true; }
  bool frozen() const noexcept { return frozen_; }

 private:
  Route& keep(Call::Kind kind, std::string path, std::shared_ptr<Handler> handler);

  std::unique_ptr<RouteTable> tables_[2];
  std::vector<std::unique_ptr<Route>> routes_;
  std::unique_ptr<const PeerHooks> hooks_;
  std::vector<std::unique_ptr<const RouteFallback>> fallbacks_;
  bool frozen_ = false;
};

}  // namespace wayport::rpc
