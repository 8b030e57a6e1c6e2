#include "wayport/gateway/program/metrics_page.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>

#include <chrono>
#include <utility>
#include <vector>

#include "wayport/gateway/program/profiles.h"

namespace wayport::gateway {
namespace {

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

}  // namespace

struct MetricsPage::Families {
  std::vector<prometheus::MetricFamily> all;
};

MetricsPage::MetricsPage() : families_(std::make_unique<Families>()) {}
MetricsPage::~MetricsPage() = default;

void MetricsPage::add(const char* family, const char* help, Kind kind, Label label, double number) {
  std::vector<prometheus::MetricFamily>& all = families_->all;
  if (all.empty() || all.back().name != family) {
    all.push_back({.name = family,
                   .help = help,
                   .type = kind == Kind::counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge,
                   .metric = {}});
  }
  prometheus::ClientMetric metric;
  if (*label.name != '\0') metric.label.push_back({.name = label.name, .value = std::move(label.value)});
  (kind == Kind::counter ? metric.counter.value : metric.gauge.value) = number;
  all.back().metric.push_back(std::move(metric));
}

void MetricsPage::add_process(Duration uptime, bool draining) {
  const MemoryUse memory = memory_use();
  add("wayport_uptime_seconds", "Time since the start of this process", Kind::gauge,
      std::chrono::duration<double>(uptime).count());
  add("wayport_draining", "1 while the process closes", Kind::gauge, draining ? 1 : 0);
  add("process_cpu_seconds_total", "User and system CPU time", Kind::counter, cpu_seconds());
  add("process_resident_memory_bytes", "Resident memory", Kind::gauge, static_cast<double>(memory.resident_bytes));
  add("process_open_fds", "Open descriptors", Kind::gauge, static_cast<double>(open_files()));
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  add("process_max_fds", "Descriptors that may be open", Kind::gauge, static_cast<double>(files.rlim_cur));
}

std::string MetricsPage::text() const {
  return prometheus::TextSerializer().prometheus::Serializer::Serialize(families_->all);
}

}  // namespace wayport::gateway
