#include "wayport/rpc/plugin.h"

#include <algorithm>
#include <stdexcept>

#include "wayport/rpc/session_driver.h"

namespace wayport::rpc {
namespace {

template <class Hook>
bool has(const Plugin& plugin) {
  return dynamic_cast<const Hook*>(&plugin) != nullptr;
}

// Names a hook that exists at peer level only; empty: the plugin has none.
std::string_view peer_only_hook(const Plugin& plugin) {
  if (has<PostDial>(plugin)) return "post_dial";
  if (has<PostAccept>(plugin)) return "post_accept";
  if (has<PostStart>(plugin)) return "post_start";
  if (has<PostListen>(plugin)) return "post_listen";
  if (has<PreClose>(plugin)) return "pre_close";
  if (has<PostDisconnect>(plugin)) return "post_disconnect";
  if (has<AcceptGuard>(plugin)) return "begin_session";
  if (has<PreReadHeader>(plugin)) return "pre_read_header";
  if (has<PostReadPullHeader>(plugin)) return "post_read_pull_header";
  if (has<PostReadPushHeader>(plugin)) return "post_read_push_header";
  if (has<PostReadReplyHeader>(plugin)) return "post_read_reply_header";
  if (has<PreReadReplyBody>(plugin)) return "pre_read_reply_body";
  if (has<PostReadReplyBody>(plugin)) return "post_read_reply_body";
  if (has<PreWritePull>(plugin)) return "pre_write_pull";
  if (has<PostWritePull>(plugin)) return "post_write_pull";
  if (has<PreWritePush>(plugin)) return "pre_write_push";
  if (has<PostWritePush>(plugin)) return "post_write_push";
  if (has<PullGuard>(plugin)) return "begin_pull";
  return {};
}

bool has_route_hook(const Plugin& plugin) {
  return has<PostReg>(plugin) || has<PostRoutes>(plugin) || has<CallGuard>(plugin) || has<PreReadPullBody>(plugin) ||
         has<PostReadPullBody>(plugin) || has<PreReadPushBody>(plugin) || has<PostReadPushBody>(plugin) ||
         has<PreWriteReply>(plugin) || has<PostWriteReply>(plugin);
}

}  // namespace

Result<void> Registration::add_alias(std::string_view path) {
  if (router_.add_alias(path, route_)) return {};
  const Route* taken = router_.find_exact(route_.kind, path);
  return fail(ErrorCode::invalid_argument, "alias " + escape(path) + " of " + route_.path + ": the path is taken by " +
                                               (taken ? taken->path : std::string("another route")));
}

void PluginContainer::refuse(const Plugin* plugin, std::string_view why) const {
  throw std::logic_error("plugin " + std::string(plugin ? plugin->name() : "(null)") + ": " + std::string(why));
}

void PluginContainer::add(std::shared_ptr<Plugin> plugin) {
  if (!plugin) refuse(nullptr, "none given");
  if (router_.frozen()) refuse(plugin.get(), "plugins are added before the peer starts");
  if (find(plugin->name())) refuse(plugin.get(), "added twice");
  const std::string_view peer_only = peer_only_hook(*plugin);
  if (level_ != Level::peer && !peer_only.empty()) {
    refuse(plugin.get(),
           "its hook " + std::string(peer_only) +
               " can never run here, because no route is known yet when it does: add it to Peer::plugins()");
  }
  if (peer_only.empty() && !has_route_hook(*plugin)) refuse(plugin.get(), "implements no hook (hooks.h, plugin.h)");
  plugins_.push_back(std::move(plugin));
}

bool PluginContainer::remove(std::string_view name) {
  if (router_.frozen()) throw std::logic_error("plugins are removed before the peer starts");
  return std::erase_if(plugins_, [name](const auto& plugin) { return plugin->name() == name; }) != 0;
}

std::shared_ptr<Plugin> PluginContainer::find(std::string_view name) const noexcept {
  const auto found =
      std::find_if(plugins_.begin(), plugins_.end(), [name](const auto& p) { return p->name() == name; });
  return found == plugins_.end() ? nullptr : *found;
}

Session session_of(SessionCore& core) { return Session(static_cast<SessionDriver&>(core.host()).shared_from_this()); }

}  // namespace wayport::rpc
