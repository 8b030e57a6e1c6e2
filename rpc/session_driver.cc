#include "wayport/rpc/session_driver.h"

#include <algorithm>

#include "wayport/rpc/guard.h"

namespace wayport::rpc {

std::shared_ptr<SessionDriver> SessionDriver::create(std::unique_ptr<transport::Stream> stream,
                                                     std::shared_ptr<LoopEnvironment> environment,
                                                     std::shared_ptr<const SessionOptions> options, std::string id) {
  // The last handle may go on any thread, but timers and turn-end nodes belong to the loop.
  return {new SessionDriver(std::move(stream), std::move(environment), std::move(options), std::move(id)),
          [](SessionDriver* driver) {
            Loop& loop = driver->loop();
            if (loop.in_loop_thread()) {
              delete driver;
            } else {
              struct Deleter {
                void operator()(SessionDriver* p) const { delete p; }
              };
              loop.post([owned = std::unique_ptr<SessionDriver, Deleter>(driver)] {});
            }
          }};
}

SessionDriver::SessionDriver(std::unique_ptr<transport::Stream> stream, std::shared_ptr<LoopEnvironment> environment,
                             std::shared_ptr<const SessionOptions> options, std::string id)
    : environment_(std::move(environment)),
      stream_(std::move(stream)),
      peer_(&stream_->peer()),
      core_(*this, environment_->session, std::move(options)),
      id_(std::move(id)) {}

void SessionDriver::start(bool started) {
  core_.handle_open();
  if (!started) return stream_->start(*this);
  stream_->replace_events(*this);
  stream_->read(true);
}

std::string SessionDriver::id() const {
  const std::lock_guard lock(mutex_);
  return id_;
}

void SessionDriver::set_id(std::string id) {
  const std::lock_guard lock(mutex_);
  id_ = std::move(id);
}

std::optional<CloseReason> SessionDriver::close_reason() const {
  const std::lock_guard lock(mutex_);
  return reason_ ? std::optional(*reason_) : std::nullopt;
}

void SessionDriver::on_closed(std::move_only_function<void(const CloseReason&)> callback) {
  closed_callbacks_.push_back(std::move(callback));
  if (ended_) flush_soon();
}

void SessionDriver::flush_soon() {
  if (ended_ && !until_turn_end_) until_turn_end_ = shared_from_this();
  if (!linked()) loop().at_turn_end(*this);
}

void SessionDriver::set_reading(bool on) {
  if (!ended_) stream_->read(on);
}

void SessionDriver::close_stream(const CloseReason& reason, Duration linger) {
  healthy_.store(false, std::memory_order_release);
  close_ = std::make_unique<Close>(Close{reason, linger});
  flush_soon();
}

std::size_t SessionDriver::on_bytes(MutableBytes bytes, bool) { return core_.handle_bytes(bytes); }

void SessionDriver::on_writable() {
  stream_full_ = false;
  core_.handle_writable();
}

void SessionDriver::on_read_end() {
  healthy_.store(false, std::memory_order_release);
  core_.handle_read_end();
}

void SessionDriver::begin_close(CloseReason reason) {
  healthy_.store(false, std::memory_order_release);
  core_.close(std::move(reason));
}

void SessionDriver::on_closed(const CloseReason& reason) {
  const std::shared_ptr<SessionDriver> self = shared_from_this();
  healthy_.store(false, std::memory_order_release);
  ended_ = true;
  core_.handle_closed(reason);
  {
    const std::lock_guard lock(mutex_);
    reason_ = std::make_unique<CloseReason>(core_.close_reason());
  }
  flush_soon();
  environment_->registry.ended(*this);
}

void SessionDriver::on_turn_end() {
  const std::shared_ptr<SessionDriver> self = shared_from_this();
  until_turn_end_.reset();
  Chain output = core_.flush();
  if (ended_) {
    // Callbacks may register more.
    std::vector<std::move_only_function<void(const CloseReason&)>> callbacks;
    callbacks.swap(closed_callbacks_);
    for (auto& callback : callbacks) {
      guarded(environment_->session.log, "on_closed", [&] { callback(core_.close_reason()); });
    }
    if (core_.running_handlers() == 0) environment_->registry.released(*this);
    return;
  }
  if (!output.empty()) stream_full_ = stream_->write(std::move(output)) == transport::Pressure::high;
  core_.handle_written(stream_full_);
  if (close_) {
    const std::unique_ptr<Close> close = std::move(close_);
    stream_->close(close->reason, {close->linger});
  }
}

}  // namespace wayport::rpc
