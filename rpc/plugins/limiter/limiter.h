// Limiters: plugins that refuse at once what is too much, so that the rest is served as if there were no more.
//
//   peer.plugins().add(std::make_shared<rpc::plugins::ConnectionLimiter>());
//   peer.plugins().add(std::make_shared<rpc::plugins::CallLimiter>(rpc::plugins::CallLimiterOptions{
//       .total = {.at_once = 10'000}, .per_source = {.per_second = 500}, .turn_budget = std::chrono::milliseconds(5)}));
//   peer.router().group("/reports").plugins().add(
//       std::make_shared<rpc::plugins::CallLimiter>(rpc::plugins::CallLimiterOptions{.total = {.at_once = 8}}));
//
// A pull over a limit is answered with 503 in the turn that read it, before its body is looked at; a push is dropped. A
// connection over a limit is rejected before anything is read from it. All is counted (LimiterCounters).
//
// Sources are IP addresses, IPv6 by /64; IPv4 in IPv6 is IPv4; users (uid) of unix sockets. Behind a proxy or a NAT all
// are one source: CallLimiterOptions::source_of tells them apart by what they authenticated as.
//
// Threads: any; what is shared between loops is atomic, see admission.h for how exact it is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "wayport/base/counters.h"
#include "wayport/base/system_clock.h"
#include "wayport/base/time.h"
#include "wayport/rpc/plugin.h"
#include "wayport/rpc/plugins/limiter/admission.h"
#include "wayport/rpc/plugins/per_thread/per_thread.h"
#include "wayport/rpc/status.h"
#include "wayport/transport/stream.h"

namespace wayport::rpc::plugins {

// Why something was refused. Names as in metrics.
enum class Refusal : std::uint8_t {
  source_at_once,
  source_per_second,
  total_at_once,
  total_per_second,
  turn_budget,
};
inline constexpr std::size_t kRefusals = 5;
std::string_view to_string(Refusal refusal) noexcept;

struct LimiterCounts {
  std::uint64_t admitted = 0;
  std::array<std::uint64_t, kRefusals> refused{};  // pulls, pushes or connections, by Refusal
  std::uint64_t pushes_dropped = 0;                // of those refused
  std::uint64_t untracked = 0;                     // admitted without a place in the table of sources
  std::size_t at_once = 0;                         // inside now
  std::size_t sources = 0;                         // of which something is inside now

  std::uint64_t refused_count() const noexcept;
};

SourceKey source_of_address(const transport::PeerInfo& peer) noexcept;

namespace detail {
struct LimiterCounters {
  Counter admitted;
  std::array<Counter, kRefusals> refused;
  Counter pushes_dropped;
  Counter untracked;
};
}  // namespace detail

struct CallLimiterOptions {
  // Calls that have not been answered, and calls that begin. Plain handlers are answered within their turn; it is
  // coroutines and blocking ones that add up.
  Limit total{.at_once = 64 * 1024};
  Limit per_source{.at_once = 16 * 1024};
  // Handlers of one turn of the loop may take so long together; what else the turn has read is refused. Bounds how long
  // a request waits behind others: about this, and the turn before. It must be well above what one handler takes, or
  // calls that happen to arrive together are refused without need. Zero: no bound.
  Duration turn_budget = std::chrono::milliseconds(10);
  std::size_t sources_max = 64 * 1024;  // that are told apart; 16 bytes each. Further ones see only the total limits.
  // False: pushes pass, uncounted. Pushes to routes with HandlerOptions::continuation (streams) always do.
  bool limit_pushes = true;
  // Instead of the address; the same for begin and end of a call, on the session's loop. For instance a hash of the
  // user that an authentication plugin noted in the session's store.
  std::function<SourceKey(const Call&)> source_of{};
};

// Peer, group or route level; each object has its own counts, and may be added in several places to share them.
class CallLimiter final : public Plugin, public CallGuard {
 public:
  // std::invalid_argument: a limit that means nothing (admission.h).
  explicit CallLimiter(CallLimiterOptions options = {});

  std::string_view name() const noexcept override { return "call_limiter"; }
  const CallLimiterOptions& options() const noexcept { return options_; }
  LimiterCounts counts() const;

  Status begin_call(Call& call) override;
  void end_call(const Call& call, std::int32_t status_code) noexcept override;

 private:
  SourceKey source_of(const Call& call) const;
  Status refuse(Call& call, Refusal why);
  bool passes(const Call& call) const noexcept;

  const CallLimiterOptions options_;
  Admission admission_;
  // Made once, so that refusing allocates nothing.
  std::array<Status, kRefusals> answers_;
  PerThread<detail::LimiterCounters> counters_;
};

struct ConnectionLimiterOptions {
  Limit total{.at_once = 100'000};
  Limit per_source{.at_once = 1'000};
  std::size_t sources_max = 64 * 1024;  // as CallLimiterOptions
};

// Peer level: accepted connections. Those that a peer dials are its own affair.
class ConnectionLimiter final : public Plugin, public AcceptGuard {
 public:
  // `clock` for per_second; nullptr: the system's. std::invalid_argument as above.
  explicit ConnectionLimiter(ConnectionLimiterOptions options = {}, const Clock* clock = nullptr);

  std::string_view name() const noexcept override { return "connection_limiter"; }
  const ConnectionLimiterOptions& options() const noexcept { return options_; }
  LimiterCounts counts() const;

  Status begin_session(const transport::PeerInfo& peer) override;
  void end_session(const transport::PeerInfo& peer) noexcept override;

 private:
  const ConnectionLimiterOptions options_;
  const SystemClock system_clock_;
  const Clock& clock_;
  Admission admission_;
  PerThread<detail::LimiterCounters> counters_;
};

}  // namespace wayport::rpc::plugins
