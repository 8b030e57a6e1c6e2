#include "wayport/transport/tls/tls_listener.h"

#include <atomic>
#include <list>
#include <map>
#include <optional>
#include <utility>

#include "wayport/transport/incoming_gate.h"
#include "wayport/transport/tls/tls_stream.h"

namespace wayport::transport {
namespace {

// A refused peer may read our alert for so long.
constexpr Linger kRefusalLinger{std::chrono::seconds(1)};

class TlsIncoming final : public Incoming {
 public:
  TlsIncoming(std::unique_ptr<TlsStream> stream, std::unique_ptr<ConnectionPlace> place, TimePoint began)
      : place_(std::move(place)), stream_(std::move(stream)), began_(began) {}
  const PeerInfo& peer() const noexcept override { return stream_->peer(); }
  std::unique_ptr<Stream> accept() override { return std::move(stream_); }
  void reject(const Error&) override { stream_.reset(); }
  std::unique_ptr<ConnectionPlace> take_place() override { return std::move(place_); }
  std::optional<TimePoint> handshake_began() const noexcept override { return began_; }

 private:
  std::unique_ptr<ConnectionPlace> place_;
  std::unique_ptr<TlsStream> stream_;
  const TimePoint began_;
};

class Handshakes;

// What the loops share.
struct Shared {
  Shared(Loop& its_home, const ListenOptions& how, std::unique_ptr<TlsContextFiles> files)
      : home(its_home),
        gate(its_home),
        options(how),
        log(how.log ? *how.log : null_log()),
        contexts(std::move(files)) {}

  Loop& home;
  IncomingGate gate;
  const ListenOptions options;
  Log& log;
  LogLimit log_limit;
  const std::unique_ptr<TlsContextFiles> contexts;
  std::atomic<std::size_t> underway{0};
  std::map<Loop*, std::shared_ptr<Handshakes>> by_loop;  // constant once made; each touched on its loop only

  // Set once nothing new begins; then whoever ends the last handshake has `finished` called, on the home loop.
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

// One connection until it is shown or refused.
class ServerHandshake final : private Timer, private StreamEvents {
 public:
  ServerHandshake(std::shared_ptr<Shared> shared, Handshakes& owner, std::unique_ptr<ConnectionPlace> place,
                  TimePoint began, std::unique_ptr<TlsStream> stream)
      : shared_(std::move(shared)), owner_(owner), place_(std::move(place)), began_(began), stream_(std::move(stream)) {
    shared_->underway.fetch_add(1, std::memory_order_relaxed);
  }
  ~ServerHandshake() {
    // In this order, and finish() in the other one: one of the two sees the other.
    if (shared_->underway.fetch_sub(1) != 1 || !shared_->finishing.load()) return;
    shared_->home.post([shared = shared_] { shared->finish_if_done(); });
  }
  ServerHandshake(const ServerHandshake&) = delete;
  ServerHandshake& operator=(const ServerHandshake&) = delete;

  void begin() {
    Loop& loop = stream_->loop();
    if (shared_->options.handshake_timeout > Duration::zero()) {
      loop.arm(*this, after(began_, shared_->options.handshake_timeout));
    }
    stream_->handshake([this](Result<void> done) { finish(std::move(done)); });
  }

 private:
  friend class Handshakes;

  void finish(Result<void> done);
  void refuse(const Error& why, Linger linger);
  void on_timer() override {
    refuse({ErrorCode::timed_out, "no tls handshake within " + format_duration(shared_->options.handshake_timeout), {}},
           {});
  }

  std::size_t on_bytes(MutableBytes bytes, bool) override { return bytes.size(); }
  void on_writable() override {}
  void on_read_end() override {}
  void on_closed(const CloseReason&) override;

  const std::shared_ptr<Shared> shared_;
  Handshakes& owner_;  // lives in shared_
  std::unique_ptr<ConnectionPlace> place_;
  const TimePoint began_;
  std::unique_ptr<TlsStream> stream_;
  std::list<std::unique_ptr<ServerHandshake>>::iterator self_;
};

// Those of one loop.
class Handshakes {
 public:
  explicit Handshakes(Loop& loop) : loop_(loop) {}

  void add(std::shared_ptr<Shared> shared, std::unique_ptr<ConnectionPlace> place, TimePoint began,
           std::unique_ptr<TlsStream> stream) {
    all_.push_front(
        std::make_unique<ServerHandshake>(std::move(shared), *this, std::move(place), began, std::move(stream)));
    all_.front()->self_ = all_.begin();
    all_.front()->begin();
  }
  // At turn end: one of its callbacks is on the stack.
  void remove(ServerHandshake& handshake) {
    std::unique_ptr<ServerHandshake> removed = std::move(*handshake.self_);
    all_.erase(handshake.self_);
    loop_.delete_later(std::move(removed));
  }
  void clear() {
    // They may hold the last reference to what holds this.
    const std::list<std::unique_ptr<ServerHandshake>> ending = std::move(all_);
    all_.clear();
  }

 private:
  Loop& loop_;
  std::list<std::unique_ptr<ServerHandshake>> all_;
};

void ServerHandshake::finish(Result<void> done) {
  Loop& loop = stream_->loop();
  if (!done) return refuse(done.error(), kRefusalLinger);
  loop.disarm(*this);
  auto incoming = std::make_unique<TlsIncoming>(std::move(stream_), std::move(place_), began_);
  const std::shared_ptr<Shared> shared = shared_;
  owner_.remove(*this);
  shared->gate.deliver(std::move(incoming));
}

void ServerHandshake::refuse(const Error& why, Linger linger) {
  Loop& loop = stream_->loop();
  loop.disarm(*this);
  shared_->count(&ListenerCounters::handshakes_failed);
  shared_->log.write(shared_->log_limit, loop.now(), LogLevel::info, "tls handshake failed",
                     {{"peer", stream_->peer().remote_url()}, {"error", why.to_string()}});
  stream_->start(*this);
  stream_->close({CloseReason::By::local, why}, linger);
}

void ServerHandshake::on_closed(const CloseReason&) { owner_.remove(*this); }

class TlsListener final : public Listener {
 public:
  TlsListener(Loop& loop, const Address& address, const ListenOptions& options,
              std::unique_ptr<TlsContextFiles> contexts, std::unique_ptr<Listener> lower)
      : loop_(loop),
        address_(address),
        shared_(std::make_shared<Shared>(loop, options, std::move(contexts))),
        lower_(std::move(lower)) {
    address_.set_port(lower_->address().port());
    std::vector<Loop*> loops = options.loops;
    if (loops.empty()) loops.push_back(&loop);
    for (Loop* each : loops) shared_->by_loop.emplace(each, std::make_shared<Handshakes>(*each));
  }
  ~TlsListener() override {
    lower_.reset();
    shared_->finished = nullptr;
    shared_->gate.close();
    // Each loop ends its own. A loop that has stopped drops the task, which ends them as well.
    for (const auto& [loop, handshakes] : shared_->by_loop) {
      if (loop == &loop_) {
        handshakes->clear();
      } else {
        loop->post([clear = Clear(handshakes)] {});
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
  // Clears when the task that holds it is destroyed, run or not. The handshakes hold what they need.
  struct Clear {
    std::shared_ptr<Handshakes> handshakes;
    explicit Clear(std::shared_ptr<Handshakes> those) : handshakes(std::move(those)) {}
    Clear(Clear&&) = default;
    ~Clear() {
      if (handshakes) handshakes->clear();
    }
  };

  static void begin(const std::shared_ptr<Shared>& shared, std::unique_ptr<Incoming> incoming) {
    Loop& loop = *Loop::current();
    const auto refuse = [&](const Error& why, std::atomic<std::uint64_t> ListenerCounters::* counter) {
      shared->count(counter);
      shared->log.write(shared->log_limit, loop.now(), LogLevel::warning, "tls handshake not begun",
                        {{"peer", incoming->peer().remote_url()}, {"error", why.to_string()}});
      incoming->reject(why);
    };
    if (shared->underway.load(std::memory_order_relaxed) >= shared->options.handshakes_max) {
      return refuse({ErrorCode::overloaded, "handshakes_max are under way", {}}, &ListenerCounters::handshakes_refused);
    }
    std::unique_ptr<ConnectionPlace> place = incoming->take_place();
    if (!place && shared->options.admit) {
      auto admitted = shared->options.admit(incoming->peer().remote);
      if (!admitted) return refuse(admitted.error(), &ListenerCounters::handshakes_refused);
      place = *std::move(admitted);
    }
    Result<tls::Connection> connection = shared->contexts->current(loop.now())->make_server();
    if (!connection) return refuse(connection.error(), &ListenerCounters::handshakes_failed);
    const TimePoint began = incoming->handshake_began().value_or(loop.now());
    auto stream = std::make_unique<TlsStream>(incoming->accept(), *std::move(connection), shared->options.stream);
    shared->by_loop.at(&loop)->add(shared, std::move(place), began, std::move(stream));
  }

  Loop& loop_;
  Address address_;
  const std::shared_ptr<Shared> shared_;
  std::unique_ptr<Listener> lower_;
};

}  // namespace

ListenOptions tls_lower_options(const ListenOptions& options) {
  ListenOptions lower = options;
  lower.stream = TlsStream::lower_options(options.stream);
  return lower;
}

std::unique_ptr<Listener> make_tls_listener(Loop& loop, const Address& address, const ListenOptions& options,
                                            std::unique_ptr<TlsContextFiles> contexts,
                                            std::unique_ptr<Listener> lower) {
  return std::make_unique<TlsListener>(loop, address, options, std::move(contexts), std::move(lower));
}

}  // namespace wayport::transport
