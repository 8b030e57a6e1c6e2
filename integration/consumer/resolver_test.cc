// A route gateway in a program of one's own, with a resolver of one's own: as users of gogateway-light plugged in theirs.
#include <cstring>
#include <iostream>
#include <memory>
#include <string>

#include "wayport/base/runtime.h"
#include "wayport/gateway/route/default_resolvers.h"
#include "wayport/gateway/route/route_gateway.h"

namespace {

namespace route = wayport::route;

// "room-7" is the server that has the rooms 1 to 10.
class Rooms final : public route::ImmediateResolver {
 public:
  explicit Rooms(std::string server) : server_(std::move(server)) {}
  route::ResolveOutcome resolve_now(const route::ResolveRequest& request) const override {
    if (!request.identify.starts_with("room-")) return route::refuse(route::RouteError::resolve_failed, "no room");
    const auto backend = route::Backend::parse(server_);
    if (!backend) return route::refuse(route::RouteError::internal, backend.error().detail);
    return route::Resolved{.backends = {*backend}, .claims = {}, .how = "the server of the rooms"};
  }

 private:
  const std::string server_;
};

}  // namespace

int main() {
  route::ResolverRegistry resolvers = route::default_resolvers();
  resolvers.add("rooms", [](const route::SettingsTable& settings, const route::ResolverContext&) {
    std::string server;
    route::SettingsReader read(settings, "resolver \"rooms\"");
    const auto read_all = [&]() -> wayport::Result<std::shared_ptr<route::Resolver>> {
      if (auto text = read.text("server", server); !text) return std::unexpected(text.error());
      if (auto rest = read.finish(); !rest) return std::unexpected(rest.error());
      return std::make_shared<Rooms>(server);
    };
    return read_all();
  });

  wayport::Runtime runtime({.loops = 1});
  route::RouteOptions options;
  options.listen = {"tcp://127.0.0.1:0"};
  options.resolver = "rooms";
  options.resolver_settings = {{"server", "10.1.2.3:7000"}};
  options.allow = {"10.1.2.3:7000"};
  route::RouteGateway gateway(runtime, {.routes = {options}, .resolvers = &resolvers});
  if (const auto started = gateway.start(); !started) {
    std::cerr << started.error().to_string() << "\n";
    return 1;
  }
  std::cout << "rooms behind " << gateway.addresses().at(0) << "\n";
  gateway.close_blocking();

  // A setting that it does not know is refused by name.
  options.resolver_settings = {{"sever", "10.1.2.3:7000"}};
  route::RouteGateway wrong(runtime, {.routes = {options}, .resolvers = &resolvers});
  const auto refused = wrong.start();
  if (refused || refused.error().to_string().find("sever") == std::string::npos) return 1;
  return 0;
}
