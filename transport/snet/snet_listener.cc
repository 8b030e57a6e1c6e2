#include "wayport/transport/snet/snet_listener.h"

#include <utility>

#include "wayport/transport/snet/snet_server.h"

namespace wayport::transport {
namespace {

class SnetListener final : public Listener {
 public:
  SnetListener(Loop& loop, const Address& address, const ListenOptions& options, const SnetOptions& snet,
               snet::RandomSource& random, std::shared_ptr<SnetCounters> counters, std::unique_ptr<Listener> lower)
      : loop_(loop),
        address_(address),
        shared_(std::make_shared<ServerShared>(loop, options, snet, random, std::move(counters))),
        lower_(std::move(lower)) {
    address_.set_port(lower_->address().port());
  }
  ~SnetListener() override {
    lower_.reset();
    shared_->gate.close();
    shared_->closed.store(true, std::memory_order_relaxed);
    // Each loop ends its own. A loop that has stopped drops the task, which ends the handshakes as well.
    for (const auto& each : shared_->loops) {
      if (&each->loop() == &loop_) {
        end_waiting(*each);
        each->clear_handshakes();
      } else {
        each->loop().post([clear = Clear(shared_, *each)] { end_waiting(*clear.where); });
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
  // Handshakes that are under way then end with the listener: a client whose session did not begin dials again.
  void finish(std::move_only_function<void()> done) override { lower_->finish(std::move(done)); }

 private:
  // Clears when the task that holds it is destroyed, run or not.
  struct Clear {
    std::shared_ptr<ServerShared> shared;
    ServerLoop* where;
    Clear(std::shared_ptr<ServerShared> all, ServerLoop& one) : shared(std::move(all)), where(&one) {}
    Clear(Clear&&) = default;
    ~Clear() {
      if (shared) where->clear_handshakes();
    }
  };

  static void end_waiting(ServerLoop& where) {
    while (!where.detached().empty()) {
      where.detached().front().end(CloseReason::By::local, ErrorCode::local_closed,
                                   "its listener was closed while it waited for its client");
    }
  }

  static void begin(const std::shared_ptr<ServerShared>& shared, std::unique_ptr<Incoming> incoming) {
    ServerLoop& here = shared->here();
    const TimePoint now = here.loop().now();
    if (shared->underway.load(std::memory_order_relaxed) >= shared->options.handshakes_max) {
      shared->count(&ListenerCounters::handshakes_refused);
      const Error why{ErrorCode::overloaded, "handshakes_max are under way", {}};
      shared->log.write(shared->log_limit, now, LogLevel::warning, "snet handshake not begun",
                        {{"peer", incoming->peer().remote_url()}, {"error", why}});
      return incoming->reject(why);
    }
    const Duration timeout = shared->options.handshake_timeout;
    const TimePoint due = timeout > Duration::zero() ? after(now, timeout) : kNever;
    here.add(std::make_unique<Half>(shared, here, incoming->accept(), snet::ServerHandshake(shared->random), due));
  }

  Loop& loop_;
  Address address_;
  const std::shared_ptr<ServerShared> shared_;
  std::unique_ptr<Listener> lower_;
};

}  // namespace

ListenOptions snet_lower_options(const ListenOptions& options, const SnetOptions& snet) {
  ListenOptions lower = options;
  lower.stream = SnetStream::lower_options(options.stream, snet.session.ring_bytes);
  return lower;
}

std::unique_ptr<Listener> make_snet_listener(Loop& loop, const Address& address, const ListenOptions& options,
                                             const SnetOptions& snet, snet::RandomSource& random,
                                             std::shared_ptr<SnetCounters> counters, std::unique_ptr<Listener> lower) {
  return std::make_unique<SnetListener>(loop, address, options, snet, random, std::move(counters), std::move(lower));
}

}  // namespace wayport::transport
