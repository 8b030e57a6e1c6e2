#include "wayport/transport/testing/failing_stream.h"

#include <utility>

namespace wayport::transport {
namespace {

Error injected() { return {ErrorCode::io, kInjected, {}}; }

class FailingIncoming final : public Incoming {
 public:
  FailingIncoming(std::unique_ptr<Incoming> lower, std::shared_ptr<FailCount> count)
      : lower_(std::move(lower)), count_(std::move(count)) {}
  const PeerInfo& peer() const noexcept override { return lower_->peer(); }
  std::unique_ptr<Stream> accept() override { return std::make_unique<FailingStream>(lower_->accept(), count_); }
  void reject(const Error& why) override { lower_->reject(why); }

 private:
  const std::unique_ptr<Incoming> lower_;
  const std::shared_ptr<FailCount> count_;
};

class FailingListener final : public Listener {
 public:
  FailingListener(std::unique_ptr<Listener> lower, std::shared_ptr<FailCount> count)
      : lower_(std::move(lower)), count_(std::move(count)) {}
  void start(OnIncoming on_incoming) override {
    lower_->start([count = count_, on_incoming = std::move(on_incoming)](std::unique_ptr<Incoming> incoming) {
      if (count->fails_now()) return;
      on_incoming(std::make_unique<FailingIncoming>(std::move(incoming), count));
    });
  }
  void pause(bool paused) override { lower_->pause(paused); }
  const Address& address() const noexcept override { return lower_->address(); }
  std::vector<int> inheritable_fds() const override { return lower_->inheritable_fds(); }
  void take_back() override { lower_->take_back(); }
  void finish(std::move_only_function<void()> done) override { lower_->finish(std::move(done)); }

 private:
  const std::unique_ptr<Listener> lower_;
  const std::shared_ptr<FailCount> count_;
};

}  // namespace

bool FailingStream::fails() {
  if (failed_) return true;
  if (!count_->fails_now()) return false;
  failed_ = true;
  lower_->close({CloseReason::By::system, injected()}, {});
  return true;
}

Pressure FailingStream::write(Chain&& chain, bool message_end) {
  if (!fails()) return lower_->write(std::move(chain), message_end);
  Chain(std::move(chain)).clear();
  return Pressure::none;
}
void FailingStream::shutdown_write() {
  if (!fails()) lower_->shutdown_write();
}
std::size_t FailingStream::on_bytes(MutableBytes bytes, bool message_end) {
  return fails() ? 0 : events_->on_bytes(bytes, message_end);
}
void FailingStream::on_writable() {
  if (!fails()) events_->on_writable();
}
void FailingStream::on_read_end() {
  if (!fails()) events_->on_read_end();
}

std::unique_ptr<Dial> FailingTransport::dial(const Transports& all, Loop& loop, const Address& address,
                                             const DialOptions& options, OnDialed on_done) const {
  if (count_->fails_now()) return failed_dial(loop, injected(), std::move(on_done));
  return lower_->dial(all, loop, address, options,
                      [count = count_, on_done = std::move(on_done)](Result<std::unique_ptr<Stream>> stream) mutable {
                        if (stream) stream = std::make_unique<FailingStream>(*std::move(stream), count);
                        on_done(std::move(stream));
                      });
}

Result<std::unique_ptr<Listener>> FailingTransport::listen(const Transports& all, Loop& loop, const Address& address,
                                                           const ListenOptions& options) const {
  if (count_->fails_now()) return fail(injected());
  WAYPORT_TRY_ASSIGN(auto lower, lower_->listen(all, loop, address, options));
  return std::make_unique<FailingListener>(std::move(lower), count_);
}

}  // namespace wayport::transport
