#include "wayport/rpc/plugins/proxy/proxy.h"

#include <future>
#include <mutex>
#include <random>
#include <set>

#include "wayport/base/bytes.h"
#include "wayport/rpc/plugins/proxy/loop_proxy.h"
#include "wayport/transport/address.h"

namespace wayport::rpc {
namespace {

std::unexpected<Error> wrong(std::string detail) {
  return fail(ErrorCode::invalid_argument, "ReverseProxyOptions::" + std::move(detail));
}

Result<void> check(const ReverseProxyOptions& options) {
  if (options.sessions_per_backend == 0 || options.sessions_per_backend > SessionPool::kSessionsMax) {
    return wrong("sessions_per_backend must be 1 to " + std::to_string(SessionPool::kSessionsMax));
  }
  if (options.calls_max == 0) return wrong("calls_max must be at least 1");
  if (options.call_timeout <= Duration::zero()) return wrong("call_timeout must be more than zero");
  if (options.retries_max > ReverseProxy::kRetriesMax) {
    return wrong("retries_max must be 0 to " + std::to_string(ReverseProxy::kRetriesMax));
  }
  if (options.health.fall == 0 || options.health.rise == 0) return wrong("health.fall and health.rise are at least 1");
  if (options.check_interval < std::chrono::milliseconds(10)) {
    return wrong("check_interval must be at least 10ms");
  }
  if (options.check_timeout <= Duration::zero()) return wrong("check_timeout must be more than zero");
  return {};
}

// Names them, and refuses what cannot be.
Result<void> complete(std::vector<Backend>& backends, const ReverseProxyOptions& options) {
  if (backends.size() > options.backends_max) {
    return wrong("backends_max reached: " + std::to_string(backends.size()) + " backends, " +
                 std::to_string(options.backends_max) + " allowed");
  }
  std::set<std::string_view> names;
  for (Backend& backend : backends) {
    if (backend.name.empty()) backend.name = backend.address;
    if (const auto address = transport::Address::parse(backend.address); !address) {
      return wrong("backends: " + escape(backend.name) + ": " + address.error().detail);
    }
    if (backend.weight == 0 || backend.weight > ReverseProxy::kWeightMax) {
      return wrong("backends: " + escape(backend.name) + ": weight must be 1 to " +
                   std::to_string(ReverseProxy::kWeightMax));
    }
  }
  for (const Backend& backend : backends) {
    if (!names.insert(backend.name).second) {
      return wrong("backends: two are called " + escape(backend.name));
    }
  }
  return {};
}

}  // namespace

struct ReverseProxy::Shared {
  proxy::LoopProxy* here() const noexcept {
    const Loop* const loop = Loop::current();
    if (!loop || loop->index() >= loops.size() || &loops[loop->index()]->loop() != loop) return nullptr;
    return loops[loop->index()].get();
  }
  // REQUIRES: the mutex is held, so that every loop is told in the same order.
  void tell() const {
    for (const std::shared_ptr<proxy::LoopProxy>& each : loops) {
      each->loop().post([each, targets = targets] { each->set_targets(targets); });
    }
  }

  std::shared_ptr<const ReverseProxyOptions> options;
  std::vector<std::shared_ptr<proxy::LoopProxy>> loops;
  mutable std::mutex mutex;  // guards what follows
  proxy::Targets targets;
  bool started = false;
};

Result<std::unique_ptr<ReverseProxy>> ReverseProxy::make(Peer& back, ReverseProxyOptions options) {
  WAYPORT_TRY(check(options));
  auto shared = std::make_shared<Shared>();
  Runtime& runtime = back.runtime();
  std::random_device random;
  std::string token;
  for (int i = 0; i < 4; ++i) token += std::to_string(random());
  std::vector<Backend> backends = std::move(options.backends);
  shared->options = std::make_shared<const ReverseProxyOptions>(std::move(options));
  for (std::size_t i = 0; i < runtime.loop_count(); ++i) {
    shared->loops.push_back(std::make_shared<proxy::LoopProxy>(back, runtime.loop(i), shared->options, token));
  }
  std::unique_ptr<ReverseProxy> made(new ReverseProxy(std::move(shared)));
  WAYPORT_TRY(made->set_backends(std::move(backends)));
  return made;
}

ReverseProxy::ReverseProxy(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

ReverseProxy::~ReverseProxy() {
  for (const std::shared_ptr<proxy::LoopProxy>& each : shared_->loops) {
    if (each->loop().in_loop_thread()) {
      each->close();
      continue;
    }
    std::promise<void> done;
    const std::future<void> closed = done.get_future();
    each->loop().post([each, done = std::move(done)]() mutable {
      each->close();
      done.set_value();
    });
    closed.wait();  // also when the loop has ended, and dropped it
  }
}

std::function<void(Context&)> ReverseProxy::handler() const {
  return [shared = shared_](Context& context) {
    if (proxy::LoopProxy* const here = shared->here()) return here->take(context.call());
    context.call().fail(
        Status::make(code::kInternal, "the proxy belongs to another Runtime, or its handler is blocking"));
  };
}

void ReverseProxy::attach(Router router) {
  router.on_unknown_pull(handler());
  router.on_unknown_push(handler());
}

void ReverseProxy::start() {
  const std::scoped_lock lock(shared_->mutex);
  if (std::exchange(shared_->started, true)) return;
  shared_->tell();
}

Result<void> ReverseProxy::set_backends(std::vector<Backend> backends) {
  WAYPORT_TRY(complete(backends, *shared_->options));
  const std::scoped_lock lock(shared_->mutex);
  proxy::Targets targets;
  for (Backend& backend : backends) {
    std::shared_ptr<proxy::Target> target;
    for (const std::shared_ptr<proxy::Target>& had : shared_->targets) {
      if (had->backend == backend) target = had;
    }
    if (!target) target = std::make_shared<proxy::Target>(std::move(backend), shared_->loops.size());
    targets.push_back(std::move(target));
  }
  shared_->targets = std::move(targets);
  if (shared_->started) shared_->tell();
  return {};
}

std::vector<BackendStatus> ReverseProxy::backends() const {
  const std::scoped_lock lock(shared_->mutex);
  std::vector<BackendStatus> all;
  for (const std::shared_ptr<proxy::Target>& target : shared_->targets) {
    BackendStatus& status = all.emplace_back();
    status.backend = target->backend;
    for (const proxy::Target::PerLoop& loop : target->per_loop) {
      status.calls += loop.calls.read();
      status.pushes += loop.pushes.read();
      status.failures += loop.failures.read();
      status.outstanding += loop.outstanding.read();
      status.loops_usable += loop.usable.read();
    }
  }
  return all;
}

const ReverseProxyCounters& ReverseProxy::counters(std::size_t loop_index) const {
  return shared_->loops.at(loop_index)->counters();
}

}  // namespace wayport::rpc
