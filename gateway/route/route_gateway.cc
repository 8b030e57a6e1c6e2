#include "wayport/gateway/route/route_gateway.h"

#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "wayport/gateway/route/default_resolvers.h"
#include "wayport/gateway/route/own_addresses.h"
#include "wayport/gateway/route/route_gateway_listeners.h"
#include "wayport/gateway/route/route_gateway_route.h"
#include "wayport/gateway/route/route_loop.h"
#include "wayport/transport/default_transports.h"

namespace wayport::route {

using transport::Address;

namespace {

constexpr Duration kDrainMax = std::chrono::hours(24);

// Runs `work` on the loop and waits for it; directly when called there.
void run_on(Loop& loop, std::move_only_function<void()> work) {
  if (loop.in_loop_thread()) return work();
  std::promise<void> done;
  loop.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  WAYPORT_ASSERT(::getrandom(&seed, sizeof(seed), 0) == sizeof(seed), "getrandom() gives so few bytes at once");
  return seed;
}

using Loops = RouteListeners::Loops;

std::size_t connections_of(const Loops& loops) {
  std::int64_t sum = 0;
  for (const std::shared_ptr<RouteLoop>& loop : loops) {
    sum += loop->counters().handshakes.read() + loop->counters().relays.read();
  }
  return static_cast<std::size_t>(std::max<std::int64_t>(sum, 0));
}

// The end of a gateway. On the home loop; keeps itself and what it needs alive until it is done.
class Closer final : public Timer, public std::enable_shared_from_this<Closer> {
 public:
  Closer(Loop& home, std::shared_ptr<const Loops> loops, std::shared_ptr<RouteListeners> listeners, Duration drain,
         Log& log)
      : home_(home), loops_(std::move(loops)), listeners_(std::move(listeners)), drain_(drain), log_(log) {}

  void begin(std::move_only_function<void()> done) {
    if (finished_) return done();
    waiting_.push_back(std::move(done));
    if (std::exchange(begun_, true)) return;
    self_ = shared_from_this();
    if (drain_ <= Duration::zero()) return close_all();
    log_.write(LogLevel::info, "route gateway drains", {{"connections", connections_of(*loops_)}, {"drain", drain_}});
    listeners_->finish();
    for (const std::shared_ptr<RouteLoop>& loop : *loops_) {
      loop->loop().post([loop, weak = weak_from_this(), &home = home_] {
        loop->drain([weak, &home] {
          home.post([weak] {
            if (const std::shared_ptr<Closer> self = weak.lock()) self->check();
          });
        });
      });
    }
    home_.arm(*this, after(home_.now(), drain_));
  }
  void abort() {
    if (finished_) return;
    if (!std::exchange(begun_, true)) self_ = shared_from_this();
    close_all();
  }
  // Whoever began it has gone.
  void give_up() { self_.reset(); }

 private:
  void check() {
    if (finished_ || connections_of(*loops_) != 0) return;
    // Nobody is on the way from a listener either.
    if (listeners_->listening()) {
      listeners_->when_finished([weak = weak_from_this()] {
        if (const std::shared_ptr<Closer> self = weak.lock()) self->check();
      });
      return;
    }
    close_all();
  }
  void on_timer() override {
    log_.write(LogLevel::warning, "route gateway closes connections: the drain is over",
               {{"connections", connections_of(*loops_)}, {"drain", drain_}});
    close_all();
  }
  void close_all() {
    if (std::exchange(closing_all_, true)) return;
    home_.disarm(*this);
    listeners_->clear();
    open_ = loops_->size();
    if (open_ == 0) return finish();
    for (const std::shared_ptr<RouteLoop>& loop : *loops_) {
      loop->loop().post([loop, self = shared_from_this()] {
        loop->close_all([self] {
          self->home_.post([self] {
            if (--self->open_ == 0) self->finish();
          });
        });
      });
    }
  }
  void finish() {
    finished_ = true;
    const std::shared_ptr<Closer> alive = std::move(self_);
    std::vector<std::move_only_function<void()>> waiting;
    waiting.swap(waiting_);
    for (auto& done : waiting) done();
  }

  Loop& home_;
  const std::shared_ptr<const Loops> loops_;
  const std::shared_ptr<RouteListeners> listeners_;
  const Duration drain_;
  Log& log_;
  std::vector<std::move_only_function<void()>> waiting_;
  std::shared_ptr<Closer> self_;
  std::size_t open_ = 0;  // loops
  bool begun_ = false;
  bool closing_all_ = false;
  bool finished_ = false;
};

// What the loops have printed so far. Loops that have gone meanwhile are left out.
struct Dump {
  explicit Dump(const Loops& all) {
    for (const std::shared_ptr<RouteLoop>& loop : all) loops.emplace_back(&loop->loop(), loop);
  }
  void finish() {
    std::ranges::sort(lines, {}, [](const RouteLoop::DumpLine& line) { return std::tie(line.rank, line.text); });
    std::string text;
    for (const RouteLoop::DumpLine& line : lines) (text += line.text) += '\n';
    if (total > lines.size()) text += "... and " + std::to_string(total - lines.size()) + " more\n";
    done(std::move(text));
  }

  std::vector<std::pair<Loop*, std::weak_ptr<RouteLoop>>> loops;
  std::vector<RouteLoop::DumpLine> lines;
  std::size_t total = 0;
  std::move_only_function<void(std::string)> done;
};

void dump_next(Loop& home, std::size_t index, RouteDump what, const std::shared_ptr<Dump>& dump) {
  if (index == dump->loops.size()) return home.post([dump] { dump->finish(); });
  dump->loops[index].first->post([&home, index, what, dump] {
    if (const std::shared_ptr<RouteLoop> loop = dump->loops[index].second.lock()) {
      dump->total += loop->dump(what, dump->lines);
    }
    dump_next(home, index + 1, what, dump);
  });
}

Result<void> validate_routes(const std::vector<RouteOptions>& routes, const ResolverRegistry& resolvers) {
  if (routes.empty()) return fail(ErrorCode::invalid_argument, "there is no route: nothing to do");
  const std::vector<std::string> names = resolvers.names();
  std::set<std::string_view> seen;
  for (const RouteOptions& route : routes) {
    WAYPORT_TRY(route.validate(names));
    if (!seen.insert(route.name).second) {
      return fail(ErrorCode::invalid_argument, "two routes are called \"" + route.name + "\"");
    }
  }
  return {};
}

}  // namespace

std::string_view to_string(RouteDump what) noexcept {
  switch (what) {
    case RouteDump::connections:
      return "connections";
    case RouteDump::queues:
      return "queues";
  }
  return "unknown";
}

Result<void> RouteGatewayOptions::validate() const {
  if (drain < Duration::zero() || drain > kDrainMax) {
    return fail(ErrorCode::invalid_argument, "drain is " + format_duration(drain) + ": it may be 0 to 24h");
  }
  return validate_routes(routes, resolvers ? *resolvers : default_resolvers());
}

struct RouteGateway::Implementation {
  Implementation(Runtime& its_runtime, RouteGatewayOptions its_options)
      : runtime(its_runtime), options(std::move(its_options)) {
    transport::ListenOptions& listen = options.listen_options;
    if (!listen.counters) listen.counters = &listener_counters;
    if (!listen.log) listen.log = &runtime.log();
    if (listen.loops.empty()) {
      for (std::size_t i = 0; i < runtime.loop_count(); ++i) listen.loops.push_back(&runtime.loop(i));
    }
  }

  Loop& home() const { return runtime.loop(0); }
  void prepare();
  Result<void> apply(std::vector<RouteOptions> wanted);

  Runtime& runtime;
  RouteGatewayOptions options;
  SystemNameLookup system_names;
  transport::ListenerCounters listener_counters;
  std::shared_ptr<const RouteEnvironment> environment;
  std::shared_ptr<RouteShared> shared;
  const std::shared_ptr<Loops> loops = std::make_shared<Loops>();
  std::shared_ptr<RouteListeners> listeners;
  std::shared_ptr<Closer> closer;
  std::map<std::string, ServedRoutePtr, std::less<>> routes;  // on the home loop
  std::vector<std::string> route_order;                       // on the home loop
  mutable std::mutex mutex;
  std::vector<std::string> addresses;  // by mutex
  std::atomic<bool> closing{false};
  bool started = false;
};

void RouteGateway::Implementation::prepare() {
  environment = std::make_shared<const RouteEnvironment>(RouteEnvironment{
      .home = home(),
      .transports = options.transports ? *options.transports : transport::default_transports(&runtime.log()),
      .resolvers = options.resolvers ? *options.resolvers : default_resolvers(),
      .log = runtime.log(),
      .names = options.names ? options.names : &system_names});
  shared = std::make_shared<RouteShared>(runtime.log());
  for (std::size_t i = 0; i < runtime.loop_count(); ++i) {
    Loop& loop = runtime.loop(i);
    run_on(loop, [&] { loops->push_back(std::make_shared<RouteLoop>(loop, shared, random_seed())); });
  }
  listeners = std::make_shared<RouteListeners>(environment, loops, options.listen_options);
  closer = std::make_shared<Closer>(home(), loops, listeners, options.drain, runtime.log());
}

// On the home loop.
Result<void> RouteGateway::Implementation::apply(std::vector<RouteOptions> wanted) {
  WAYPORT_TRY(validate_routes(wanted, environment->resolvers));
  std::vector<std::unique_ptr<ServedRoute>> made;
  std::vector<RouteListeners::Wanted> listens;
  std::vector<std::size_t> route_of;  // by listener
  for (RouteOptions& route : wanted) {
    WAYPORT_TRY_ASSIGN(std::vector<RouteListen> its, listens_of(route));
    for (RouteListen& listen : its) {
      listens.push_back({route.name, std::move(listen)});
      route_of.push_back(made.size());
    }
    const auto earlier = routes.find(route.name);
    WAYPORT_TRY_ASSIGN(
        std::unique_ptr<ServedRoute> served,
        make_served_route(environment, std::move(route), earlier == routes.end() ? nullptr : earlier->second.get()));
    made.push_back(std::move(served));
  }
  WAYPORT_TRY_ASSIGN(const std::unique_ptr<RouteListeners::Change> change, listeners->prepare(listens));
  const std::vector<Address> bound = change->addresses();
  std::vector<Address> own_addresses = bound;
  own_addresses.insert(own_addresses.end(), options.also_own.begin(), options.also_own.end());
  WAYPORT_TRY_ASSIGN(const std::vector<OwnEndpoint> own, own_endpoints(own_addresses));

  std::map<std::string, ServedRoutePtr, std::less<>> now;
  std::vector<ServedRoutePtr> in_order;
  route_order.clear();
  for (std::unique_ptr<ServedRoute>& served : made) {
    const auto earlier = routes.find(served->options.name);
    if (earlier != routes.end() && earlier->second->resolver == served->resolver) served->resolver->reload();
    for (const std::string& line : served->options.warnings()) runtime.log().write(LogLevel::warning, line);
    in_order.push_back(share(std::move(served), own));
    route_order.push_back(in_order.back()->options.name);
    now.emplace(in_order.back()->options.name, in_order.back());
  }
  std::vector<ServedRoutePtr> by_listener;
  for (const std::size_t index : route_of) by_listener.push_back(in_order[index]);
  change->commit(by_listener);
  routes = std::move(now);
  std::vector<std::string> texts;
  for (const Address& address : bound) texts.push_back(address.to_string());
  const std::lock_guard lock(mutex);
  addresses = std::move(texts);
  return {};
}

RouteGateway::RouteGateway(Runtime& runtime, RouteGatewayOptions options)
    : implementation_(std::make_unique<Implementation>(runtime, std::move(options))) {}

RouteGateway::~RouteGateway() {
  Implementation& all = *implementation_;
  if (!all.closer) return;
  Loop& home = all.home();
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> finished = done->get_future();
  all.closing.store(true);
  run_on(home, [&] {
    all.closer->abort();
    all.closer->begin([done] { done->set_value(); });
  });
  // Loops that the caller drives itself (tests) have nobody else to turn them; those who linger are not waited for.
  constexpr int kTurnsMax = 1000;
  for (int turn = 0; home.in_loop_thread() && turn < kTurnsMax; ++turn) {
    if (finished.wait_for(std::chrono::seconds(0)) == std::future_status::ready) break;
    for (const std::shared_ptr<RouteLoop>& loop : *all.loops) {
      if (loop->loop().in_loop_thread()) loop->loop().run_turn();
    }
  }
  if (!home.in_loop_thread()) finished.wait();
  for (std::shared_ptr<RouteLoop>& loop : std::exchange(*all.loops, {})) {
    Loop& its = loop->loop();
    run_on(its, [&loop] { loop.reset(); });
  }
  run_on(home, [&] { all.routes.clear(); });
  // Behind what the loops have posted home: the last of their routes.
  run_on(home, [&] {
    all.closer->give_up();
    all.environment.reset();
  });
}

Result<void> RouteGateway::start() {
  Implementation& all = *implementation_;
  if (all.started) return fail(ErrorCode::invalid_argument, "the gateway is started already");
  WAYPORT_TRY(all.options.validate());
  all.started = true;
  all.prepare();
  Result<void> outcome;
  run_on(all.home(), [&] { outcome = all.apply(all.options.routes); });
  return outcome;
}

Result<void> RouteGateway::reload(std::vector<RouteOptions> routes) {
  Implementation& all = *implementation_;
  if (!all.closer) return fail(ErrorCode::invalid_argument, "the gateway was not started");
  Result<void> outcome;
  run_on(all.home(), [&] {
    if (all.closing.load() || all.listeners->handed_over()) {
      outcome = fail(ErrorCode::local_closed, all.closing.load() ? "the gateway is closing" : "a successor takes over");
    } else {
      outcome = all.apply(std::move(routes));
    }
  });
  return outcome;
}

std::vector<std::string> RouteGateway::addresses() const {
  const std::lock_guard lock(implementation_->mutex);
  return implementation_->addresses;
}

void RouteGateway::close_async(std::move_only_function<void()> done) {
  Implementation& all = *implementation_;
  all.closing.store(true);
  all.home().post([closer = all.closer, done = std::move(done)]() mutable {
    if (!closer) return done();
    closer->begin(std::move(done));
  });
}

void RouteGateway::close_blocking() {
  WAYPORT_ASSERT(!Loop::current(), "close_blocking on a loop thread would wait for itself");
  std::promise<void> closed;
  std::future<void> future = closed.get_future();
  close_async([&closed] { closed.set_value(); });
  future.wait();
}

void RouteGateway::abort() {
  Implementation& all = *implementation_;
  all.closing.store(true);
  if (!all.closer) return;
  all.home().post([closer = all.closer] { closer->abort(); });
}

bool RouteGateway::closing() const noexcept { return implementation_->closing.load(); }

std::vector<int> RouteGateway::hand_over_listeners() {
  std::vector<int> fds;
  if (!implementation_->listeners) return fds;
  run_on(implementation_->home(), [&] { fds = implementation_->listeners->inheritable_fds(); });
  return fds;
}

void RouteGateway::take_back_listeners() {
  if (!implementation_->listeners) return;
  run_on(implementation_->home(), [&] { implementation_->listeners->take_back(); });
}

std::size_t RouteGateway::loop_count() const noexcept { return implementation_->runtime.loop_count(); }
const RouteCounters& RouteGateway::counters(std::size_t loop) const {
  return implementation_->loops->at(loop)->counters();
}
const transport::ListenerCounters& RouteGateway::listener_counters() const noexcept {
  return *implementation_->options.listen_options.counters;
}
std::size_t RouteGateway::connection_count() const noexcept { return connections_of(*implementation_->loops); }

std::vector<RouteGateway::RouteInfo> RouteGateway::routes() const {
  std::vector<RouteInfo> infos;
  run_on(implementation_->home(), [&] {
    for (const std::string& name : implementation_->route_order) {
      const ServedRoutePtr& route = implementation_->routes.find(name)->second;
      infos.push_back(
          {name, route->options.resolver, {route->gate, &route->gate->counters()}, route->resolver->counters()});
    }
  });
  return infos;
}

void RouteGateway::dump_async(RouteDump what, std::move_only_function<void(std::string)> done) const {
  auto dump = std::make_shared<Dump>(*implementation_->loops);
  dump->done = std::move(done);
  dump_next(implementation_->home(), 0, what, dump);
}

std::string RouteGateway::dump(RouteDump what) const {
  WAYPORT_ASSERT(!Loop::current(), "dump on a loop thread would wait for itself: dump_async()");
  std::promise<std::string> text;
  std::future<std::string> future = text.get_future();
  dump_async(what, [&text](std::string all) { text.set_value(std::move(all)); });
  return future.get();
}

Runtime& RouteGateway::runtime() noexcept { return implementation_->runtime; }
const RouteGatewayOptions& RouteGateway::options() const noexcept { return implementation_->options; }

}  // namespace wayport::route
