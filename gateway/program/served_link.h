// The link gateway as the program serves it.
#pragma once

#include <memory>

#include "wayport/base/runtime.h"
#include "wayport/gateway/link/link_gateway.h"
#include "wayport/gateway/program/served_gateway.h"
#include "wayport/gateway/program/settings.h"
#include "wayport/transport/inherited.h"
#include "wayport/transport/transports.h"

namespace wayport::gateway {

class ServedLink final : public ServedGateway {
 public:
  // REQUIRES: settings.link. What is given outlives it.
  ServedLink(Runtime& runtime, const Settings& settings, transport::InheritedSockets& inherited,
             const transport::Transports& transports);

  link::LinkGateway& gateway() noexcept { return gateway_; }

  Result<void> start() override { return gateway_.start(); }
  // Nothing of it can change while it runs, nor can another gateway come beside it.
  Result<void> reload(const Settings& settings) override;
  bool closing() const noexcept override { return gateway_.closing(); }
  std::vector<std::string> listening() const override;
  void add_metrics(MetricsPage& page) const override;
  std::string dump_sessions() const override;
  std::string dump_queues() const override;

  std::vector<int> hand_over_listeners() override { return gateway_.hand_over_listeners(); }
  void take_back_listeners() override { gateway_.take_back_listeners(); }
  void close_async(std::move_only_function<void()> done) override { gateway_.close_async(std::move(done)); }
  std::size_t abort() override;

 private:
  const bool alone_;  // no route gateway runs
  link::LinkGateway gateway_;
};

}  // namespace wayport::gateway
