#include "wayport/rpc/router_core.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <stdexcept>

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
  boost::unordered_flat_map<std::string, std::shared_ptr<Handler>, TextHash, std::equal_to<>> by_path;
  std::shared_ptr<Handler> unknown;
};

RouterCore::RouterCore() {
  for (auto& table : tables_) table = std::make_unique<RouteTable>();
}
RouterCore::~RouterCore() = default;

void RouterCore::add(Call::Kind kind, std::string_view path, std::shared_ptr<Handler> handler) {
  const std::string name = join_path("", path);
  const std::string what = std::string(kind == Call::Kind::pull ? "pull" : "push") + " route " + name;
  if (frozen_) throw std::logic_error(what + ": routes are registered before the peer starts");
  if (!handler) throw std::logic_error(what + ": no handler given");
  if (!tables_[static_cast<int>(kind)]->by_path.try_emplace(name, std::move(handler)).second) {
    throw std::logic_error(what + ": registered twice");
  }
}

void RouterCore::set_unknown(Call::Kind kind, std::shared_ptr<Handler> handler) {
  if (frozen_) throw std::logic_error("unknown-handlers are registered before the peer starts");
  tables_[static_cast<int>(kind)]->unknown = std::move(handler);
}

Handler* RouterCore::find(Call::Kind kind, std::string_view path) const noexcept {
  const RouteTable& table = *tables_[static_cast<int>(kind)];
  const auto found = table.by_path.find(path);
  return found == table.by_path.end() ? table.unknown.get() : found->second.get();
}

std::vector<std::string> RouterCore::routes(Call::Kind kind) const {
  std::vector<std::string> names;
  for (const auto& entry : tables_[static_cast<int>(kind)]->by_path) names.push_back(entry.first);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace wayport::rpc
