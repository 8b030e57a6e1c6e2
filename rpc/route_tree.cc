#include "wayport/rpc/route_tree.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "wayport/rpc/hook_chain.h"

namespace wayport::rpc {
namespace {

constexpr std::size_t kGuardsMax = 255;    // Call counts them in a byte
constexpr std::size_t kPullGuardsMax = 2;  // PendingCall::kGuardsMax

template <class Hook>
void collect(const std::vector<Plugin*>& plugins, std::vector<Hook*>& to) {
  for (Plugin* plugin : plugins) {
    if (auto* hook = dynamic_cast<Hook*>(plugin)) to.push_back(hook);
  }
}

bool empty(const RouteHooks& hooks) {
  return hooks.guards.empty() && hooks.pre_read_pull_body.empty() && hooks.post_read_pull_body.empty() &&
         hooks.pre_read_push_body.empty() && hooks.post_read_push_body.empty() && hooks.pre_write_reply.empty() &&
         hooks.post_write_reply.empty();
}

bool empty(const PeerHooks& hooks) {
  return hooks.pre_read_header.empty() && hooks.post_read_pull_header.empty() && hooks.post_read_push_header.empty() &&
         hooks.post_read_reply_header.empty() && hooks.pre_read_reply_body.empty() &&
         hooks.post_read_reply_body.empty() && hooks.pre_write_pull.empty() && hooks.post_write_pull.empty() &&
         hooks.pre_write_push.empty() && hooks.post_write_push.empty() && hooks.pull_guards.empty() &&
         empty(hooks.unrouted);
}

RouteHooks route_hooks(const std::vector<Plugin*>& plugins) {
  RouteHooks hooks;
  collect(plugins, hooks.guards);
  collect(plugins, hooks.pre_read_pull_body);
  collect(plugins, hooks.post_read_pull_body);
  collect(plugins, hooks.pre_read_push_body);
  collect(plugins, hooks.post_read_push_body);
  collect(plugins, hooks.pre_write_reply);
  collect(plugins, hooks.post_write_reply);
  return hooks;
}

PeerHooks peer_hooks(const std::vector<Plugin*>& plugins) {
  PeerHooks hooks;
  collect(plugins, hooks.pre_read_header);
  collect(plugins, hooks.post_read_pull_header);
  collect(plugins, hooks.post_read_push_header);
  collect(plugins, hooks.post_read_reply_header);
  collect(plugins, hooks.pre_read_reply_body);
  collect(plugins, hooks.post_read_reply_body);
  collect(plugins, hooks.pre_write_pull);
  collect(plugins, hooks.post_write_pull);
  collect(plugins, hooks.pre_write_push);
  collect(plugins, hooks.post_write_push);
  collect(plugins, hooks.pull_guards);
  hooks.unrouted = route_hooks(plugins);
  return hooks;
}

// One plugin about one route.
Result<void> register_with(Plugin& plugin, Registration& registration) {
  auto* hook = dynamic_cast<PostReg*>(&plugin);
  if (!hook) return {};
  std::string why;
  try {
    const Result<void> registered = hook->post_reg(registration);
    if (registered) return {};
    why = registered.error().detail;
  } catch (...) {
    why = status_of_exception().text;
  }
  const bool pull = registration.route().kind == Call::Kind::pull;
  return fail(ErrorCode::invalid_argument, "plugin " + std::string(plugin.name()) + " refuses " +
                                               (pull ? "pull" : "push") + " route " + registration.route().path + ": " +
                                               why);
}

}  // namespace

RouteTree::RouteTree() {
  groups_.push_back(
      std::make_unique<RouteGroup>(RouteGroup{nullptr, PluginContainer(PluginContainer::Level::peer, core_)}));
}

RouteGroup& RouteTree::add_group(const RouteGroup& parent) {
  groups_.push_back(
      std::make_unique<RouteGroup>(RouteGroup{&parent, PluginContainer(PluginContainer::Level::group, core_)}));
  return *groups_.back();
}

void RouteTree::place(Route& route, const RouteGroup& group, const std::vector<std::shared_ptr<Plugin>>& own) {
  Place place{&route, &group, PluginContainer(PluginContainer::Level::route, core_)};
  for (const std::shared_ptr<Plugin>& plugin : own) place.own.add(plugin);
  places_.push_back(std::move(place));
}

std::vector<Plugin*> RouteTree::chain_of(const Place& place) const {
  std::vector<const PluginContainer*> levels{&place.own};
  for (const RouteGroup* group = place.group; group; group = group->parent) levels.push_back(&group->plugins);
  std::vector<Plugin*> chain;
  for (auto level = levels.rbegin(); level != levels.rend(); ++level) {
    for (const std::shared_ptr<Plugin>& plugin : (*level)->list()) {
      // Once per call, also where it was added at several levels.
      if (std::find(chain.begin(), chain.end(), plugin.get()) == chain.end()) chain.push_back(plugin.get());
    }
  }
  return chain;
}

// PostRoutes of every plugin, wherever it was added, once.
Result<void> RouteTree::tell_routes() {
  std::vector<Plugin*> told;
  const auto tell = [&](const PluginContainer& container) -> Result<void> {
    for (const std::shared_ptr<Plugin>& plugin : container.list()) {
      auto* hook = dynamic_cast<PostRoutes*>(plugin.get());
      if (!hook || std::ranges::find(told, plugin.get()) != told.end()) continue;
      told.push_back(plugin.get());
      const Result<void> done = hook->post_routes(core_);
      if (!done) {
        return fail(done.error().code, "plugin " + std::string(plugin->name()) + ": " + done.error().detail);
      }
    }
    return {};
  };
  for (const std::unique_ptr<RouteGroup>& group : groups_) WAYPORT_TRY(tell(group->plugins));
  for (const Place& place : places_) WAYPORT_TRY(tell(place.own));
  return {};
}

Result<void> RouteTree::freeze() {
  for (Place& place : places_) {
    const std::vector<Plugin*> chain = chain_of(place);
    RouteHooks hooks = route_hooks(chain);
    if (hooks.guards.size() > kGuardsMax) {
      return fail(ErrorCode::invalid_argument, "route " + place.route->path + " has more than 255 call guards");
    }
    if (!empty(hooks)) place.route->hooks = std::make_unique<const RouteHooks>(std::move(hooks));
    if (core_.find_exact(place.route->kind, place.route->path) != place.route) continue;  // an unknown-handler
    Registration registration(core_, *place.route);
    for (Plugin* plugin : chain) WAYPORT_TRY(register_with(*plugin, registration));
  }
  WAYPORT_TRY(tell_routes());
  std::vector<Plugin*> plugins;
  for (const std::shared_ptr<Plugin>& plugin : root().plugins.list()) plugins.push_back(plugin.get());
  PeerHooks hooks = peer_hooks(plugins);
  if (hooks.unrouted.guards.size() > kGuardsMax) {
    return fail(ErrorCode::invalid_argument, "the peer has more than 255 call guards");
  }
  if (hooks.pull_guards.size() > kPullGuardsMax) {
    return fail(ErrorCode::invalid_argument, "the peer has more than 2 pull guards");
  }
  if (!empty(hooks)) core_.set_hooks(std::make_unique<const PeerHooks>(std::move(hooks)));
  collect(plugins, session_hooks_.accept_guards);
  collect(plugins, session_hooks_.post_dial);
  collect(plugins, session_hooks_.post_accept);
  collect(plugins, session_hooks_.post_start);
  collect(plugins, session_hooks_.post_listen);
  collect(plugins, session_hooks_.pre_close);
  collect(plugins, session_hooks_.post_disconnect);
  core_.freeze();
  return {};
}

}  // namespace wayport::rpc
