// LinkFlood: a client that never reads, and a server that sends to it all the same, at a bounded rate.
//
//   stuck client --Dial x 8--> gateway --Connect x 8--> server --flood--> gateway --> queue, bound, Close
//
// Its receive buffer is small, so that what the server sends soon waits in the gateway, whose bound then closes the
// virtual connection. The server goes on with the next one; when all of them are closed the client hangs up, and another
// one comes: at any time exactly one client is stuck. Its end and its commands are not those of the others: every Connect
// and Close that came for it is counted here, all else is not ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_set>

#include "wayport/base/result.h"
#include "wayport/framing/link/packet.h"
#include "wayport/tools/bench/link_bed.h"

namespace wayport::tools {

struct FloodCounts {
  std::uint64_t clients = 0;   // that were stuck, one after the other
  std::uint64_t virtuals = 0;  // that they dialed
  std::uint64_t bytes = 0;     // sent to them
  std::uint64_t closed = 0;    // virtual connections of theirs that the gateway closed; all, at the end
  std::uint64_t strays = 0;    // Close for one that was closed already: what the server had sent meanwhile
};

class LinkFlood {
 public:
  LinkFlood(LinkBed& bed, double bytes_per_second) noexcept : bed_(bed), bytes_per_ns_(bytes_per_second * 1e-9) {}

  // A client comes that will be stuck.
  Result<void> start();
  // Sends what is due. Call it at next_due().
  Result<void> push(std::uint64_t now);
  std::uint64_t next_due() const noexcept { return pushed_at_ + kIntervalNs; }
  // What came to the server; false: it has nothing to do with this.
  bool take(const link::Command& command);
  // To end it: no push() any more; hang_up() once all dials were answered (the gateway may not have read them before);
  // then the gateway owes a Close for each that is left.
  bool dials_answered() const noexcept { return dials_ == 0; }
  void hang_up() noexcept { client_.reset(); }
  bool all_closed() const noexcept { return dials_ == 0 && open_.empty(); }

  const FloodCounts& counts() const noexcept { return counts_; }

 private:
  static constexpr std::uint64_t kIntervalNs = 500'000;

  LinkBed& bed_;
  const double bytes_per_ns_;
  Fd client_;
  std::size_t dials_ = 0;           // without a Connect
  std::deque<std::uint32_t> open_;  // the first one is flooded
  std::unordered_set<std::uint32_t> closed_;
  std::uint64_t pushed_at_ = 0;
  double allowance_ = 0;  // bytes
  FloodCounts counts_;
};

}  // namespace wayport::tools
