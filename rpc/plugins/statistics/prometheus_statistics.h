// PrometheusStatistics: what Statistics and a peer count, for prometheus-cpp. Collected when scraped; nothing of
// prometheus-cpp is touched per message. README.md lists the metrics.
//
//   auto metrics = std::make_shared<rpc::plugins::PrometheusStatistics>(statistics, peer);
//   prometheus::Exposer exposer("127.0.0.1:9464");  // link prometheus-cpp-pull
//   exposer.RegisterCollectable(metrics);           // which holds it weakly
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <memory>
#include <string>
#include <vector>

#include "wayport/rpc/peer.h"
#include "wayport/rpc/plugins/statistics/statistics.h"

namespace wayport::rpc::plugins {

class PrometheusStatistics final : public prometheus::Collectable {
 public:
  // `peer` outlives it. `prefix` begins every metric's name: letters, digits and underscores. Two peers of one process
  // need two prefixes, or an exposer each. `statistics` may be null: then only the peer's counters are told.
  PrometheusStatistics(std::shared_ptr<const Statistics> statistics, Peer& peer, std::string prefix = "wayport_rpc");

  // Any thread.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::shared_ptr<const Statistics> statistics_;
  Peer& peer_;
  const std::string prefix_;
};

// The families of `statistics` only.
std::vector<prometheus::MetricFamily> to_metrics(const StatisticsSnapshot& snapshot,
                                                 const std::vector<Duration>& latency_bounds,
                                                 const std::string& prefix);
// The counters of all sessions that `peer` has and had, and its worker pool.
std::vector<prometheus::MetricFamily> to_metrics(Peer& peer, const std::string& prefix);

}  // namespace wayport::rpc::plugins
