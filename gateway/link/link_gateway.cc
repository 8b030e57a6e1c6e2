#include "wayport/gateway/link/link_gateway.h"

#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <tuple>
#include <utility>

#include "wayport/framing/link/auth.h"
#include "wayport/gateway/link/link_loop.h"
#include "wayport/transport/address.h"
#include "wayport/transport/default_transports.h"

namespace wayport::link {

using transport::Address;
using transport::Incoming;
using transport::Listener;

namespace {

constexpr Duration kDrainMax = std::chrono::hours(24);
// A stream that has this much waits until it is down to the other; meanwhile the gateway packs what comes densely.
constexpr std::size_t kHighWaterBytes = 64 * 1024;
constexpr std::size_t kLowWaterBytes = 16 * 1024;

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

bool only_this_machine(const Address& address) {
  const std::string& host = address.host();
  return address.layers().back() == "unix" || address.layers().back() == "mem" || host.starts_with("127.") ||
         host == "::1" || host == "localhost";
}

// What the switch may queue, and what layers add.
transport::ListenOptions listen_options(const LinkGatewayOptions& options, const QueueLimits& queue) {
  transport::ListenOptions listen = options.listen_options;
  const std::size_t needed = queue.bytes_max + queue.bytes_max / 16 + options.switching.command_reserve_bytes +
                             options.switching.packet_bytes_max + (1u << 20);
  listen.stream.queue_bytes_max = std::max(listen.stream.queue_bytes_max, needed);
  listen.stream.high_water_bytes = std::min(listen.stream.high_water_bytes, kHighWaterBytes);
  listen.stream.low_water_bytes = std::min(listen.stream.low_water_bytes, kLowWaterBytes);
  return listen;
}

// On loop 0. Shared with a close, which may outlive the gateway's interest.
struct Listening : std::enable_shared_from_this<Listening> {
  std::vector<std::unique_ptr<Listener>> listeners;

  // Listeners may be the ones that call: they go when the last has finished.
  void finish() {
    if (std::exchange(finishing_, true)) return;
    open_ = listeners.size() + 1;
    for (const std::unique_ptr<Listener>& listener : listeners) {
      listener->finish([weak = weak_from_this()] {
        if (const std::shared_ptr<Listening> self = weak.lock()) self->one_finished();
      });
    }
    one_finished();
  }
  void clear() {
    finishing_ = true;
    open_ = 0;
    listeners.clear();
  }

 private:
  void one_finished() {
    if (open_ != 0 && --open_ == 0) clear();
  }

  std::size_t open_ = 0;
  bool finishing_ = false;
};

using Loops = std::vector<std::shared_ptr<LinkLoop>>;

// The end of a gateway. On loop 0; keeps itself and what it needs alive until it is done.
class Closer final : public Timer, public std::enable_shared_from_this<Closer> {
 public:
  Closer(Loop& home, Loops loops, std::shared_ptr<Listening> listening, Duration drain, Log& log)
      : home_(home), loops_(std::move(loops)), listening_(std::move(listening)), drain_(drain), log_(log) {}

  void begin(std::move_only_function<void()> done) {
    if (finished_) return done();
    waiting_.push_back(std::move(done));
    if (std::exchange(begun_, true)) return;
    self_ = shared_from_this();
    if (drain_ <= Duration::zero()) return close_all();
    listening_->finish();
    dialing_ = loops_.size();
    for (const std::shared_ptr<LinkLoop>& loop : loops_) {
      loop->loop().post([loop, weak = weak_from_this(), &home = home_] {
        const auto at_home = [weak, &home](void (Closer::*then)()) {
          home.post([weak, then] {
            if (const std::shared_ptr<Closer> self = weak.lock()) (self.get()->*then)();
          });
        };
        loop->drain([at_home] { at_home(&Closer::check); });
        at_home(&Closer::one_refuses);
      });
    }
    home_.arm(*this, after(home_.now(), drain_));
  }
  void abort() {
    if (finished_) return;
    if (!std::exchange(begun_, true)) self_ = shared_from_this();
    close_all();
  }

 private:
  std::size_t virtuals() const {
    std::int64_t sum = 0;
    for (const std::shared_ptr<LinkLoop>& loop : loops_) sum += loop->switch_core().counters().virtuals.read();
    return static_cast<std::size_t>(std::max<std::int64_t>(sum, 0));
  }
  // Said when it is true of every loop: from then on no dial is answered with Accept.
  void one_refuses() {
    if (--dialing_ != 0 || closing_all_) return;
    log_.write(LogLevel::info, "link gateway drains", {{"virtuals", virtuals()}, {"drain", drain_}});
  }
  void check() {
    if (!finished_ && virtuals() == 0) close_all();
  }
  void on_timer() override {
    log_.write(LogLevel::warning, "link gateway closes virtual connections: the drain is over",
               {{"virtuals", virtuals()}, {"drain", drain_}});
    close_all();
  }
  void close_all() {
    if (std::exchange(closing_all_, true)) return;
    home_.disarm(*this);
    listening_->clear();
    open_ = loops_.size();
    if (open_ == 0) return finish();
    for (const std::shared_ptr<LinkLoop>& loop : loops_) {
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
    loops_.clear();
    const std::shared_ptr<Closer> alive = std::move(self_);
    std::vector<std::move_only_function<void()>> waiting;
    waiting.swap(waiting_);
    for (auto& done : waiting) done();
  }

  Loop& home_;
  Loops loops_;
  const std::shared_ptr<Listening> listening_;
  const Duration drain_;
  Log& log_;
  std::vector<std::move_only_function<void()>> waiting_;
  std::shared_ptr<Closer> self_;
  std::size_t dialing_ = 0;  // loops that do not refuse dials yet
  std::size_t open_ = 0;     // loops
  bool begun_ = false;
  bool closing_all_ = false;
  bool finished_ = false;
};

// What the loops have printed so far. Loops that have gone meanwhile are left out.
struct Dump {
  explicit Dump(const Loops& all) {
    for (const std::shared_ptr<LinkLoop>& loop : all) loops.emplace_back(&loop->loop(), loop);
  }
  void finish() {
    std::ranges::sort(lines, {}, [](const LinkLoop::DumpLine& line) { return std::tie(line.rank, line.text); });
    std::string text;
    for (const LinkLoop::DumpLine& line : lines) (text += line.text) += '\n';
    if (total > lines.size()) text += "... and " + std::to_string(total - lines.size()) + " more\n";
    done(std::move(text));
  }

  std::vector<std::pair<Loop*, std::weak_ptr<LinkLoop>>> loops;
  std::vector<LinkLoop::DumpLine> lines;
  std::size_t total = 0;
  std::move_only_function<void(std::string)> done;
};

void dump_next(Loop& home, std::size_t index, LinkDump what, const std::shared_ptr<Dump>& dump) {
  if (index == dump->loops.size()) return home.post([dump] { dump->finish(); });
  dump->loops[index].first->post([&home, index, what, dump] {
    if (const std::shared_ptr<LinkLoop> loop = dump->loops[index].second.lock()) {
      dump->total += loop->dump(what, dump->lines);
    }
    dump_next(home, index + 1, what, dump);
  });
}

}  // namespace

std::string_view to_string(LinkDump what) noexcept {
  switch (what) {
    case LinkDump::sessions:
      return "sessions";
    case LinkDump::virtuals:
      return "virtuals";
    case LinkDump::queues:
      return "queues";
  }
  return "unknown";
}

Result<void> LinkGatewayOptions::validate() const {
  WAYPORT_TRY(switching.validate());
  if (drain < Duration::zero() || drain > kDrainMax) {
    return fail(ErrorCode::invalid_argument, "drain is " + format_duration(drain) + ": it may be 0 to 24h");
  }
  if (listen_clients.empty()) {
    return fail(ErrorCode::invalid_argument, "listen_clients is empty: a gateway listens for clients somewhere");
  }
  if (listen_servers.empty()) {
    return fail(ErrorCode::invalid_argument, "listen_servers is empty: a gateway listens for servers somewhere");
  }
  return {};
}

struct LinkGateway::Implementation {
  Implementation(Runtime& its_runtime, LinkGatewayOptions its_options)
      : runtime(its_runtime),
        options(std::move(its_options)),
        transports(options.transports ? *options.transports : transport::default_transports(&its_runtime.log())) {
    if (!options.listen_options.counters) options.listen_options.counters = &listener_counters;
    if (!options.listen_options.log) options.listen_options.log = &runtime.log();
    if (options.listen_options.loops.empty()) {
      for (std::size_t i = 0; i < runtime.loop_count(); ++i) options.listen_options.loops.push_back(&runtime.loop(i));
    }
  }

  void make_loops() {
    const auto count = static_cast<unsigned>(runtime.loop_count());
    shared = std::make_shared<LinkShared>(options, count, random_seed(), runtime.log());
    for (unsigned i = 0; i < count; ++i) {
      run_on(runtime.loop(i), [&] { loops->push_back(std::make_shared<LinkLoop>(runtime.loop(i), shared, i)); });
    }
    for (const std::shared_ptr<LinkLoop>& loop : *loops) {
      run_on(loop->loop(), [&] { loop->open_mailboxes(*loops); });
    }
    closer = std::make_shared<Closer>(home(), *loops, listening, options.drain, runtime.log());
  }
  Result<void> listen_on(const std::string& where, Side side, std::vector<std::string>& bound);
  Result<void> listen();
  void warn_of_empty_key() const;
  Loop& home() const { return runtime.loop(0); }

  Runtime& runtime;
  LinkGatewayOptions options;
  const transport::Transports transports;
  transport::ListenerCounters listener_counters;
  std::shared_ptr<LinkShared> shared;
  const std::shared_ptr<Loops> loops = std::make_shared<Loops>();
  const std::shared_ptr<Listening> listening = std::make_shared<Listening>();
  std::shared_ptr<Closer> closer;
  std::vector<std::string> client_addresses;
  std::vector<std::string> server_addresses;
  std::atomic<bool> closing{false};
  bool started = false;
};

Result<void> LinkGateway::Implementation::listen_on(const std::string& where, Side side,
                                                    std::vector<std::string>& bound) {
  const bool clients = side == Side::client;
  const char* const name = clients ? "clients" : "servers";
  Result<Address> address = Address::parse(where);
  if (!address) {
    address.error().detail = std::string("cannot listen for ") + name + ": " + address.error().detail;
    return fail(std::move(address.error()));
  }
  Result<std::unique_ptr<Listener>> listener = transports.listen(
      home(), *address,
      listen_options(options, clients ? options.switching.client_queue : options.switching.server_queue));
  if (!listener) {
    Error error = std::move(listener.error());
    error.detail = std::string("cannot listen for ") + name + " on " + address->to_log() + ": " + error.detail;
    return fail(std::move(error));
  }
  (*listener)->start([all = loops, side](std::unique_ptr<Incoming> incoming) {
    Loop* const here = Loop::current();
    for (const std::shared_ptr<LinkLoop>& loop : *all) {
      if (&loop->loop() == here) return loop->accept(side, std::move(incoming));
    }
    incoming->reject({ErrorCode::internal, "accepted on a loop that is not the runtime's", {}});
  });
  bound.push_back((*listener)->address().to_string());
  runtime.log().write(LogLevel::info, clients ? "link gateway listens for clients" : "link gateway listens for servers",
                      {{"address", (*listener)->address().to_log()}});
  listening->listeners.push_back(*std::move(listener));
  return {};
}

Result<void> LinkGateway::Implementation::listen() {
  for (const std::string& where : options.listen_clients) {
    WAYPORT_TRY(listen_on(where, Side::client, client_addresses));
  }
  for (const std::string& where : options.listen_servers) {
    WAYPORT_TRY(listen_on(where, Side::server, server_addresses));
  }
  return {};
}

void LinkGateway::Implementation::warn_of_empty_key() const {
  if (!options.key.empty()) return;
  for (const std::string& where : server_addresses) {
    const Result<Address> address = Address::parse(where);
    if (!address || only_this_machine(*address)) continue;
    runtime.log().write(LogLevel::warning, "anyone who reaches this address can be a server: the key is empty",
                        {{"address", address->to_log()}});
  }
}

LinkGateway::LinkGateway(Runtime& runtime, LinkGatewayOptions options)
    : implementation_(std::make_unique<Implementation>(runtime, std::move(options))) {}

LinkGateway::~LinkGateway() {
  Implementation& all = *implementation_;
  if (!all.shared) return;
  Loop& home = all.home();
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> finished = done->get_future();
  all.closing.store(true);
  run_on(home, [&] {
    all.closer->abort();
    all.closer->begin([done] { done->set_value(); });
  });
  // Loops that the caller drives itself (tests) have nobody else to turn them.
  constexpr int kTurnsMax = 1000;
  for (int turn = 0; home.in_loop_thread() && turn < kTurnsMax; ++turn) {
    if (finished.wait_for(std::chrono::seconds(0)) == std::future_status::ready) break;
    for (const std::shared_ptr<LinkLoop>& loop : *all.loops) {
      if (loop->loop().in_loop_thread()) loop->loop().run_turn();
    }
  }
  if (!home.in_loop_thread()) finished.wait();
  Loops loops = std::exchange(*all.loops, {});
  for (const std::shared_ptr<LinkLoop>& loop : loops) {
    run_on(loop->loop(), [&loop] { loop->close_mailboxes(); });
  }
  for (std::shared_ptr<LinkLoop>& loop : loops) {
    Loop& its = loop->loop();
    run_on(its, [&loop] { loop.reset(); });
  }
}

Result<void> LinkGateway::start() {
  Implementation& all = *implementation_;
  if (all.started) return fail(ErrorCode::invalid_argument, "the gateway is started already");
  WAYPORT_TRY(all.options.validate());
  WAYPORT_TRY(auth_digest({}, as_bytes(all.options.key)));  // a system without MD5
  all.started = true;
  all.make_loops();
  Result<void> outcome;
  run_on(all.home(), [&] {
    outcome = all.listen();
    if (outcome) return;
    all.listening->clear();
    all.client_addresses.clear();
    all.server_addresses.clear();
  });
  if (outcome) all.warn_of_empty_key();
  return outcome;
}

std::vector<std::string> LinkGateway::client_addresses() const { return implementation_->client_addresses; }
std::vector<std::string> LinkGateway::server_addresses() const { return implementation_->server_addresses; }

void LinkGateway::close_async(std::move_only_function<void()> done) {
  Implementation& all = *implementation_;
  all.closing.store(true);
  all.home().post([closer = all.closer, done = std::move(done)]() mutable {
    if (!closer) return done();
    closer->begin(std::move(done));
  });
}

void LinkGateway::close_blocking() {
  WAYPORT_ASSERT(!Loop::current(), "close_blocking on a loop thread would wait for itself");
  std::promise<void> closed;
  std::future<void> future = closed.get_future();
  close_async([&closed] { closed.set_value(); });
  future.wait();
}

void LinkGateway::abort() {
  Implementation& all = *implementation_;
  all.closing.store(true);
  if (!all.closer) return;
  all.home().post([closer = all.closer] { closer->abort(); });
}

bool LinkGateway::closing() const noexcept { return implementation_->closing.load(); }

std::vector<int> LinkGateway::hand_over_listeners() {
  std::vector<int> fds;
  run_on(implementation_->home(), [&] {
    for (const std::unique_ptr<Listener>& listener : implementation_->listening->listeners) {
      const std::vector<int> its = listener->inheritable_fds();
      fds.insert(fds.end(), its.begin(), its.end());
    }
  });
  return fds;
}

void LinkGateway::take_back_listeners() {
  run_on(implementation_->home(), [&] {
    for (const std::unique_ptr<Listener>& listener : implementation_->listening->listeners) listener->take_back();
  });
}

std::size_t LinkGateway::loop_count() const noexcept { return implementation_->runtime.loop_count(); }
const SwitchCounters& LinkGateway::counters(std::size_t loop) const {
  return implementation_->loops->at(loop)->switch_core().counters();
}
const LinkDriverCounters& LinkGateway::driver_counters(std::size_t loop) const {
  return implementation_->loops->at(loop)->counters();
}
const transport::ListenerCounters& LinkGateway::listener_counters() const noexcept {
  return *implementation_->options.listen_options.counters;
}

std::size_t LinkGateway::connection_count() const noexcept {
  std::int64_t sum = 0;
  for (const std::shared_ptr<LinkLoop>& loop : *implementation_->loops) {
    const SwitchCounters& counters = loop->switch_core().counters();
    sum += counters.clients.read() + counters.servers.read() + counters.handshakes.read();
  }
  return static_cast<std::size_t>(std::max<std::int64_t>(sum, 0));
}

std::size_t LinkGateway::virtual_count() const noexcept {
  std::int64_t sum = 0;
  for (const std::shared_ptr<LinkLoop>& loop : *implementation_->loops) {
    sum += loop->switch_core().counters().virtuals.read();
  }
  return static_cast<std::size_t>(std::max<std::int64_t>(sum, 0));
}

void LinkGateway::dump_async(LinkDump what, std::move_only_function<void(std::string)> done) const {
  auto dump = std::make_shared<Dump>(*implementation_->loops);
  dump->done = std::move(done);
  dump_next(implementation_->home(), 0, what, dump);
}

std::string LinkGateway::dump(LinkDump what) const {
  WAYPORT_ASSERT(!Loop::current(), "dump on a loop thread would wait for itself: dump_async()");
  std::promise<std::string> text;
  std::future<std::string> future = text.get_future();
  dump_async(what, [&text](std::string all) { text.set_value(std::move(all)); });
  return future.get();
}

Runtime& LinkGateway::runtime() noexcept { return implementation_->runtime; }
const LinkGatewayOptions& LinkGateway::options() const noexcept { return implementation_->options; }

}  // namespace wayport::link
