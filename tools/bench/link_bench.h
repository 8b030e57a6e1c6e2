// The benchmarks of the link gateway (gateway/link), in a process of its own.
//
//   frames      64-byte frames from many clients to a server and back, beside a bare gateway: CPU time per forwarded frame
//   isolation   what a client that never reads costs all others
//   dial        virtual connections opened and closed
//   idle        memory of clients and virtual connections that do nothing
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/tools/bench/compare.h"
#include "wayport/tools/bench/histogram.h"
#include "wayport/tools/bench/link_dials.h"
#include "wayport/tools/bench/link_flood.h"
#include "wayport/tools/bench/load.h"
#include "wayport/tools/bench/report.h"

namespace wayport::tools {

struct LinkOptions {
  std::vector<std::string> parts{"all"};  // "frames", "isolation", "dial", "idle"
  // frames and dial
  std::size_t clients = 50;
  std::size_t window = 32;  // frames, or dials and connections, of each client under way
  std::size_t frame_bytes = 64;
  // isolation
  std::size_t crowd = 1000;  // clients, of which one may be stuck
  double rate = 10'000;      // frames per second, of all of them
  double flood_mb = 20;      // 10^6 bytes per second to the stuck one
  // idle
  std::size_t idle_clients = 5000;
  std::size_t idle_virtuals = 100'000;

  unsigned loops = 1;
  double seconds = 5;  // of each side of each part, all rounds together
  unsigned rounds = 5;
  Cores cores = Cores::apart;
  bool with_raw = true;

  bool has(const std::string& part) const;
};

// Of the gateway, over a part, by the names of link::SwitchCounters.
using GatewayCounts = std::map<std::string, std::uint64_t>;

struct LinkFrames {
  Comparison comparison;        // per message; each is forwarded twice, there and back
  std::uint64_t answered = 0;   // messages through the gateway, warm-ups included
  std::uint64_t forwarded = 0;  // frames that the gateway says it forwarded meanwhile
  std::uint64_t surprises = 0;
  std::vector<std::string> first_surprises;
};

struct IsolationRound {
  Round without{};
  Round with{};
  // The gateway's resident memory, most during each.
  std::uint64_t rss_without = 0;
  std::uint64_t rss_with = 0;
  double p99_ratio = 0;
};
// What the gateway's options let its memory grow by while clients are stuck.
struct LinkMemoryBound {
  std::uint64_t stuck = 0;          // clients that are stuck at the same time
  std::uint64_t queue_bytes = 0;    // unsent, of each: client_queue.bytes_max
  std::uint64_t reserve_bytes = 0;  // for commands, of each: command_reserve_bytes
  std::uint64_t loops = 0;
  std::uint64_t free_chunk_bytes = 0;  // that each loop keeps for the next bytes (base/chain.h)

  std::uint64_t bytes() const noexcept { return stuck * (queue_bytes + reserve_bytes) + loops * free_chunk_bytes; }
};
LinkMemoryBound link_memory_bound(std::uint64_t loops);

struct LinkIsolation {
  std::size_t clients = 0;  // that read
  std::vector<IsolationRound> rounds;
  // All rounds together: a stall of the machine hits one side of one round, and many short rounds share such evenly.
  Histogram latency_without;  // ns
  Histogram latency_with;
  double p99_ratio = 0;         // of these
  double p99_ratio_median = 0;  // of the rounds' ratios
  FloodCounts flood;
  // The gateway's resident memory: most in the first round, before anybody was stuck (what it took later it keeps for a
  // while), and most in any round with a stuck client; and what its options let it grow by for that.
  std::uint64_t rss_before = 0;
  std::uint64_t rss_with = 0;
  LinkMemoryBound bound{};
  GatewayCounts counts;
  std::uint64_t surprises = 0;
  std::vector<std::string> first_surprises;

  std::uint64_t rss_growth() const noexcept { return rss_with > rss_before ? rss_with - rss_before : 0; }
  // Virtual connections that the gateway closed for one of its bounds.
  std::uint64_t closed_slow() const;
};

struct LinkDialing {
  std::uint64_t dials = 0;
  std::uint64_t refused = 0;
  // Medians of the rounds.
  double dials_per_second = 0;
  double gateway_cpu_us = 0;
  double gateway_allocations = 0;
  Histogram accepted;  // ns
  GatewayCounts counts;
  std::uint64_t surprises = 0;
  std::vector<std::string> first_surprises;
};

// Bytes for each, in the gateway's process.
struct LinkIdle {
  std::size_t clients = 0;
  double client_heap_bytes = 0;
  double client_rss_bytes = 0;
  std::size_t virtuals = 0;
  std::size_t virtual_clients = 0;  // that share them
  double virtual_heap_bytes = 0;
  double virtual_rss_bytes = 0;
};

struct LinkResults {
  std::optional<LinkFrames> frames;
  std::optional<LinkIsolation> isolation;
  std::optional<LinkDialing> dial;
  std::optional<LinkIdle> idle;

  // Why these numbers are not to be believed; empty: nothing was lost, wrong or unexpected.
  std::string trouble() const;
};

Result<LinkResults> measure_link(std::size_t own_arguments, const LinkOptions& options);
std::string link_table(const Machine& machine, const LinkOptions& options, const LinkResults& results);
std::string link_json(const Machine& machine, const LinkOptions& options, const LinkResults& results);

}  // namespace wayport::tools
