// What limiters count, for prometheus-cpp; collected when scraped. README.md lists the metrics.
//
//   auto metrics = std::make_shared<rpc::plugins::PrometheusLimiters>();
//   metrics->add("peer", calls);  // before it is registered
//   exposer.RegisterCollectable(metrics);
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wayport/rpc/plugins/limiter/limiter.h"

namespace wayport::rpc::plugins {

class PrometheusLimiters final : public prometheus::Collectable {
 public:
  // `prefix` as for PrometheusStatistics.
  explicit PrometheusLimiters(std::string prefix = "wayport_rpc") : prefix_(std::move(prefix)) {}

  // `name` becomes the label `limiter`; different for each.
  template <class Limiter>
  void add(std::string name, std::shared_ptr<const Limiter> limiter) {
    sources_.push_back({std::move(name), [limiter = std::move(limiter)] { return limiter->counts(); }});
  }
  template <class Limiter>
  void add(std::string name, const std::shared_ptr<Limiter>& limiter) {
    add(std::move(name), std::shared_ptr<const Limiter>(limiter));
  }

  // Any thread.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  struct Source {
    std::string name;
    std::function<LimiterCounts()> counts;
  };
  const std::string prefix_;
  std::vector<Source> sources_;
};

}  // namespace wayport::rpc::plugins
