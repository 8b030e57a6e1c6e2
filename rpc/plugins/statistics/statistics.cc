#include "wayport/rpc/plugins/statistics/statistics.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/rpc/session_core.h"

namespace wayport::rpc::plugins {
namespace {

constexpr std::size_t kUnknownPulls = 0;
constexpr std::size_t kUnknownPushes = 1;

StatisticsOptions checked(StatisticsOptions options) {
  const std::vector<Duration>& bounds = options.latency_bounds;
  if (bounds.size() > kLatencyBoundsMax) {
    throw std::invalid_argument("StatisticsOptions::latency_bounds has " + std::to_string(bounds.size()) +
                                " bounds; at most " + std::to_string(kLatencyBoundsMax) + " are possible");
  }
  if (std::ranges::adjacent_find(bounds, std::greater_equal<>()) != bounds.end()) {
    throw std::invalid_argument("StatisticsOptions::latency_bounds must ascend");
  }
  return options;
}

}  // namespace

CodeClass class_of(std::int32_t status_code) noexcept {
  if (status_code == code::kOk) return CodeClass::ok;
  if (status_code == code::kUndefined) return CodeClass::none;
  if (status_code >= 1000) return CodeClass::application;
  if (status_code >= 500 && status_code < 600) return CodeClass::callee;
  if (status_code >= 400 && status_code < 500) return CodeClass::caller;
  if (status_code >= 100 && status_code < 200) return CodeClass::connection;
  return CodeClass::other;
}

std::string_view to_string(CodeClass code_class) noexcept {
  static constexpr std::array<std::string_view, kCodeClasses> kNames = {"200", "1xx",   "4xx", "5xx",
                                                                        "app", "other", "none"};
  return kNames[static_cast<std::size_t>(code_class)];
}

std::uint64_t CallStatistics::ended_count() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : ended) sum += count;
  return sum;
}

Statistics::Shard::~Shard() {
  for (const std::atomic<SentRow*>& row : sent) delete row.load(std::memory_order_relaxed);
}

Statistics::SentRow& Statistics::Shard::sent_row(std::uint32_t path) {
  std::atomic<SentRow*>& place = sent[path];
  if (SentRow* row = place.load(std::memory_order_relaxed)) return *row;
  auto* const made = new SentRow;
  place.store(made, std::memory_order_release);
  return *made;
}

Statistics::Statistics(StatisticsOptions options)
    : options_(checked(std::move(options))),
      names_{{false, std::string(kUnknownRoute)}, {true, std::string(kUnknownRoute)}},
      shards_([this] { return std::make_unique<Shard>(names_.size(), options_.sent_paths_max + 1); }) {}

Statistics::~Statistics() = default;

Result<void> Statistics::post_reg(Registration& registration) {
  const Route& route = registration.route();
  if (routes_.size() <= route.index) {
    routes_.resize(route.index + 1);
    rows_.resize(route.index + 1);
  }
  if (routes_[route.index]) {
    return fail(ErrorCode::invalid_argument,
                "these statistics have counters for route " + routes_[route.index]->path +
                    " in its place: each peer needs a Statistics object of its own, added once");
  }
  routes_[route.index] = &route;
  rows_[route.index] = names_.size();
  names_.push_back({route.kind == Call::Kind::push, route.path});
  return {};
}

// --- handled ---

std::size_t Statistics::row_of(const Call& call) const noexcept {
  const std::size_t unknown = call.kind() == Call::Kind::pull ? kUnknownPulls : kUnknownPushes;
  const Route* const route = call.route();
  // Unknown-handlers are routes, but not registered ones.
  return route && route->index < routes_.size() && routes_[route->index] == route ? rows_[route->index] : unknown;
}

void Statistics::add_time(Row& row, Duration time) const noexcept {
  const std::vector<Duration>& bounds = options_.latency_bounds;
  const auto bound = std::ranges::lower_bound(bounds, time);
  row.buckets[static_cast<std::size_t>(bound - bounds.begin())].add();
  row.time_ns.add(static_cast<std::uint64_t>(std::max(time, Duration::zero()).count()));
}

Status Statistics::begin_call(Call& call) {
  shards_.local().handled[row_of(call)].in_flight.add();
  return {};
}

void Statistics::end_call(const Call& call, std::int32_t status_code) noexcept {
  Row& row = shards_.local().handled[row_of(call)];
  row.in_flight.add(-1);
  row.end(class_of(status_code));
  add_time(row, call.session().host().exact_now() - call.received());
}

// --- made ---

std::uint32_t Statistics::path_number(Shard& shard, std::string_view uri) {
  const std::string_view path = uri.substr(0, uri.find('?'));
  if (const auto found = shard.paths.find(path); found != shard.paths.end()) return found->second;
  const auto other = static_cast<std::uint32_t>(options_.sent_paths_max);
  if (path.size() > kSentPathBytesMax || shard.knows_all_paths) return other;
  return add_path(shard, path);
}

// A thread comes here at most twice for each path, and not at all once the table is full.
std::uint32_t Statistics::add_path(Shard& shard, std::string_view path) {
  const std::lock_guard lock(paths_mutex_);
  auto number = static_cast<std::uint32_t>(std::ranges::find(paths_, path) - paths_.begin());
  if (number == paths_.size() && paths_.size() < options_.sent_paths_max) paths_.emplace_back(path);
  if (paths_.size() >= options_.sent_paths_max) {
    for (std::uint32_t i = 0; i < paths_.size(); ++i) shard.paths.try_emplace(paths_[i], i);
    shard.knows_all_paths = true;
  } else {
    shard.paths.emplace(path, number);
  }
  return number;  // of a full table and no entry: sent_paths_max
}

std::uint32_t Statistics::begin_pull(const OutgoingView& pull) noexcept {
  Shard& shard = shards_.local();
  const std::uint32_t path = path_number(shard, pull.packet.header.uri);
  shard.sent_row(path).pulls.in_flight.add();
  return path;
}

void Statistics::end_pull(SessionCore& session, std::uint32_t tag, TimePoint started,
                          std::int32_t status_code) noexcept {
  Row& row = shards_.local().sent_row(tag).pulls;
  row.in_flight.add(-1);
  row.end(class_of(status_code));
  add_time(row, session.host().now() - started);
}

Status Statistics::post_write_push(const OutgoingView& push) {
  Shard& shard = shards_.local();
  shard.sent_row(path_number(shard, push.packet.header.uri)).pushes.add();
  return {};
}

// --- reading ---

void Statistics::add_row(const Row& row, CallStatistics& to) {
  for (std::size_t i = 0; i < kCodeClasses; ++i) to.ended[i] += row.ended[i].read();
  to.in_flight += row.in_flight.read();
  for (std::size_t i = 0; i < to.buckets.size(); ++i) to.buckets[i] += row.buckets[i].read();
  to.time += Duration(row.time_ns.read());
}

CallStatistics Statistics::sum_up(bool push, std::string name) const {
  CallStatistics statistics;
  statistics.push = push;
  statistics.name = std::move(name);
  statistics.buckets.resize(options_.latency_bounds.size() + 1);
  return statistics;
}

StatisticsSnapshot Statistics::snapshot() const {
  StatisticsSnapshot snapshot;
  for (const RouteName& name : names_) snapshot.handled.push_back(sum_up(name.push, escape(name.path)));
  std::vector<CallStatistics> made;
  std::vector<CallStatistics> pushed;
  {
    const std::lock_guard lock(paths_mutex_);
    for (const std::string& path : paths_) {
      made.push_back(sum_up(false, escape(path)));
      pushed.push_back(sum_up(true, escape(path)));
    }
  }
  const std::size_t others = made.size();
  made.push_back(sum_up(false, std::string(kOtherPaths)));
  pushed.push_back(sum_up(true, std::string(kOtherPaths)));
  shards_.for_each([&](const Shard& shard) {
    for (std::size_t i = 0; i < snapshot.handled.size(); ++i) add_row(shard.handled[i], snapshot.handled[i]);
    for (std::size_t i = 0; i < shard.sent.size(); ++i) {
      const SentRow* const row = shard.sent[i].load(std::memory_order_acquire);
      // A path that came after the names were read waits for the next time.
      const std::size_t at = i == options_.sent_paths_max ? others : i;
      if (!row || at > others || (at == others && i != options_.sent_paths_max)) continue;
      add_row(row->pulls, made[at]);
      pushed[at].ended[static_cast<std::size_t>(CodeClass::ok)] += row->pushes.read();
    }
  });
  for (CallStatistics& one : made) {
    if (one.ended_count() != 0 || one.in_flight != 0) snapshot.made.push_back(std::move(one));
  }
  for (CallStatistics& one : pushed) {
    if (one.ended_count() != 0) snapshot.pushed.push_back(std::move(one));
  }
  return snapshot;
}

}  // namespace wayport::rpc::plugins
