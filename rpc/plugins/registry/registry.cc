#include "wayport/rpc/plugins/registry/registry.h"

#include <atomic>
#include <future>
#include <list>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include "wayport/base/co.h"
#include "wayport/base/runtime.h"
#include "wayport/base/task_group.h"
#include "wayport/rpc/peer.h"
#include "wayport/transport/default_transports.h"

namespace wayport::rpc {

struct Registry::State : std::enable_shared_from_this<State> {
  struct Watched {
    std::string service;
    ServiceDirectory::OnChange on_change;
  };
  // What lives on the loop.
  struct Active {
    Active(Loop& loop, Log& log) : tasks(loop, log, "registry") {}
    std::unique_ptr<EtcdClient> client;
    std::unique_ptr<ServiceRegistration> registration;
    std::list<ServiceDirectory> directories;
    std::vector<std::move_only_function<void(Result<void>)>> withdrawing;  // who waits for the one under way
    std::optional<Result<void>> withdrawn;
    TaskGroup tasks;
  };

  explicit State(RegistryOptions given)
      : options(std::move(given)),
        own_transports(options.transports ? transport::Transports() : transport::default_transports()) {}

  const transport::Transports& transports() const { return options.transports ? *options.transports : own_transports; }

  void follow(Watched watched) {
    active->directories.emplace_back(
        *loop, *active->client,
        ServiceDirectoryOptions{.service = std::move(watched.service), .prefix = options.prefix},
        std::move(watched.on_change), *log);
  }

  using Done = std::move_only_function<void(Result<void>)>;

  // On the loop. `done` hears how it went, once; whoever asks while it is under way waits for it.
  void withdraw(Done done) {
    if (!active || !active->registration) return done({});
    if (active->withdrawn) return done(*active->withdrawn);
    active->withdrawing.push_back(std::move(done));
    if (active->withdrawing.size() > 1) return;
    static_cast<void>(active->tasks.spawn(finish(shared_from_this(), active->registration->withdraw())));
  }
  static asio::awaitable<void> finish(std::shared_ptr<State> state, asio::awaitable<Result<void>> task) {
    const Result<void> outcome = co_await std::move(task);
    if (!state->active) co_return;
    state->active->withdrawn = outcome;
    for (Done& done : std::exchange(state->active->withdrawing, {})) done(outcome);
  }
  // From another thread; bounded.
  Result<void> withdraw_and_wait() {
    if (!loop) return {};
    auto promise = std::make_shared<std::promise<Result<void>>>();
    std::future<Result<void>> future = promise->get_future();
    loop->post([self = shared_from_this(), promise = std::move(promise)]() mutable {
      self->withdraw([promise = std::move(promise)](Result<void> done) { promise->set_value(std::move(done)); });
    });
    if (future.wait_for(2 * options.etcd.request_timeout) != std::future_status::ready) {
      return fail(ErrorCode::timed_out, "registry: etcd does not answer; the key " + key + " goes after ttl_seconds");
    }
    try {
      return future.get();
    } catch (const std::future_error&) {
      return fail(ErrorCode::local_closed, "registry: the loop has ended");
    }
  }

  RegistryOptions options;
  const transport::Transports own_transports;
  std::vector<std::string> pull_routes;
  std::vector<std::string> push_routes;
  Loop* loop = nullptr;  // once the peer listens
  Log* log = nullptr;
  std::string key;
  std::atomic<bool> registered{false};
  std::mutex mutex;  // guards what waits for the start
  std::vector<Watched> waiting;
  bool started = false;
  std::unique_ptr<Active> active;  // on the loop
};

Registry::Registry(RegistryOptions options) : state_(std::make_shared<State>(std::move(options))) {}

Registry::~Registry() {
  if (!state_->loop) return;
  static_cast<void>(state_->withdraw_and_wait());
  std::promise<void> gone;
  const std::future<void> future = gone.get_future();
  state_->loop->post([state = state_, gone = std::move(gone)]() mutable {
    state->active.reset();
    gone.set_value();
  });
  static_cast<void>(future.wait_for(state_->options.etcd.request_timeout));
}

Result<void> Registry::post_routes(RouterCore& router) {
  if (!state_->options.routes) return {};
  state_->pull_routes = router.routes(Call::Kind::pull);
  state_->push_routes = router.routes(Call::Kind::push);
  return {};
}

Result<void> Registry::post_listen(Peer& peer) {
  State& state = *state_;
  const RegistryOptions& options = state.options;
  if (state.loop) return fail(ErrorCode::invalid_argument, "registry: it belongs to another peer already");
  if (options.ttl_seconds < 1) return fail(ErrorCode::invalid_argument, "registry: ttl_seconds is at least 1");
  std::string value;
  if (!options.service.empty()) {
    ServiceRecord record{
        .addresses = options.advertise, .pull = state.pull_routes, .push = state.push_routes, .labels = options.labels};
    if (record.addresses.empty()) {
      for (const std::string& listened : peer.addresses()) {
        WAYPORT_TRY_ASSIGN(std::string address, advertised(listened));
        record.addresses.push_back(std::move(address));
      }
    }
    WAYPORT_TRY_ASSIGN(value, write_record(record));
    // What nobody could read is not registered.
    if (const Result<ServiceRecord> read = read_record(value); !read) {
      return fail(ErrorCode::invalid_argument, "registry: " + read.error().detail);
    }
    std::string instance = options.instance;
    if (instance.empty()) {
      std::random_device random;
      for (int i = 0; i < 4; ++i) instance += std::to_string(random());
    }
    WAYPORT_TRY_ASSIGN(state.key, service_key(options.prefix, options.service, instance));
  }
  EtcdOptions etcd = options.etcd;
  if (!etcd.log) etcd.log = &peer.runtime().log();
  Loop& loop = peer.runtime().loop(0);
  // The client is its loop's, so it is made there.
  auto promise = std::make_shared<std::promise<Result<void>>>();
  std::future<Result<void>> made = promise->get_future();
  const auto start = [self = state_, &loop, etcd = std::move(etcd), value, promise]() mutable {
    State& on_loop = *self;
    const std::lock_guard lock(on_loop.mutex);
    auto active = std::make_unique<State::Active>(loop, *etcd.log);
    Log& log = *etcd.log;
    Result<std::unique_ptr<EtcdClient>> client = EtcdClient::make(loop, on_loop.transports(), std::move(etcd));
    if (!client) return promise->set_value(fail(client.error()));
    active->client = *std::move(client);
    if (!value.empty()) {
      active->registration = std::make_unique<ServiceRegistration>(
          loop, *active->client,
          ServiceRegistrationOptions{.key = on_loop.key,
                                     .value = std::move(value),
                                     .ttl_seconds = on_loop.options.ttl_seconds,
                                     .on_change =
                                         [weak = std::weak_ptr(self)](bool there) {
                                           if (const auto state = weak.lock()) state->registered.store(there);
                                         }},
          log);
    }
    on_loop.loop = &loop;
    on_loop.log = &log;
    on_loop.active = std::move(active);
    on_loop.started = true;
    for (State::Watched& watched : std::exchange(on_loop.waiting, {})) on_loop.follow(std::move(watched));
    promise->set_value({});
  };
  if (loop.in_loop_thread()) {
    auto here = start;
    here();
  } else {
    loop.post(start);
  }
  return made.get();
}

void Registry::pre_close(Peer&) noexcept {
  if (!state_->loop) return;
  state_->loop->post([state = state_] { state->withdraw([](Result<void>) {}); });
}

Result<void> Registry::watch(std::string service, ServiceDirectory::OnChange on_change) {
  WAYPORT_TRY(service_key(state_->options.prefix, service, ""));
  State::Watched watched{std::move(service), std::move(on_change)};
  const std::lock_guard lock(state_->mutex);
  if (!state_->started) {
    state_->waiting.push_back(std::move(watched));
    return {};
  }
  state_->loop->post([state = state_, watched = std::move(watched)]() mutable {
    if (state->active) state->follow(std::move(watched));
  });
  return {};
}

bool Registry::registered() const { return state_->registered.load(); }
Result<void> Registry::withdraw_blocking() { return state_->withdraw_and_wait(); }
std::string Registry::key() const { return state_->key; }

}  // namespace wayport::rpc
