#include "wayport/transport/link/server_line.h"

#include <algorithm>

namespace wayport::link {

ServerLine::ServerLine(Loop& loop, Where where, std::shared_ptr<LinkCounters> counters, Log& log)
    : loop_(loop),
      where_(std::move(where)),
      counters_(std::move(counters)),
      log_(&log),
      random_(std::random_device()()) {}
ServerLine::~ServerLine() = default;

void ServerLine::serve(OnConnected on_connected, Log* log) {
  on_connected_ = std::move(on_connected);
  if (log) log_ = log;
  if (!endpoint_ && !dial_) connect();
}

void ServerLine::stop_serving() {
  on_connected_ = nullptr;
  loop_.disarm(*this);
  endpoint_.reset();
  if (waiters_.empty()) {
    dial_.reset();
  } else if (!dial_) {
    connect();
  }
}

void ServerLine::wait(Waiter& waiter) {
  if (endpoint_) return waiter.on_line(endpoint_.get());
  waiters_.push_back(waiter);
  if (!dial_ && !armed()) connect();
}

void ServerLine::connect() {
  transport::DialOptions options;
  options.timeout = kAttemptTimeout;
  options.stream = where_.stream;
  dial_ = where_.all.dial(loop_, where_.link.below, options, [this](Result<std::unique_ptr<Stream>> stream) {
    const std::unique_ptr<transport::Dial> done = std::move(dial_);
    if (!stream) return handle_failure(stream.error());
    Result<EndpointIdentity> identity = where_.link.identity();
    if (!identity) return handle_failure(identity.error());
    endpoint_ = std::make_unique<Endpoint>(*std::move(stream), *std::move(identity), where_.link.options,
                                           static_cast<EndpointEvents&>(*this));
    // A server may dial before it knows that it is believed.
    while (Waiter* waiter = waiters_.pop_front()) waiter->on_line(endpoint_.get());
  });
}

void ServerLine::on_ready() {
  failures_ = 0;
  counters_->server_connections.fetch_add(1, std::memory_order_relaxed);
  log_->write(log_limit_, loop_.now(), LogLevel::info, "link server connected", {{"address", where_.url}});
}

void ServerLine::on_connected(std::unique_ptr<VirtualConnection> connection) {
  if (on_connected_) on_connected_(std::move(connection));
}

void ServerLine::on_closed(const CloseReason& reason) {
  endpoint_.reset();
  handle_failure(reason.error);
}

void ServerLine::handle_failure(const Error& error) {
  counters_->server_failures.fetch_add(1, std::memory_order_relaxed);
  // Each waiter may have others dropped.
  List<Waiter> failed;
  failed.splice_back(waiters_);
  if (on_connected_) {
    const unsigned doublings = std::min(failures_++, 10u);
    const Duration most = std::min<Duration>(kBackoffMax, kBackoffFirst * (1u << doublings));
    const Duration wait = most / 2 + most / 2 * (random_() % 1024) / 1024;
    log_->write(log_limit_, loop_.now(), LogLevel::warning, "link server not connected",
                {{"address", where_.url}, {"error", error}, {"again_in", wait}});
    loop_.arm(*this, after(loop_.now(), wait));
  }
  while (Waiter* waiter = failed.pop_front()) waiter->on_line(fail(error));
}

}  // namespace wayport::link
