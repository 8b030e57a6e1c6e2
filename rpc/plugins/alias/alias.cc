#include "wayport/rpc/plugins/alias/alias.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "wayport/base/bytes.h"

namespace wayport::rpc {
namespace {

constexpr std::size_t kWayShown = 512;

[[noreturn]] void refuse(std::string_view plugin, const std::string& why) {
  throw std::logic_error(std::string(plugin) + ": " + why);
}

void check_path(std::string_view plugin, std::string_view path) {
  if (!path.starts_with('/')) refuse(plugin, "path " + escape(path) + " does not begin with a slash");
}

const char* kind_name(Call::Kind kind) { return kind == Call::Kind::pull ? "pull" : "push"; }

}  // namespace

PathAlias::PathAlias(const Map& map) {
  if (map.empty()) refuse(name(), "no alias given");
  for (const auto& [alias, path] : map) {
    check_path(name(), alias);
    check_path(name(), path);
    if (!targets_.try_emplace(alias, path).second) refuse(name(), "alias " + escape(alias) + " is given twice");
  }
  // Follows each to its end, so that a request needs one lookup.
  for (const auto& [alias, path] : map) {
    if (alias == path) refuse(name(), "alias " + escape(alias) + " is an alias of itself");
    std::string way = escape(alias) + " -> " + escape(path);
    std::string_view end = path;
    std::size_t steps = 0;
    for (auto next = targets_.find(end); next != targets_.end(); next = targets_.find(end)) {
      end = next->second;
      if (way.size() < kWayShown) way += " -> " + escape(end);
      if (end == alias || ++steps > map.size()) refuse(name(), "the aliases form a loop: " + way);
    }
    targets_[alias] = std::string(end);
  }
}

std::string_view PathAlias::target(std::string_view path) const noexcept {
  const auto found = targets_.find(path);
  return found == targets_.end() ? path : std::string_view(found->second);
}

Result<void> PathAlias::post_routes(RouterCore& router) {
  for (const Call::Kind kind : {Call::Kind::pull, Call::Kind::push}) {
    for (const auto& [path, route] : router.names(kind)) {
      const auto found = targets_.find(path);
      if (found == targets_.end()) continue;
      return fail(ErrorCode::invalid_argument, "alias " + escape(path) + " of " + escape(found->second) +
                                                   " has the name of a " + kind_name(kind) +
                                                   " route, which nobody could reach any more");
    }
  }
  return {};
}

void PathAlias::map_path(Call& call) const {
  const auto found = targets_.find(call.path());
  if (found != targets_.end()) call.set_path(found->second);
}

Status PathAlias::post_read_pull_header(Call& call) {
  map_path(call);
  return {};
}
Status PathAlias::post_read_push_header(Call& call) {
  map_path(call);
  return {};
}

RouteAlias::RouteAlias(const Map& map) {
  if (map.empty()) refuse(name(), "no alias given");
  for (const auto& [alias, path] : map) {
    check_path(name(), alias);
    check_path(name(), path);
    if (alias == path) refuse(name(), "alias " + escape(alias) + " is an alias of itself");
    if (std::ranges::find(rules_, alias, &Rule::alias) != rules_.end()) {
      refuse(name(), "alias " + escape(alias) + " is given twice");
    }
    const bool prefix = alias.ends_with("/*") && path.ends_with("/*");
    const auto is_star = [](char c) { return c == '*'; };
    if (std::ranges::count_if(alias, is_star) + std::ranges::count_if(path, is_star) != (prefix ? 2 : 0)) {
      refuse(name(),
             "alias " + escape(alias) + " of " + escape(path) + ": a star stands at the end of both, after a slash");
    }
    rules_.push_back({alias, path, prefix});
  }
}

RouteAlias::RouteAlias(std::string alias) {
  check_path(name(), alias);
  rules_.push_back({std::move(alias), {}});
}

Result<void> RouteAlias::post_reg(Registration& registration) {
  const std::string& path = registration.route().path;
  for (Rule& rule : rules_) {
    std::optional<std::string> alias;
    if (rule.prefix) {
      const std::string_view stem = std::string_view(rule.path).substr(0, rule.path.size() - 1);
      if (path.starts_with(stem)) alias = rule.alias.substr(0, rule.alias.size() - 1) + path.substr(stem.size());
    } else if (rule.path.empty() || rule.path == path) {
      alias = rule.alias;
    }
    if (!alias) continue;
    rule.used = true;
    WAYPORT_TRY(registration.add_alias(*alias));
  }
  return {};
}

Result<void> RouteAlias::post_routes(RouterCore&) {
  for (const Rule& rule : rules_) {
    if (rule.used) continue;
    return fail(ErrorCode::not_found,
                "alias " + escape(rule.alias) + ": no route " +
                    (rule.path.empty() ? "was registered with it" : escape(rule.path) + " is registered") +
                    " where the plugin was added");
  }
  return {};
}

}  // namespace wayport::rpc
