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
#include "wayport/rpc/router_core.h"

namespace wayport::rpc {

template <class C>
class Controller;

class Router {
 public:
  explicit Router(RouterCore& core, std::string prefix = "/") : core_(&core), prefix_(std::move(prefix)) {}

  // `path` is joined to the group's prefix and cleaned; its letter case stays.
  template <class F>
  void on_pull(std::string_view path, F function, const HandlerOptions& options = {}) {
    core_->add(Call::Kind::pull, join_path(prefix_, path), make_handler(std::move(function), options));
  }
  template <class F>
  void on_push(std::string_view path, F function, const HandlerOptions& options = {}) {
    core_->add(Call::Kind::push, join_path(prefix_, path), make_handler(std::move(function), options));
  }
  // For paths without a route, of the whole peer. The handler binds the body itself (Context::bind), or passes it on.
  template <class F>
  void on_unknown_pull(F function, const HandlerOptions& options = {}) {
    core_->set_unknown(Call::Kind::pull, make_handler(std::move(function), options));
  }
  template <class F>
  void on_unknown_push(F function, const HandlerOptions& options = {}) {
    core_->set_unknown(Call::Kind::push, make_handler(std::move(function), options));
  }

  Router group(std::string_view prefix) const { return Router(*core_, join_path(prefix_, prefix)); }
  // `type_name` and method names are put into snake case (route_name.h). The object is shared by all sessions and
  // loops.
  template <class C>
  Controller<C> controller(std::string_view type_name, std::shared_ptr<C> object) const {
    return Controller<C>(group(snake_case(last_element(type_name))), std::move(object));
  }

  const RouterCore& core() const noexcept { return *core_; }

 private:
  RouterCore* core_;
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
