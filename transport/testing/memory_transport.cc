#include "wayport/transport/testing/memory_transport.h"

#include <deque>
#include <utility>
#include <vector>

#include "wayport/transport/incoming_gate.h"

namespace wayport::transport {
namespace {

class MemoryIncoming final : public Incoming {
 public:
  explicit MemoryIncoming(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}
  const PeerInfo& peer() const noexcept override { return stream_->peer(); }
  std::unique_ptr<Stream> accept() override { return std::move(stream_); }
  void reject(const Error&) override { stream_.reset(); }

 private:
  std::unique_ptr<Stream> stream_;
};

class MemoryDial final : public Dial, private TurnEnd {
 public:
  MemoryDial(Loop& loop, std::unique_ptr<Stream> stream, OnDialed on_done)
      : stream_(std::move(stream)), on_done_(std::move(on_done)) {
    loop.at_turn_end(*this);
  }

 private:
  void on_turn_end() override {
    OnDialed on_done = std::move(on_done_);
    on_done(std::move(stream_));  // `this` may be gone
  }
  std::unique_ptr<Stream> stream_;
  OnDialed on_done_;
};

Result<void> check(const Address& address) {
  if (address.layers().size() != 1 || address.host().empty() || !address.path().empty()) {
    return fail(ErrorCode::invalid_argument, "a memory address is mem://name: " + address.to_log());
  }
  return address.check_parameters({});
}

}  // namespace

class MemoryTransport::MemoryListener final : public Listener {
 public:
  MemoryListener(Loop& loop, Address address, std::vector<Loop*> loops, std::shared_ptr<Names> names)
      : address_(std::move(address)),
        loops_(std::move(loops)),
        names_(std::move(names)),
        gate_(std::make_shared<IncomingGate>(loop)) {
    if (loops_.empty()) loops_.push_back(&loop);
    names_->emplace(address_.host(), this);
  }
  ~MemoryListener() override {
    names_->erase(address_.host());
    gate_->close();
  }

  void start(OnIncoming on_incoming) override {
    gate_->open(std::move(on_incoming));
    started_ = true;
    pass_on();
  }
  void pause(bool paused) override {
    paused_ = paused;
    pass_on();
  }
  const Address& address() const noexcept override { return address_; }
  std::vector<int> inheritable_fds() const override { return {}; }

  // The client's end; the server's is on its way to the next loop.
  std::unique_ptr<Stream> connect(Loop& client_loop, const MemoryOptions& options) {
    Loop& server_loop = *loops_[next_++ % loops_.size()];
    MemoryPair pair = make_memory_pair(client_loop, server_loop, options);
    waiting_.push_back(std::move(pair.b));
    pass_on();
    return std::move(pair.a);
  }

 private:
  void pass_on() {
    if (!started_ || paused_) return;
    for (; !waiting_.empty(); waiting_.pop_front()) {
      Loop& loop = waiting_.front()->loop();
      loop.post([gate = gate_, stream = std::move(waiting_.front())]() mutable {
        gate->deliver(std::make_unique<MemoryIncoming>(std::move(stream)));
      });
    }
  }

  const Address address_;
  std::vector<Loop*> loops_;
  std::size_t next_ = 0;
  const std::shared_ptr<Names> names_;
  const std::shared_ptr<IncomingGate> gate_;
  std::deque<std::unique_ptr<Stream>> waiting_;  // the backlog
  bool started_ = false;
  bool paused_ = false;
};

std::unique_ptr<Dial> MemoryTransport::dial(const Transports&, Loop& loop, const Address& address,
                                            const DialOptions& options, OnDialed on_done) const {
  if (Result<void> valid = check(address); !valid) return failed_dial(loop, valid.error(), std::move(on_done));
  const auto found = names_->find(address.host());
  if (found == names_->end()) {
    return failed_dial(loop, {ErrorCode::refused, "nobody listens on " + address.to_log(), {}}, std::move(on_done));
  }
  MemoryOptions memory = options_;
  memory.stream = options.stream;
  return std::make_unique<MemoryDial>(loop, found->second->connect(loop, memory), std::move(on_done));
}

Result<std::unique_ptr<Listener>> MemoryTransport::listen(const Transports&, Loop& loop, const Address& address,
                                                          const ListenOptions& options) const {
  WAYPORT_TRY(check(address));
  if (names_->contains(address.host())) {
    return fail(ErrorCode::refused, "somebody listens on " + address.to_log() + " already");
  }
  return std::make_unique<MemoryListener>(loop, address, options.loops, names_);
}

}  // namespace wayport::transport
