// Statistics: how often each route was called, how it ended, how long it took; and the same of pulls that this side
// made. README.md has the metrics; prometheus_statistics.h exposes them.
//
//   auto statistics = std::make_shared<rpc::plugins::Statistics>();
//   peer.plugins().add(statistics);  // first, so that it sees what other plugins refuse
//
// Per message: plain counters of the loop's own (no lock, no shared cache line, no allocation), and one look at the
// clock per call. snapshot() sums them up; it may miss what happens meanwhile.
//
// Names are bounded: routes are those that were registered; what has none, and what unknown-handlers take, is one name
// per kind. Pulls and pushes of ours are told apart by path for the first `sent_paths_max` paths, the rest is one name.
//
// Peer level, one peer. Any thread, except that options come first.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "wayport/base/counters.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/rpc/plugin.h"
#include "wayport/rpc/plugins/per_thread/per_thread.h"

namespace wayport::rpc::plugins {

inline constexpr std::size_t kLatencyBoundsMax = 32;
inline constexpr std::size_t kSentPathBytesMax = 256;  // longer ones count as kOtherPaths

// Names in snapshots, where routes and paths are not told apart.
inline constexpr std::string_view kUnknownRoute = "(unknown)";
inline constexpr std::string_view kOtherPaths = "(other)";

struct StatisticsOptions {
  // Upper bounds of the histograms' buckets, ascending, at most kLatencyBoundsMax; one more bucket takes the rest.
  std::vector<Duration> latency_bounds = {
      std::chrono::microseconds(50),  std::chrono::microseconds(100), std::chrono::microseconds(250),
      std::chrono::microseconds(500), std::chrono::milliseconds(1),   std::chrono::microseconds(2500),
      std::chrono::milliseconds(5),   std::chrono::milliseconds(10),  std::chrono::milliseconds(25),
      std::chrono::milliseconds(50),  std::chrono::milliseconds(100), std::chrono::milliseconds(250),
      std::chrono::milliseconds(500), std::chrono::seconds(1),        std::chrono::milliseconds(2500),
      std::chrono::seconds(5),        std::chrono::seconds(10)};
  std::size_t sent_paths_max = 256;
};

// How a call ended: by its status code (spec/teleport 6).
enum class CodeClass : std::uint8_t {
  ok,           // "200"
  connection,   // "1xx": local, the call did not leave or its session ended
  caller,       // "4xx"
  callee,       // "5xx"
  application,  // "app": 1000 and above
  other,        // "other"
  none,         // "none": no reply could be given
};
inline constexpr std::size_t kCodeClasses = 7;
CodeClass class_of(std::int32_t status_code) noexcept;
std::string_view to_string(CodeClass code_class) noexcept;

struct CallStatistics {
  bool push = false;
  std::string name;  // route, or path of pulls and pushes that were sent; escaped
  std::array<std::uint64_t, kCodeClasses> ended{};
  std::int64_t in_flight = 0;
  std::vector<std::uint64_t> buckets{};  // as many as bounds, and one
  Duration time{0};                      // sum

  std::uint64_t ended_count() const noexcept;
};

struct StatisticsSnapshot {
  std::vector<CallStatistics> handled;  // by this side; every registered route
  std::vector<CallStatistics> made;     // pulls of this side; the paths that were used
  std::vector<CallStatistics> pushed;   // pushes of this side: only `ended` as ok
};

class Statistics final : public Plugin, public PostReg, public CallGuard, public PullGuard, public PostWritePush {
 public:
  // std::invalid_argument: latency_bounds are too many or do not ascend.
  explicit Statistics(StatisticsOptions options = {});
  ~Statistics() override;

  std::string_view name() const noexcept override { return "statistics"; }
  const StatisticsOptions& options() const noexcept { return options_; }
  StatisticsSnapshot snapshot() const;

  Result<void> post_reg(Registration& registration) override;
  Status begin_call(Call& call) override;
  void end_call(const Call& call, std::int32_t status_code) noexcept override;
  std::uint32_t begin_pull(const OutgoingView& pull) noexcept override;
  void end_pull(SessionCore& session, std::uint32_t tag, TimePoint started, std::int32_t status_code) noexcept override;
  Status post_write_push(const OutgoingView& push) override;

 private:
  // One name's counters of one loop.
  struct Row {
    std::array<Counter, kCodeClasses> ended;
    Gauge in_flight;  // a sum over threads; of one it may be negative
    std::array<Counter, kLatencyBoundsMax + 1> buckets;
    Counter time_ns;

    void end(CodeClass code_class) noexcept { ended[static_cast<std::size_t>(code_class)].add(); }
  };
  struct SentRow {
    Row pulls;
    Counter pushes;
  };
  struct PathHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view path) const noexcept { return std::hash<std::string_view>()(path); }
  };
  // Of one thread. Only its atomics are read by others.
  struct Shard {
    Shard(std::size_t routes, std::size_t paths) : handled(routes), sent(paths) {}
    ~Shard();
    SentRow& sent_row(std::uint32_t path);

    std::vector<Row> handled;
    std::vector<std::atomic<SentRow*>> sent;  // made when first used
    std::unordered_map<std::string, std::uint32_t, PathHash, std::equal_to<>> paths;
    bool knows_all_paths = false;
  };
  struct RouteName {
    bool push;
    std::string path;
  };

  std::size_t row_of(const Call& call) const noexcept;
  std::uint32_t path_number(Shard& shard, std::string_view uri);
  std::uint32_t add_path(Shard& shard, std::string_view path);
  void add_time(Row& row, Duration time) const noexcept;
  CallStatistics sum_up(bool push, std::string name) const;
  static void add_row(const Row& row, CallStatistics& to);

  const StatisticsOptions options_;
  // Set before the peer starts. Rows 0 and 1 are pulls and pushes without a route.
  std::vector<const Route*> routes_;  // by Route::index
  std::vector<std::size_t> rows_;     // by Route::index
  std::vector<RouteName> names_;      // by row
  mutable std::mutex paths_mutex_;
  std::vector<std::string> paths_;  // that were sent, by number; bounded by sent_paths_max
  PerThread<Shard> shards_;
};

}  // namespace wayport::rpc::plugins
