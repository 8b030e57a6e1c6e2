#include "wayport/rpc/plugins/statistics/prometheus_statistics.h"

#include <iterator>
#include <limits>
#include <string_view>
#include <utility>

#include "wayport/base/counters.h"
#include "wayport/base/runtime.h"
#include "wayport/base/worker_pool.h"
#include "wayport/rpc/options.h"

namespace wayport::rpc::plugins {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

MetricFamily family(std::string name, std::string_view help, MetricType type) {
  MetricFamily made;
  made.name = std::move(name);
  made.help = help;
  made.type = type;
  return made;
}

MetricFamily single(std::string name, std::string_view help, MetricType type, double value) {
  MetricFamily made = family(std::move(name), help, type);
  ClientMetric metric;
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  made.metric.push_back(std::move(metric));
  return made;
}

using Labels = std::vector<ClientMetric::Label>;

void add_calls(MetricFamily& to, const CallStatistics& calls, const Labels& labels) {
  for (std::size_t i = 0; i < kCodeClasses; ++i) {
    const auto code_class = static_cast<CodeClass>(i);
    // Successes always, so that a rate is there from the start; the rest once it happened.
    if (calls.ended[i] == 0 && code_class != CodeClass::ok) continue;
    ClientMetric metric;
    metric.label = labels;
    metric.label.push_back({"code", std::string(to_string(code_class))});
    metric.counter.value = static_cast<double>(calls.ended[i]);
    to.metric.push_back(std::move(metric));
  }
}

void add_in_flight(MetricFamily& to, const CallStatistics& calls, const Labels& labels) {
  ClientMetric metric;
  metric.label = labels;
  metric.gauge.value = static_cast<double>(calls.in_flight);
  to.metric.push_back(std::move(metric));
}

void add_times(MetricFamily& to, const CallStatistics& calls, const Labels& labels,
               const std::vector<Duration>& bounds) {
  ClientMetric metric;
  metric.label = labels;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < calls.buckets.size(); ++i) {
    count += calls.buckets[i];
    metric.histogram.bucket.push_back(
        {count, i < bounds.size() ? seconds(bounds[i]) : std::numeric_limits<double>::infinity()});
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = seconds(calls.time);
  to.metric.push_back(std::move(metric));
}

struct NamedCounter {
  Counter SessionCounters::* counter;
  const char* name;
  const char* help;
};

constexpr NamedCounter kSessionCounters[] = {
    {&SessionCounters::sessions_opened, "sessions_opened", "Sessions that began"},
    {&SessionCounters::sessions_closed, "sessions_closed", "Sessions that ended"},
    {&SessionCounters::packets_read, "packets_read", "Packets of all types that were read"},
    {&SessionCounters::packets_written, "packets_written", "Packets of all types that were written"},
    {&SessionCounters::bytes_read, "bytes_read", "Bytes of packets that were read"},
    {&SessionCounters::bytes_written, "bytes_written", "Bytes of packets that were written"},
    {&SessionCounters::pulls_received, "pulls_received", "Pulls that peers made"},
    {&SessionCounters::pushes_received, "pushes_received", "Pushes that peers made"},
    {&SessionCounters::pulls_sent, "pulls_sent", "Pulls that this side made"},
    {&SessionCounters::pushes_sent, "pushes_sent", "Pushes that this side made"},
    {&SessionCounters::replies_unmatched, "replies_unmatched", "Replies that came late or were never asked for"},
    {&SessionCounters::replies_dropped, "replies_dropped", "Replies whose session had ended"},
    {&SessionCounters::routes_unknown, "routes_unknown", "Pulls answered with 404, and pushes without a handler"},
    {&SessionCounters::uris_bad, "uris_bad", "Pulls answered with 400, and pushes with a bad uri"},
    {&SessionCounters::handler_exceptions, "handler_exceptions", "Handlers that threw"},
    {&SessionCounters::handlers_refused, "handlers_refused", "Handlers over handlers_max or a full worker pool"},
    {&SessionCounters::hooks_refused, "hooks_refused", "Requests, replies and pushes that a plugin refused"},
    {&SessionCounters::deadlines_missed, "deadlines_missed", "Calls answered with 504 at their route's deadline"},
    {&SessionCounters::calls_refused, "calls_refused", "Own calls over calls_max or output_bytes_max"},
    {&SessionCounters::calls_timed_out, "calls_timed_out", "Own pulls that had no reply in time"},
    {&SessionCounters::requests_after_close, "requests_after_close", "Requests that came while a session closed"},
    {&SessionCounters::drains_announced, "drains_announced", "Drain notices to peers"},
    {&SessionCounters::drains_received, "drains_received", "Drain notices from peers"},
    {&SessionCounters::reading_paused, "reading_paused", "Times that reading stopped for unsent replies"},
    {&SessionCounters::pulls_shed, "pulls_shed", "Pulls answered with 503 for output_bytes_max of unsent replies"},
    {&SessionCounters::read_timeouts, "read_timeouts", "Sessions closed by read_timeout"},
    {&SessionCounters::write_timeouts, "write_timeouts", "Sessions closed by write_timeout"},
    {&SessionCounters::protocol_errors, "protocol_errors", "Packets that broke a rule of the protocol"},
};
static_assert(std::size(kSessionCounters) * sizeof(Counter) == sizeof(SessionCounters), "a counter has no metric");

std::uint64_t sum_over_loops(Peer& peer, Counter SessionCounters::* counter) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < peer.runtime().loop_count(); ++i) sum += (peer.counters(i).*counter).read();
  return sum;
}

}  // namespace

std::vector<MetricFamily> to_metrics(const StatisticsSnapshot& snapshot, const std::vector<Duration>& bounds,
                                     const std::string& prefix) {
  MetricFamily handled = family(prefix + "_handled_calls_total",
                                "Calls that peers made and that have ended, by status code", MetricType::Counter);
  MetricFamily handled_now =
      family(prefix + "_handled_calls_in_flight", "Calls that peers made and that have not ended", MetricType::Gauge);
  MetricFamily handled_time = family(prefix + "_handled_call_duration_seconds",
                                     "From the turn that read the request to its answer", MetricType::Histogram);
  for (const CallStatistics& calls : snapshot.handled) {
    const Labels labels{{"kind", calls.push ? "push" : "pull"}, {"route", calls.name}};
    add_calls(handled, calls, labels);
    add_in_flight(handled_now, calls, labels);
    add_times(handled_time, calls, labels, bounds);
  }
  MetricFamily made =
      family(prefix + "_made_pulls_total", "Pulls that this side made and that have ended", MetricType::Counter);
  MetricFamily made_now =
      family(prefix + "_made_pulls_in_flight", "Pulls that this side made and that have not ended", MetricType::Gauge);
  MetricFamily made_time = family(prefix + "_made_pull_duration_seconds",
                                  "From the turn that made the pull to the turn of its outcome", MetricType::Histogram);
  for (const CallStatistics& calls : snapshot.made) {
    const Labels labels{{"path", calls.name}};
    add_calls(made, calls, labels);
    add_in_flight(made_now, calls, labels);
    add_times(made_time, calls, labels, bounds);
  }
  MetricFamily pushed = family(prefix + "_made_pushes_total", "Pushes that this side made", MetricType::Counter);
  for (const CallStatistics& calls : snapshot.pushed) {
    ClientMetric metric;
    metric.label = {{"path", calls.name}};
    metric.counter.value = static_cast<double>(calls.ended_count());
    pushed.metric.push_back(std::move(metric));
  }
  std::vector<MetricFamily> families;
  for (MetricFamily* one : {&handled, &handled_now, &handled_time, &made, &made_now, &made_time, &pushed}) {
    if (!one->metric.empty()) families.push_back(std::move(*one));
  }
  return families;
}

std::vector<MetricFamily> to_metrics(Peer& peer, const std::string& prefix) {
  std::vector<MetricFamily> families;
  families.push_back(single(prefix + "_sessions", "Sessions that are open", MetricType::Gauge,
                            static_cast<double>(peer.session_count())));
  for (const NamedCounter& one : kSessionCounters) {
    families.push_back(single(prefix + "_" + one.name + "_total", one.help, MetricType::Counter,
                              static_cast<double>(sum_over_loops(peer, one.counter))));
  }
  const WorkerPool& workers = peer.runtime().workers();
  families.push_back(single(prefix + "_worker_threads", "Threads of the worker pool", MetricType::Gauge,
                            static_cast<double>(workers.threads())));
  families.push_back(single(prefix + "_worker_queue", "Blocking handlers that wait for a thread", MetricType::Gauge,
                            static_cast<double>(workers.queued())));
  families.push_back(single(prefix + "_worker_refused_total", "Blocking handlers that found the queue full",
                            MetricType::Counter, static_cast<double>(workers.refused())));
  return families;
}

PrometheusStatistics::PrometheusStatistics(std::shared_ptr<const Statistics> statistics, Peer& peer, std::string prefix)
    : statistics_(std::move(statistics)), peer_(peer), prefix_(std::move(prefix)) {}

std::vector<MetricFamily> PrometheusStatistics::Collect() const {
  std::vector<MetricFamily> families = to_metrics(peer_, prefix_);
  if (!statistics_) return families;
  std::vector<MetricFamily> calls = to_metrics(statistics_->snapshot(), statistics_->options().latency_bounds, prefix_);
  std::move(calls.begin(), calls.end(), std::back_inserter(families));
  return families;
}

}  // namespace wayport::rpc::plugins
