#include "wayport/rpc/plugins/registry/service_registration.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "wayport/base/co.h"
#include "wayport/base/task_group.h"

namespace wayport::rpc {

struct ServiceRegistration::State {
  State(Loop& on, EtcdClient& of, ServiceRegistrationOptions given, Log& to)
      : loop(on), client(of), options(std::move(given)), log(to), tasks(on, to, "service registration") {}

  static asio::awaitable<void> put(std::shared_ptr<State> state, std::int64_t lease) {
    Duration wait = state->options.retry_first;
    while (!state->stopped && state->lease_id == lease) {
      const Result<std::int64_t> done = co_await state->client.put(state->options.key, state->options.value, lease);
      if (state->stopped || state->lease_id != lease) co_return;
      if (done) {
        ++state->counters.registered;
        state->set(true);
        state->log.write(LogLevel::info, "registered", {{"key", state->options.key}, {"lease", lease}});
        co_return;
      }
      ++state->counters.puts_failed;
      state->log.write(state->log_limit, state->loop.now(), LogLevel::warning, "not registered, will be tried again",
                       {{"key", state->options.key}, {"error", done.error()}, {"after", wait}});
      static_cast<void>(co_await sleep_for(state->loop, wait));
      wait = std::min(wait * 2, state->options.retry_max);
    }
  }

  void set(bool to) {
    if (std::exchange(registered, to) != to && options.on_change) options.on_change(to);
  }

  Loop& loop;
  EtcdClient& client;
  const ServiceRegistrationOptions options;
  Log& log;
  LogLimit log_limit;
  ServiceRegistrationCounters counters;
  std::int64_t lease_id = 0;
  bool registered = false;
  bool stopped = false;
  std::optional<EtcdLease> lease;
  TaskGroup tasks;
};

ServiceRegistration::ServiceRegistration(Loop& loop, EtcdClient& client, ServiceRegistrationOptions options, Log& log)
    : state_(std::make_shared<State>(loop, client, std::move(options), log)) {
  const auto granted = [weak = std::weak_ptr(state_)](std::int64_t id) {
    const std::shared_ptr<State> state = weak.lock();
    if (!state || state->stopped) return;
    state->lease_id = id;
    static_cast<void>(state->tasks.spawn(State::put(state, id)));
  };
  const auto lost = [weak = std::weak_ptr(state_)](const Error& why) {
    const std::shared_ptr<State> state = weak.lock();
    if (!state || state->stopped) return;
    state->lease_id = 0;
    state->set(false);
    ++state->counters.lost;
    state->log.write(state->log_limit, state->loop.now(), LogLevel::warning, "registration lost",
                     {{"key", state->options.key}, {"error", why}});
  };
  state_->lease.emplace(client, state_->options.ttl_seconds, granted, lost);
}

ServiceRegistration::~ServiceRegistration() {
  state_->stopped = true;
  state_->lease.reset();
  state_->tasks.cancel();
}

bool ServiceRegistration::registered() const noexcept { return state_->registered; }
const ServiceRegistrationCounters& ServiceRegistration::counters() const noexcept { return state_->counters; }

// A put that is under way may still be done by etcd, but not after its lease is revoked.
asio::awaitable<Result<void>> ServiceRegistration::withdraw() {
  state_->stopped = true;
  state_->set(false);
  state_->tasks.cancel();
  return state_->lease->revoke();
}

}  // namespace wayport::rpc
