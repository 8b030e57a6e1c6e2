#include "wayport/transport/ws/ws_listener.h"

#include <atomic>
#include <list>
#include <map>
#include <optional>
#include <utility>

#include "wayport/transport/incoming_gate.h"
#include "wayport/transport/ws/handshake.h"
#include "wayport/transport/ws/ws_stream.h"

namespace wayport::transport {
namespace {

// A refused client may read our answer for so long.
constexpr Linger kRefusalLinger{std::chrono::seconds(1)};

class Upgrades;

// What the loops share.
struct Shared {
  Shared(Loop& its_home, const WsOptions& its_ws, const ListenOptions& how, std::shared_ptr<WsCounters> its_counters)
      : home(its_home),
        gate(its_home),
        ws(its_ws),
        options(how),
        log(how.log ? *how.log : null_log()),
        counters(std::move(its_counters)) {}

  Loop& home;
  IncomingGate gate;
  const WsOptions ws;
  const ListenOptions options;
  Log& log;
  LogLimit log_limit;
  const std::shared_ptr<WsCounters> counters;
  std::atomic<std::size_t> underway{0};
  std::map<Loop*, std::shared_ptr<Upgrades>> by_loop;  // constant once made; each touched on its loop only

  // Set once nothing new begins; then whoever ends the last upgrade has `finished` called, on the home loop.
  std::atomic<bool> finishing{false};
  std::move_only_function<void()> finished;  // on the home loop
  void finish_if_done() {
    if (underway.load() != 0 || !finished) return;
    std::move_only_function<void()> done = std::move(finished);
    finished = nullptr;
    done();  // may destroy the listener
  }

  void count(std::atomic<std::uint64_t> ListenerCounters::* counter) const {
    if (options.counters) (options.counters->*counter).fetch_add(1, std::memory_order_relaxed);
  }
};

// One connection until its request is shown, or until it has read why it is refused.
class Upgrade final : private Timer, private TurnEnd, private StreamEvents {
 public:
  Upgrade(std::shared_ptr<Shared> shared, Upgrades& owner, std::unique_ptr<ConnectionPlace> place,
          std::unique_ptr<Stream> lower)
      : shared_(std::move(shared)), owner_(owner), place_(std::move(place)), lower_(std::move(lower)) {
    shared_->underway.fetch_add(1, std::memory_order_relaxed);
  }
  ~Upgrade() {
    // In this order, and finish() in the other one: one of the two sees the other.
    if (shared_->underway.fetch_sub(1) != 1 || !shared_->finishing.load()) return;
    shared_->home.post([shared = shared_] { shared->finish_if_done(); });
  }
  Upgrade(const Upgrade&) = delete;
  Upgrade& operator=(const Upgrade&) = delete;

  // `began`: the first handshake of the connection, of whatever layer.
  void begin(TimePoint began) {
    began_ = began;
    if (shared_->options.handshake_timeout > Duration::zero()) {
      lower_->loop().arm(*this, after(began, shared_->options.handshake_timeout));
    }
    lower_->start(*this);
  }
  // Of a connection that was shown, and is refused by whoever saw it.
  void begin_refused(int status) {
    lower_->replace_events(*this);
    answer(status, Error{ErrorCode::refused, "the upgrade was not accepted", {}});
  }

 private:
  friend class Upgrades;

  std::size_t on_bytes(MutableBytes bytes, bool) override {
    if (refused_) return bytes.size();
    if (request_) return 0;
    // What is no letter begins no method: TLS, or another protocol, which gets no answer to wait for.
    if (const char first = as_text(bytes)[0]; first < 'A' || first > 'Z') {
      refuse(400, "not HTTP");
      return bytes.size();
    }
    const std::size_t end = ws::find_head_end(bytes, scanned_);
    if (end == 0) {
      if (bytes.size() <= shared_->ws.header_bytes_max) return 0;
      refuse(431, "the head is larger than header_bytes_max");
      return bytes.size();
    }
    auto request = ws::read_request(as_text(bytes.first(end)), shared_->ws);
    if (!request) {
      refuse(request.error().status, request.error().why);
      return bytes.size();
    }
    request_ = *std::move(request);
    lower_->read(false);
    lower_->loop().at_turn_end(*this);
    return end;
  }
  void on_turn_end() override;
  void on_writable() override {}
  void on_read_end() override {
    if (!request_ && !refused_) fail({ErrorCode::peer_closed, "the connection ended during the upgrade", {}}, {});
  }
  void on_closed(const CloseReason& reason) override;
  void on_timer() override {
    refuse(408, "no request within handshake_timeout " + format_duration(shared_->options.handshake_timeout));
  }

  void refuse(int status, const std::string& why) {
    if (status == 403) shared_->counters->origins_refused.fetch_add(1, std::memory_order_relaxed);
    answer(status, Error{status == 408 ? ErrorCode::timed_out : ErrorCode::malformed, why, ws::http_status(status)});
  }
  void answer(int status, const Error& why) {
    shared_->counters->upgrades_refused.fetch_add(1, std::memory_order_relaxed);
    Chain text;
    text.append(ws::refusal_response(status));
    lower_->write(std::move(text));
    fail(why, kRefusalLinger);
  }
  void fail(const Error& why, Linger linger) {
    Loop& loop = lower_->loop();
    loop.disarm(*this);
    refused_ = true;
    shared_->count(&ListenerCounters::handshakes_failed);
    shared_->log.write(shared_->log_limit, loop.now(), LogLevel::info, "websocket upgrade failed",
                       {{"peer", lower_->peer().remote_url()}, {"error", why.to_string()}});
    lower_->close({CloseReason::By::local, why}, linger);
  }

  const std::shared_ptr<Shared> shared_;
  Upgrades& owner_;  // lives in shared_
  std::unique_ptr<ConnectionPlace> place_;
  TimePoint began_{};
  std::unique_ptr<Stream> lower_;
  std::optional<ws::UpgradeRequest> request_;
  std::size_t scanned_ = 0;
  bool refused_ = false;
  std::list<std::unique_ptr<Upgrade>>::iterator self_;
};

// Those of one loop.
class Upgrades {
 public:
  explicit Upgrades(Loop& loop) : loop_(loop) {}

  void add(std::shared_ptr<Shared> shared, std::unique_ptr<ConnectionPlace> place, TimePoint began,
           std::unique_ptr<Stream> lower) {
    push(std::move(shared), std::move(place), std::move(lower)).begin(began);
  }
  // After the listener's end nobody waits for the answer to be read.
  void refuse(std::shared_ptr<Shared> shared, std::unique_ptr<ConnectionPlace> place, std::unique_ptr<Stream> lower,
              int status) {
    if (!over_) push(std::move(shared), std::move(place), std::move(lower)).begin_refused(status);
  }
  // At turn end: one of its callbacks is on the stack.
  void remove(Upgrade& upgrade) {
    std::unique_ptr<Upgrade> removed = std::move(*upgrade.self_);
    all_.erase(upgrade.self_);
    loop_.delete_later(std::move(removed));
  }
  void clear() {
    over_ = true;
    // They may hold the last reference to what holds this.
    const std::list<std::unique_ptr<Upgrade>> ending = std::move(all_);
    all_.clear();
  }

 private:
  Upgrade& push(std::shared_ptr<Shared> shared, std::unique_ptr<ConnectionPlace> place, std::unique_ptr<Stream> lower) {
    all_.push_front(std::make_unique<Upgrade>(std::move(shared), *this, std::move(place), std::move(lower)));
    all_.front()->self_ = all_.begin();
    return *all_.front();
  }

  Loop& loop_;
  std::list<std::unique_ptr<Upgrade>> all_;
  bool over_ = false;
};

// A request that waits to be decided.
class WsIncoming final : public Incoming, private StreamEvents {
 public:
  WsIncoming(std::shared_ptr<Shared> shared, std::unique_ptr<ConnectionPlace> place, TimePoint began,
             std::unique_ptr<Stream> lower, ws::UpgradeRequest request)
      : shared_(std::move(shared)),
        place_(std::move(place)),
        began_(began),
        lower_(std::move(lower)),
        response_(ws::upgrade_response(request)) {
    peer_ = ws_peer_info(lower_->peer(), shared_->ws.secure, std::move(request.http));
    lower_->replace_events(*this);
  }
  ~WsIncoming() {
    if (lower_) reject({ErrorCode::overloaded, "nobody took the connection", {}});
  }

  const PeerInfo& peer() const noexcept override { return peer_; }

  std::unique_ptr<Stream> accept() override {
    Chain text;
    text.append(std::move(response_));
    if (!dead_) lower_->write(std::move(text));
    return std::make_unique<WsStream>(std::move(lower_), WsStream::Side::server, shared_->ws, shared_->options.stream,
                                      std::move(peer_), nullptr, shared_->counters, std::move(dead_));
  }

  void reject(const Error& why) override {
    if (!lower_) return;
    Loop& loop = lower_->loop();
    std::unique_ptr<Stream> lower = std::move(lower_);
    if (!dead_) shared_->by_loop.at(&loop)->refuse(shared_, std::move(place_), std::move(lower), ws::status_of(why));
  }
  std::unique_ptr<ConnectionPlace> take_place() override { return std::move(place_); }
  std::optional<TimePoint> handshake_began() const noexcept override { return began_; }

 private:
  std::size_t on_bytes(MutableBytes, bool) override { return 0; }
  void on_writable() override {}
  void on_read_end() override {}
  void on_closed(const CloseReason& reason) override { dead_ = reason; }

  const std::shared_ptr<Shared> shared_;
  std::unique_ptr<ConnectionPlace> place_;
  const TimePoint began_;
  std::unique_ptr<Stream> lower_;
  std::string response_;
  PeerInfo peer_;
  std::optional<CloseReason> dead_;
};

void Upgrade::on_turn_end() {
  if (refused_ || !lower_) return;
  lower_->loop().disarm(*this);
  const std::shared_ptr<Shared> shared = shared_;
  auto incoming =
      std::make_unique<WsIncoming>(shared, std::move(place_), began_, std::move(lower_), *std::move(request_));
  owner_.remove(*this);
  shared->gate.deliver(std::move(incoming));
}

void Upgrade::on_closed(const CloseReason& reason) {
  if (!refused_) {
    lower_->loop().disarm(*this);
    refused_ = true;
    shared_->count(&ListenerCounters::handshakes_failed);
    shared_->log.write(shared_->log_limit, lower_->loop().now(), LogLevel::info, "websocket upgrade failed",
                       {{"peer", lower_->peer().remote_url()}, {"error", reason.error.to_string()}});
  }
  owner_.remove(*this);
}

class WsListener final : public Listener {
 public:
  WsListener(Loop& loop, const Address& address, const WsOptions& ws, const ListenOptions& options,
             std::shared_ptr<WsCounters> counters, std::unique_ptr<Listener> lower)
      : loop_(loop),
        address_(address),
        shared_(std::make_shared<Shared>(loop, ws, options, std::move(counters))),
        lower_(std::move(lower)) {
    address_.set_port(lower_->address().port());
    std::vector<Loop*> loops = options.loops;
    if (loops.empty()) loops.push_back(&loop);
    for (Loop* each : loops) shared_->by_loop.emplace(each, std::make_shared<Upgrades>(*each));
  }
  ~WsListener() override {
    lower_.reset();
    shared_->finished = nullptr;
    shared_->gate.close();
    // Each loop ends its own. A loop that has stopped drops the task, which ends them as well.
    for (const auto& [loop, upgrades] : shared_->by_loop) {
      if (loop == &loop_) {
        upgrades->clear();
      } else {
        loop->post([clear = Clear(upgrades)] {});
      }
    }
  }

  void start(OnIncoming on_incoming) override {
    shared_->gate.open(std::move(on_incoming));
    lower_->start([shared = shared_](std::unique_ptr<Incoming> incoming) { begin(shared, std::move(incoming)); });
  }
  void pause(bool paused) override { lower_->pause(paused); }
  const Address& address() const noexcept override { return address_; }
  std::vector<int> inheritable_fds() const override { return lower_->inheritable_fds(); }
  void take_back() override { lower_->take_back(); }
  void finish(std::move_only_function<void()> done) override {
    shared_->finished = std::move(done);
    lower_->finish([shared = shared_] {
      shared->finishing.store(true);
      shared->finish_if_done();
    });
  }

 private:
  // Clears when the task that holds it is destroyed, run or not. The upgrades hold what they need.
  struct Clear {
    std::shared_ptr<Upgrades> upgrades;
    explicit Clear(std::shared_ptr<Upgrades> those) : upgrades(std::move(those)) {}
    Clear(Clear&&) = default;
    ~Clear() {
      if (upgrades) upgrades->clear();
    }
  };

  static void begin(const std::shared_ptr<Shared>& shared, std::unique_ptr<Incoming> incoming) {
    Loop& loop = *Loop::current();
    const auto refuse = [&](const Error& why) {
      shared->count(&ListenerCounters::handshakes_refused);
      shared->log.write(shared->log_limit, loop.now(), LogLevel::warning, "websocket upgrade not begun",
                        {{"peer", incoming->peer().remote_url()}, {"error", why.to_string()}});
      incoming->reject(why);
    };
    if (shared->underway.load(std::memory_order_relaxed) >= shared->options.handshakes_max) {
      return refuse({ErrorCode::overloaded, "handshakes_max are under way", {}});
    }
    std::unique_ptr<ConnectionPlace> place = incoming->take_place();
    if (!place && shared->options.admit) {
      auto admitted = shared->options.admit(incoming->peer().remote);
      if (!admitted) return refuse(admitted.error());
      place = *std::move(admitted);
    }
    const TimePoint began = incoming->handshake_began().value_or(loop.now());
    shared->by_loop.at(&loop)->add(shared, std::move(place), began, incoming->accept());
  }

  Loop& loop_;
  Address address_;
  const std::shared_ptr<Shared> shared_;
  std::unique_ptr<Listener> lower_;
};

}  // namespace

ListenOptions ws_lower_options(const ListenOptions& options) {
  ListenOptions lower = options;
  lower.stream = WsStream::lower_options(options.stream);
  return lower;
}

std::unique_ptr<Listener> make_ws_listener(Loop& loop, const Address& address, const WsOptions& ws,
                                           const ListenOptions& options, std::shared_ptr<WsCounters> counters,
                                           std::unique_ptr<Listener> lower) {
  return std::make_unique<WsListener>(loop, address, ws, options, std::move(counters), std::move(lower));
}

}  // namespace wayport::transport
