// RouteListeners: what a route gateway listens on, and how that changes while it runs. Internal to gateway/route.
//
//     wanted listeners --prepare()--> kept | taken over | new        nothing has changed yet; destroying it undoes it
//                                       '--commit()--> the others finish, and go
//
// On the gateway's first loop. Shared with a close, which may outlive the gateway's interest.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "wayport/gateway/route/route_gateway_route.h"
#include "wayport/gateway/route/route_loop.h"
#include "wayport/transport/transports.h"

namespace wayport::route {

class RouteListeners : public std::enable_shared_from_this<RouteListeners> {
 public:
  using Loops = std::vector<std::shared_ptr<RouteLoop>>;

  struct Wanted {
    std::string route;  // its name, for logs
    RouteListen listen;
  };

  class Change;

  // `options` but for what RouteListen says.
  RouteListeners(std::shared_ptr<const RouteEnvironment> environment, std::shared_ptr<const Loops> loops,
                 const transport::ListenOptions& options);
  ~RouteListeners();

  // Binds what is new. Errors name the address.
  Result<std::unique_ptr<Change>> prepare(const std::vector<Wanted>& wanted);

  std::vector<int> inheritable_fds();
  void take_back();
  // From inheritable_fds() to take_back().
  bool handed_over() const noexcept { return handed_over_; }
  // Stops listening without losing anybody.
  void finish();
  // Some listener is there, or has not finished yet.
  bool listening() const noexcept { return !entries_.empty() || !leaving_.empty(); }
  // When none is any more. Replaces an earlier one.
  void when_finished(std::function<void()> then) { then_ = std::move(then); }
  // Stops at once, and forgets the routes.
  void clear();

 private:
  struct Entry;

  void finish_entry(const std::shared_ptr<Entry>& entry);

  const std::shared_ptr<const RouteEnvironment> environment_;
  const std::shared_ptr<const Loops> loops_;
  const transport::ListenOptions options_;
  std::vector<std::shared_ptr<Entry>> entries_;
  std::vector<std::shared_ptr<Entry>> leaving_;
  std::function<void()> then_;
  bool handed_over_ = false;
  bool finishing_ = false;
};

// What a reload would change. Dropped: nothing has changed.
class RouteListeners::Change {
 public:
  ~Change();

  // As bound; in the order wanted.
  std::vector<transport::Address> addresses() const;
  // `routes`: one for each wanted listener.
  void commit(const std::vector<ServedRoutePtr>& routes);

 private:
  friend class RouteListeners;
  struct Item {
    std::shared_ptr<Entry> entry;
    std::shared_ptr<Entry> instead_of;  // its socket is taken over
    bool is_new = false;
  };
  explicit Change(RouteListeners& of) : owner_(of) {}

  RouteListeners& owner_;
  std::vector<Item> items_;
  bool committed_ = false;
};

}  // namespace wayport::route
