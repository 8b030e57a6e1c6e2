// Load on a peer whose handlers take time: pulls of /work, which keeps the loop busy, and of /block, which blocks a
// worker thread. For the benchmarks of blocking handlers and of overload.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "wayport/base/result.h"
#include "wayport/rpc/peer.h"
#include "wayport/tools/bench/histogram.h"
#include "wayport/tools/bench/load.h"

namespace wayport::tools {

// What the server does. Times of zero cost nothing.
struct WorkOptions {
  std::chrono::microseconds work{0};         // /work computes so long, on the loop
  std::chrono::microseconds block{5000};     // /block sleeps so long, on the worker pool
  std::chrono::microseconds turn_budget{0};  // above zero: rpc::plugins::CallLimiter
};
std::string to_argument(const WorkOptions& options);
WorkOptions work_options_of(const std::string& argument);

// The routes, and the limiter if there is a budget.
void add_work(rpc::Peer& peer, const WorkOptions& options);

struct WorkRound {
  double seconds = 0;         // from the first request to the end of the time; what comes later is not counted
  std::uint64_t sent = 0;     // pulls of /work
  std::uint64_t blocked = 0;  // replies of /block
  std::uint64_t failed = 0;   // neither 200 nor 503 of the server
  Histogram done;             // ns from when each was due; 200
  Histogram refused;          // 503
};
struct WorkLoad {
  Load load{};
  // Pulls of /block for each of /work, in an open loop.
  double blocking = 0;
};

// Several sessions to one server, on one loop.
class WorkClient {
 public:
  static Result<std::unique_ptr<WorkClient>> connect(const std::string& address, std::size_t sessions);
  ~WorkClient();
  // Returns when all replies are there. Not on a loop thread.
  WorkRound run(const WorkLoad& load);
  // How many 503 the server queued in the turn that read their request, and how many later.
  Result<std::array<std::uint64_t, 2>> refusals();

 private:
  struct Implementation;
  explicit WorkClient(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace wayport::tools
