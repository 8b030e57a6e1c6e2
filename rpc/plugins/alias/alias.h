// Aliases: other paths that lead to a route, for names that changed while clients still use the old ones. The query stays.
//
//   peer.plugins().add(std::make_shared<rpc::PathAlias>(rpc::PathAlias::Map{{"/old/sum", "/home/sum"}}));
//   group.plugins().add(std::make_shared<rpc::RouteAlias>(rpc::RouteAlias::Map{{"/v1/*", "/v2/*"}}));
//   router.on_pull("/home/sum", sum, {.plugins = {std::make_shared<rpc::RouteAlias>("/old/sum")}});
//
// PathAlias maps the path of each request before the route is looked up, so the new path may also be one that an
// unknown-handler takes; handlers see the new path. It costs one lookup per request. RouteAlias enters the other names beside
// the routes' own when the peer starts, costs nothing per request, and handlers see the path that was asked for.
//
// Paths are percent-decoded, as routes are (spec/teleport 7), and compared as they stand. Both tables, pulls and pushes, are
// meant. Mistakes are refused: in the text of the map by std::logic_error from the constructor, towards the routes by
// Peer::start(). The reply carries the uri that was asked for. Immutable, so threads do not matter.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/rpc/plugin.h"

namespace wayport::rpc {

// At peer level only.
class PathAlias final : public Plugin, public PostRoutes, public PostReadPullHeader, public PostReadPushHeader {
 public:
  using Map = std::vector<std::pair<std::string, std::string>>;  // alias, path
  // An alias may lead to another one. std::logic_error: a path without leading slash, an alias given twice, a loop (named in
  // full), an empty map.
  explicit PathAlias(const Map& map);
  // Where `path` leads; itself if nowhere else.
  std::string_view target(std::string_view path) const noexcept;

  std::string_view name() const noexcept override { return "path_alias"; }
  // invalid_argument: an alias has the name of a route, which could never be reached.
  Result<void> post_routes(RouterCore& router) override;
  Status post_read_pull_header(Call& call) override;
  Status post_read_push_header(Call& call) override;

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  void map_path(Call& call) const;
  boost::unordered_flat_map<std::string, std::string, TextHash, std::equal_to<>> targets_;  // to their end
};

// At peer, group or route level; it sees the routes of where it was added.
class RouteAlias final : public Plugin, public PostReg, public PostRoutes {
 public:
  // Alias and path; both may end in "/*", which then stands for the same rest in both. std::logic_error: a path without
  // leading slash, a star elsewhere or on one side only, an alias given twice, an alias of itself, an empty map.
  using Map = std::vector<std::pair<std::string, std::string>>;
  explicit RouteAlias(const Map& map);
  // At route level: another name of that route.
  explicit RouteAlias(std::string alias);

  std::string_view name() const noexcept override { return "route_alias"; }
  // invalid_argument: the alias is the name of a route, or an alias already.
  Result<void> post_reg(Registration& registration) override;
  // not_found: an alias whose path is none of the routes'.
  Result<void> post_routes(RouterCore& router) override;

 private:
  struct Rule {
    std::string alias;
    std::string path;  // empty: whatever is registered
    bool prefix = false;
    bool used = false;
  };
  std::vector<Rule> rules_;
};

}  // namespace wayport::rpc
