#include <algorithm>
#include <utility>

#include "wayport/base/task_group.h"
#include "wayport/rpc/discovery/etcd.h"
#include "wayport/rpc/discovery/etcd_core.h"

namespace wayport::rpc {

using std::chrono::seconds;

struct EtcdLease::State {
  State(std::shared_ptr<EtcdClient::Core> of, std::int64_t ttl) : core(std::move(of)), ttl_seconds(ttl) {}

  bool over() const noexcept { return stopped || core->closed; }

  static asio::awaitable<void> run(std::shared_ptr<State> state) {
    unsigned failures = 0;
    while (!state->over()) {
      const TimePoint asked = state->core->loop.now();
      Result<std::string> granted =
          co_await EtcdClient::Core::call(state->core, "/v3/lease/grant", etcd::write_lease_grant(state->ttl_seconds));
      Result<etcd::LeaseAnswer> lease =
          granted ? etcd::read_lease_grant(*granted) : Result<etcd::LeaseAnswer>(granted.error());
      if (state->over()) co_return;
      if (!lease) {
        state->core->log.write(state->core->log_limit, state->core->loop.now(), LogLevel::warning,
                               "etcd grants no lease", {{"error", lease.error()}});
        static_cast<void>(co_await sleep_for(state->core->loop, state->core->retry_wait(++failures)));
        continue;
      }
      failures = 0;
      state->id = lease->id;
      if (state->on_granted) state->on_granted(state->id);
      if (state->over()) co_return;
      const Error why = co_await keep(state, asked, std::max<std::int64_t>(lease->ttl_seconds, 1));
      if (state->over()) co_return;
      state->id = 0;
      ++state->core->counters.leases_lost;
      if (state->on_lost) state->on_lost(why);
    }
  }

  // Until it is lost.
  static asio::awaitable<Error> keep(std::shared_ptr<State> state, TimePoint alive, std::int64_t ttl) {
    unsigned failures = 0;
    for (;;) {
      Duration wait = Duration(seconds(ttl)) / 3;
      if (failures != 0) wait = std::min(wait, state->core->retry_wait(failures));
      static_cast<void>(co_await sleep_for(state->core->loop, wait));
      if (state->over()) co_return Error{};
      const TimePoint asked = state->core->loop.now();
      Result<std::string> answer =
          co_await EtcdClient::Core::call(state->core, "/v3/lease/keepalive", etcd::write_lease(state->id));
      Result<etcd::LeaseAnswer> lease =
          answer ? etcd::read_lease_keep_alive(*answer) : Result<etcd::LeaseAnswer>(answer.error());
      if (state->over()) co_return Error{};
      if (lease && lease->ttl_seconds == 0) {
        co_return state->core->named({ErrorCode::not_found, "the lease is gone", {}});
      }
      if (lease) {
        failures = 0;
        alive = asked;
        continue;
      }
      ++failures;
      if (state->core->loop.now() >= after(alive, seconds(ttl))) co_return lease.error();
    }
  }

  static asio::awaitable<Result<void>> revoke(std::shared_ptr<EtcdClient::Core> core, std::int64_t id) {
    if (id == 0) co_return Result<void>();
    Result<std::string> answer = co_await EtcdClient::Core::call(core, "/v3/lease/revoke", etcd::write_lease(id));
    if (!answer) co_return fail(answer.error());
    co_return Result<void>();
  }

  std::shared_ptr<EtcdClient::Core> core;
  const std::int64_t ttl_seconds;
  OnGranted on_granted;
  OnLost on_lost;
  std::int64_t id = 0;
  bool stopped = false;
};

EtcdLease::EtcdLease(EtcdClient& client, std::int64_t ttl_seconds, OnGranted on_granted, OnLost on_lost)
    : state_(std::make_shared<State>(client.core_, ttl_seconds)),
      tasks_(std::make_unique<TaskGroup>(client.core_->loop, client.core_->log, "etcd lease")) {
  WAYPORT_ASSERT(ttl_seconds >= 1, "a lease of etcd lasts at least a second");
  state_->on_granted = std::move(on_granted);
  state_->on_lost = std::move(on_lost);
  static_cast<void>(tasks_->spawn(State::run(state_)));
}

EtcdLease::~EtcdLease() {
  state_->stopped = true;
  tasks_->cancel();
}

std::int64_t EtcdLease::id() const noexcept { return state_->id; }

// What it does before it suspends is done here: the coroutine must not need a lease that may be gone when it is awaited.
asio::awaitable<Result<void>> EtcdLease::revoke() {
  state_->stopped = true;
  tasks_->cancel();
  return State::revoke(state_->core, std::exchange(state_->id, 0));
}

}  // namespace wayport::rpc
