#include "wayport/rpc/router_core.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <stdexcept>
#include <utility>

#include "wayport/rpc/route_name.h"

namespace wayport::rpc {
namespace {

// Peers choose what is looked up, not what is stored, so the table's shape is ours.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};

}  // namespace

class RouteTable {
 public:
  boost::unordered_flat_map<std::string, const Route*, TextHash, std::equal_to<>> by_path;
  const Route* unknown = nullptr;
};

RouterCore::RouterCore() {
  for (auto& table : tables_) table = std::make_unique<RouteTable>();
}
RouterCore::~RouterCore() = default;

Route& RouterCore::keep(Call::Kind kind, std::string path, std::shared_ptr<Handler> handler) {
  routes_.push_back(std::make_unique<Route>(Route{kind, std::move(path), routes_.size(), std::move(handler)}));
  return *routes_.back();
}

Route& RouterCore::add(Call::Kind kind, std::string_view path, std::shared_ptr<Handler> handler) {
  const std::string name = join_path("", path);
  const std::string what = std::string(kind == Call::Kind::pull ? "pull" : "push") + " route " + name;
  if (frozen_) throw std::logic_error(what + ": routes are registered before the peer starts");
  if (!handler) throw std::logic_error(what + ": no handler given");
  const auto [entry, fresh] = tables_[static_cast<int>(kind)]->by_path.try_emplace(name, nullptr);
  if (!fresh) throw std::logic_error(what + ": registered twice");
  Route& route = keep(kind, name, std::move(handler));
  entry->second = &route;
  return route;
}

Route& RouterCore::set_unknown(Call::Kind kind, std::shared_ptr<Handler> handler) {
  if (frozen_) throw std::logic_error("unknown-handlers are registered before the peer starts");
  Route& route = keep(kind, "(unknown)", std::move(handler));
  tables_[static_cast<int>(kind)]->unknown = &route;
  return route;
}

bool RouterCore::add_alias(std::string_view path, const Route& route) {
  if (frozen_) throw std::logic_error("aliases are registered before the peer starts");
  return tables_[static_cast<int>(route.kind)]->by_path.try_emplace(std::string(path), &route).second;
}

const Route* RouterCore::find(Call::Kind kind, std::string_view path) const noexcept {
  const RouteTable& table = *tables_[static_cast<int>(kind)];
  const auto found = table.by_path.find(path);
  if (found != table.by_path.end()) return found->second;
  for (const std::unique_ptr<const RouteFallback>& fallback : fallbacks_) {
    if (const Route* route = fallback->find(kind, path)) return route;
  }
  return table.unknown;
}

const Route* RouterCore::find_exact(Call::Kind kind, std::string_view path) const noexcept {
  const RouteTable& table = *tables_[static_cast<int>(kind)];
  const auto found = table.by_path.find(path);
  return found == table.by_path.end() ? nullptr : found->second;
}

std::vector<std::string> RouterCore::routes(Call::Kind kind) const {
  std::vector<std::string> names;
  for (const auto& [path, route] : tables_[static_cast<int>(kind)]->by_path) {
    if (route->path == path) names.push_back(path);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::pair<std::string, const Route*>> RouterCore::names(Call::Kind kind) const {
  const auto& by_path = tables_[static_cast<int>(kind)]->by_path;
  std::vector<std::pair<std::string, const Route*>> names(by_path.begin(), by_path.end());
  std::sort(names.begin(), names.end());
  return names;
}

void RouterCore::add_fallback(std::unique_ptr<const RouteFallback> fallback) {
  if (frozen_) throw std::logic_error("route fallbacks are added before the peer starts");
  fallbacks_.push_back(std::move(fallback));
}

void RouterCore::set_hooks(std::unique_ptr<const PeerHooks> hooks) {
  if (frozen_) throw std::logic_error("plugins are added before the peer starts");
  hooks_ = std::move(hooks);
}

}  // namespace wayport::rpc
