// The route gateway as the program serves it.
#pragma once

#include <memory>

#include "wayport/base/runtime.h"
#include "wayport/gateway/program/served_gateway.h"
#include "wayport/gateway/program/settings.h"
#include "wayport/gateway/route/resolver_registry.h"
#include "wayport/gateway/route/route_gateway.h"
#include "wayport/transport/inherited.h"
#include "wayport/transport/transports.h"

namespace wayport::gateway {

class ServedRoute final : public ServedGateway {
 public:
  // REQUIRES: settings.routes. What is given outlives it.
  ServedRoute(Runtime& runtime, const Settings& settings, transport::InheritedSockets& inherited,
              const transport::Transports& transports, const route::ResolverRegistry& resolvers);

  route::RouteGateway& gateway() noexcept { return gateway_; }

  Result<void> start() override { return gateway_.start(); }
  Result<void> reload(const Settings& settings) override;
  bool closing() const noexcept override { return gateway_.closing(); }
  // It says so itself, also after a reload.
  std::vector<std::string> listening() const override { return {}; }
  void add_metrics(MetricsPage& page) const override;
  std::string dump_sessions() const override;
  std::string dump_queues() const override;

  std::vector<int> hand_over_listeners() override { return gateway_.hand_over_listeners(); }
  void take_back_listeners() override { gateway_.take_back_listeners(); }
  void close_async(std::move_only_function<void()> done) override { gateway_.close_async(std::move(done)); }
  std::size_t abort() override;

 private:
  const bool beside_link_;  // a link gateway runs
  route::RouteGateway gateway_;
};

}  // namespace wayport::gateway
