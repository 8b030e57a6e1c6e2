// Router: how an application registers handlers; on_pull and on_push only ever register, pull and push only ever call.
//
//   peer.router().on_pull("/home/sum", [](rpc::Context&, std::array<int, 2> v) { return v[0] + v[1]; });
//   rpc::Router v1 = peer.router().group("/v1");
//   auto home = v1.controller("HomePage", std::make_shared<HomePage>());
//   home.on_pull("GetAll", &HomePage::get_all);          // /v1/home_page/get_all, as the original names it
//
// A view on the peer's routes: copies share them. Before the peer starts, from one thread; a mistake (duplicate, after
// the start) throws std::logic_error with the route's name.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/rpc/handlers.h"
#include "wayport/rpc/route_name.h"
#include "wayport/rpc/route_tree.h"
#include "wayport/rpc/router_core.h"

namespace wayport::rpc {

template <class C>
class Controller;

class Router {
 public:
  explicit Router(RouteTree& tree) : Router(tree, tree.root(), "/") {}

  // `path` is joined to the group's prefix and cleaned; its letter case stays.
  template <class F>
  void on_pull(std::string_view path, F function, const HandlerOptions& options = {}) {
    add(Call::Kind::pull, path, make_handler(std::move(function), options), options);
  }
  template <class F>
  void on_push(std::string_view path, F function, const HandlerOptions& options = {}) {
    add(Call::Kind::push, path, make_handler(std::move(function), options), options);
  }
  // For paths without a route, of the whole peer. The handler binds the body itself (Context::bind), or passes it on.
  template <class F>
  void on_unknown_pull(F function, const HandlerOptions& options = {}) {
    set_unknown(Call::Kind::pull, make_handler(std::move(function), options), options);
  }
  template <class F>
  void on_unknown_push(F function, const HandlerOptions& options = {}) {
    set_unknown(Call::Kind::push, make_handler(std::move(function), options), options);
  }

  // Routes below `prefix`, with plugins of their own after those of this router.
  Router group(std::string_view prefix) const {
    return Router(*tree_, tree_->add_group(*group_), join_path(prefix_, prefix));
  }
  // Of this group; of the whole peer if this is no group.
  PluginContainer& plugins() const noexcept { return group_->plugins; }
  // `type_name` and method names are put into snake case (route_name.h). The object is shared by all sessions and
  // loops.
  template <class C>
  Controller<C> controller(std::string_view type_name, std::shared_ptr<C> object) const {
    return Controller<C>(group(snake_case(last_element(type_name))), std::move(object));
  }

  const RouterCore& core() const noexcept { return tree_->core(); }

 private:
  Router(RouteTree& tree, RouteGroup& group, std::string prefix)
      : tree_(&tree), group_(&group), prefix_(std::move(prefix)) {}

  void add(Call::Kind kind, std::string_view path, std::shared_ptr<Handler> handler, const HandlerOptions& options) {
    place(tree_->core().add(kind, join_path(prefix_, path), std::move(handler)), options);
  }
  void set_unknown(Call::Kind kind, std::shared_ptr<Handler> handler, const HandlerOptions& options) {
    place(tree_->core().set_unknown(kind, std::move(handler)), options);
  }
  void place(Route& route, const HandlerOptions& options) {
    route.deadline = options.deadline;
    route.continuation = options.continuation;
    tree_->place(route, *group_, options.plugins);
  }

  RouteTree* tree_;
  RouteGroup* group_;
  std::string prefix_;
};

// Member functions of one object as routes.
template <class C>
class Controller {
 public:
  Controller(Router router, std::shared_ptr<C> object) : router_(std::move(router)), object_(std::move(object)) {}

  template <class M>
  void on_pull(std::string_view method_name, M method, const HandlerOptions& options = {}) {
    router_.on_pull(snake_case(method_name), bind(method), options);
  }
  template <class M>
  void on_push(std::string_view method_name, M method, const HandlerOptions& options = {}) {
    router_.on_push(snake_case(method_name), bind(method), options);
  }

 private:
  template <class R, class... P>
  auto bind(R (C::*method)(P...)) const {
    return [object = object_, method](P... parameters) -> R {
      return ((*object).*method)(std::forward<P>(parameters)...);
    };
  }
  template <class R, class... P>
  auto bind(R (C::*method)(P...) const) const {
    return [object = object_, method](P... parameters) -> R {
      return ((*object).*method)(std::forward<P>(parameters)...);
    };
  }

  Router router_;
  std::shared_ptr<C> object_;
};

}  // namespace wayport::rpc
