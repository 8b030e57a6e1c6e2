// What ReverseProxy does on one loop: the sessions to its backends, the calls under way, and those that wait. Internal.
//
// On its loop. Held by shared_ptr: the proxy, and each call under way, whose outcome may come after the proxy has gone.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/loop.h"
#include "wayport/rpc/plugins/proxy/proxy.h"
#include "wayport/rpc/pool/session_pool.h"

namespace wayport::rpc::proxy {

// A backend as all loops share it.
struct Target {
  struct alignas(64) PerLoop {
    Counter calls;
    Counter pushes;
    Counter failures;
    Gauge outstanding;
    Gauge usable;
  };
  Target(Backend what, std::size_t loops);

  const Backend backend;
  const std::uint64_t seed;
  std::vector<PerLoop> per_loop;
};
using Targets = std::vector<std::shared_ptr<Target>>;

class LoopProxy : public std::enable_shared_from_this<LoopProxy> {
 public:
  LoopProxy(Peer& back, Loop& loop, std::shared_ptr<const ReverseProxyOptions> options, const std::string& token);

  // The first call opens it.
  void set_targets(const Targets& targets);
  // Answers or keeps it.
  void take(Call& call);
  // Nothing more is taken; what waits is refused.
  void close();

  Loop& loop() const noexcept { return loop_; }
  const ReverseProxyCounters& counters() const noexcept { return counters_; }

 private:
  struct Member;
  class Attempt;
  // A call on its way through its attempts.
  struct Job {
    std::unique_ptr<DeferredCall> call;
    std::uint64_t key = 0;
    unsigned attempts = 0;
    std::array<const Member*, ReverseProxy::kRetriesMax + 1> tried{};
  };
  struct Waiting final : Timer {
    Waiting(LoopProxy& of, Job its_job) : owner(of), job(std::move(its_job)) {}
    void on_timer() override { owner.give_up(*this); }
    LoopProxy& owner;
    Job job;
    std::list<Waiting>::iterator self;
  };

  struct Sweep final : Timer {
    explicit Sweep(LoopProxy& of) : owner(of) {}
    void on_timer() override { owner.sweep(); }
    LoopProxy& owner;
  };

  std::uint64_t key_of(const Call& call) const;
  // A member in rotation with a session; null: none. Those of `job` that were tried come last.
  Member* choose(const Job& job, Session& session);
  Member* choose(const Job& job, bool untried_only);
  bool usable(Member& member);
  void submit(Job job);
  bool try_start(Job& job);
  bool try_pull(Job& job);
  // False: no backend now.
  bool try_push(const Call& call, Job& job);
  void wait(Job job);
  void give_up(Waiting& waiting);
  void refuse(Job& job, std::string why);
  void refuse_waiting(const std::string& why);
  // Drops what waits for nobody.
  void sweep();
  void abandon(Job& job);
  // Starts what waits while there is a backend for it.
  void serve();
  void ended(Job job, Member& member, Status status);
  void note_failure(Member& member);

  void opened(Member& member, const Session& session);
  void ask(Member& member, const Session& session);
  void ask_again(Member& member);
  void loop_checked(Member& member, const Status& status);
  void check(Member& member);
  void checked(Member& member, bool good);
  void retire(Member& member);

  Peer& back_;
  Loop& loop_;
  const std::shared_ptr<const ReverseProxyOptions> options_;
  const std::string loop_query_;
  std::mt19937_64 random_;
  Balancer balancer_;
  std::vector<std::shared_ptr<Member>> members_;
  std::vector<Candidate> candidates_;  // storage of choose()
  std::list<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
  ReverseProxyCounters counters_;
  LogLimit log_limit_;
  Sweep sweep_;
  bool open_ = false;
  bool closed_ = false;
};

}  // namespace wayport::rpc::proxy
