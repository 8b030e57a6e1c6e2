// RouteTree: a peer's routes with the plugins of the peer, of groups of routes and of single routes. Internal to rpc;
// applications see Router (router.h) and PluginContainer (plugin.h).
#pragma once

#include <memory>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/rpc/plugin.h"
#include "wayport/rpc/router_core.h"

namespace wayport::rpc {

struct RouteGroup {
  const RouteGroup* parent;
  PluginContainer plugins;
};

class RouteTree {
 public:
  RouteTree();

  RouterCore& core() noexcept { return core_; }
  const RouterCore& core() const noexcept { return core_; }
  RouteGroup& root() noexcept { return *groups_.front(); }
  RouteGroup& add_group(const RouteGroup& parent);
  // `route` was registered through `group`, with plugins of its own.
  void place(Route& route, const RouteGroup& group, const std::vector<std::shared_ptr<Plugin>>& own);

  // Runs PostReg, works out which hooks run where, and takes nothing more. The error names plugin and route.
  Result<void> freeze();
  const SessionHooks& session_hooks() const noexcept { return session_hooks_; }  // after freeze()

 private:
  struct Place {
    Route* route;
    const RouteGroup* group;
    PluginContainer own;
  };
  std::vector<Plugin*> chain_of(const Place& place) const;
  Result<void> tell_routes();

  RouterCore core_;
  std::vector<std::unique_ptr<RouteGroup>> groups_;
  std::vector<Place> places_;
  SessionHooks session_hooks_;
};

}  // namespace wayport::rpc
