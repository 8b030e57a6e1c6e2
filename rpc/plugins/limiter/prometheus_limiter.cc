#include "wayport/rpc/plugins/limiter/prometheus_limiter.h"

#include <string_view>

namespace wayport::rpc::plugins {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(std::string name, std::string_view help, MetricType type) {
  MetricFamily made;
  made.name = std::move(name);
  made.help = help;
  made.type = type;
  return made;
}

void add_sample(MetricFamily& to, const std::string& limiter, double value, std::string_view why = {}) {
  ClientMetric metric;
  metric.label = {{"limiter", limiter}};
  if (!why.empty()) metric.label.push_back({"limit", std::string(why)});
  (to.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  to.metric.push_back(std::move(metric));
}

}  // namespace

std::vector<MetricFamily> PrometheusLimiters::Collect() const {
  const std::string prefix = prefix_ + "_limiter_";
  MetricFamily admitted = family(prefix + "admitted_total", "Calls or connections that passed", MetricType::Counter);
  MetricFamily refused =
      family(prefix + "refused_total", "Calls or connections over a limit, by limit", MetricType::Counter);
  MetricFamily dropped = family(prefix + "pushes_dropped_total", "Pushes among the refused", MetricType::Counter);
  MetricFamily untracked =
      family(prefix + "untracked_total", "Admitted although sources_max sources were inside", MetricType::Counter);
  MetricFamily inside = family(prefix + "at_once", "Calls or connections inside now", MetricType::Gauge);
  MetricFamily sources = family(prefix + "sources", "Sources of which something is inside now", MetricType::Gauge);
  for (const Source& source : sources_) {
    const LimiterCounts counts = source.counts();
    add_sample(admitted, source.name, static_cast<double>(counts.admitted));
    for (std::size_t i = 0; i < kRefusals; ++i) {
      add_sample(refused, source.name, static_cast<double>(counts.refused[i]), to_string(static_cast<Refusal>(i)));
    }
    add_sample(dropped, source.name, static_cast<double>(counts.pushes_dropped));
    add_sample(untracked, source.name, static_cast<double>(counts.untracked));
    add_sample(inside, source.name, static_cast<double>(counts.at_once));
    add_sample(sources, source.name, static_cast<double>(counts.sources));
  }
  return {admitted, refused, dropped, untracked, inside, sources};
}

}  // namespace wayport::rpc::plugins
