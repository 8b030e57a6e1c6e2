// RouterCore: names to handlers; two tables, pulls and pushes (spec/teleport 7).
//
// Filled before the peer starts, then only read, by any number of threads. Registration that cannot be right (a
// duplicate, an empty handler, a frozen router) throws std::logic_error with the route's name.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/rpc/call.h"

namespace wayport::rpc {

class RouteTable;

class RouterCore {
 public:
  RouterCore();
  ~RouterCore();

  // `path` is joined to `prefix` and cleaned.
  void add(Call::Kind kind, std::string_view path, std::shared_ptr<Handler> handler);
  void set_unknown(Call::Kind kind, std::shared_ptr<Handler> handler);

  // nullptr: neither the route nor an unknown-handler. The handler lives as long as the router.
  Handler* find(Call::Kind kind, std::string_view path) const noexcept;
  std::vector<std::string> routes(Call::Kind kind) const;  // sorted

  void freeze() noexcept { frozen_ = true; }

 private:
  std::unique_ptr<RouteTable> tables_[2];
  bool frozen_ = false;
};

}  // namespace wayport::rpc
