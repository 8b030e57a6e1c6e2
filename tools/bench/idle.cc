#include "wayport/tools/bench/idle.h"

#include <future>
#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/rpc/peer.h"
#include "wayport/tools/bench/exchange.h"
#include "wayport/tools/bench/rpc_load.h"
#include "wayport/tools/bench/servers.h"
#include "wayport/tools/bench/usage.h"

namespace wayport::tools {
namespace {

// Dials at one time.
constexpr std::size_t kAtOnce = 64;
// Descriptors that are not sessions.
constexpr std::size_t kSpareDescriptors = 100;
// For what a server does some time after the last byte.
constexpr std::chrono::milliseconds kSettle{500};

// Opens sessions and keeps them; uses each for one pull. Everything on the loop but the constructor and open().
class Sessions {
 public:
  Sessions() { sessions_.reserve(1024); }
  ~Sessions() {
    sessions_.clear();
    peer_.close_blocking();
  }

  Result<void> start() { return peer_.start(); }

  // `count` more; returns when the last one has its reply.
  Result<void> open(const std::string& address, std::size_t count) {
    address_ = address;
    wanted_ += count;
    std::promise<void> done;
    done_ = &done;
    runtime_.loop(0).post([this] { dial_more(); });
    done.get_future().wait();
    if (failure_) return fail(*failure_);
    return {};
  }

  std::uint64_t sum() const noexcept { return sum_; }

 private:
  void dial_more() {
    while (!failure_ && begun_ < wanted_ && begun_ - finished_ < kAtOnce) {
      ++begun_;
      peer_.dial_async(address_, {.session_id = "idle-" + std::to_string(begun_), .loop = &runtime_.loop(0)},
                       [this](Result<rpc::Session> session) {
                         if (!session) return finish(std::move(session.error()));
                         sessions_.push_back(*std::move(session));
                         use(sessions_.back());
                       });
    }
    if (finished_ == begun_ && (failure_ || begun_ == wanted_) && done_) std::exchange(done_, nullptr)->set_value();
  }
  void use(const rpc::Session& session) {
    Sum sum;
    Exchange::number_sum(sum, begun_);
    session.pull_async<Sum>(kSumUri, sum, {}, [this, expected = sum.a() + sum.b()](const auto& reply) {
      if (!reply.ok()) return finish(Error{ErrorCode::io, reply.status().to_string(), {}});
      if (reply->a() != expected) return finish(Error{ErrorCode::internal, "a wrong reply", {}});
      sum_ += static_cast<std::uint64_t>(reply->a());
      finish(std::nullopt);
    });
  }
  void finish(std::optional<Error> failure) {
    ++finished_;
    if (failure && !failure_) failure_ = std::move(failure);
    dial_more();
  }

  Runtime runtime_{{.loops = 1, .log = &null_log()}};
  rpc::Peer peer_{runtime_, {.session = rpc_options()}};
  std::string address_;
  std::vector<rpc::Session> sessions_;
  std::size_t wanted_ = 0;
  std::size_t begun_ = 0;
  std::size_t finished_ = 0;
  std::uint64_t sum_ = 0;
  std::optional<Error> failure_;
  std::promise<void>* done_ = nullptr;
};

double per_session(std::uint64_t after, std::uint64_t before, std::size_t sessions) {
  return (static_cast<double>(after) - static_cast<double>(before)) / static_cast<double>(sessions);
}

// A second process for each transport, so that none inherits another's memory.
Result<IdleCost> measure(std::size_t own_arguments, const std::string& transport, std::size_t count) {
  WAYPORT_TRY_ASSIGN(const Servers servers, Servers::start(own_arguments, {.transports = {transport}}));
  WAYPORT_TRY_ASSIGN(const std::string address, servers.address(transport));
  Sessions sessions;
  WAYPORT_TRY(sessions.start());
  // The first one pays for what all share.
  WAYPORT_TRY(sessions.open(address, 1));
  std::this_thread::sleep_for(kSettle);
  WAYPORT_TRY_ASSIGN(const Usage before, servers.usage());
  WAYPORT_TRY(sessions.open(address, count));
  std::this_thread::sleep_for(kSettle);
  WAYPORT_TRY_ASSIGN(const Usage after, servers.usage());
  IdleCost cost;
  cost.transport = transport;
  cost.sessions = count;
  cost.heap_bytes = per_session(after.heap_bytes, before.heap_bytes, count);
  cost.rss_bytes = per_session(after.rss_bytes, before.rss_bytes, count);
  cost.allocations = per_session(after.allocations, before.allocations, count);
  cost.cpu_us = per_session(after.cpu_ns, before.cpu_ns, count) * 1e-3;
  cost.sum = sessions.sum();
  return cost;
}

}  // namespace

Result<std::vector<IdleCost>> measure_idle(std::size_t own_arguments, const IdleOptions& options) {
  if (const std::uint64_t limit = raise_descriptor_limit(); options.sessions + kSpareDescriptors > limit) {
    return fail(ErrorCode::invalid_argument, std::to_string(options.sessions) +
                                                 " sessions need more descriptors than the " + std::to_string(limit) +
                                                 " that a process may have here");
  }
  std::vector<IdleCost> costs;
  for (const std::string& transport : options.transports) {
    std::cerr << "measuring " << options.sessions << " idle sessions on " << transport << "\n";
    WAYPORT_TRY_ASSIGN(IdleCost cost, measure(own_arguments, transport, options.sessions));
    costs.push_back(std::move(cost));
  }
  return costs;
}

}  // namespace wayport::tools
