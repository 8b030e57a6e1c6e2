#include "wayport/rpc/discovery/testing/tcp_relay.h"

#include <utility>

namespace wayport::rpc {

namespace asio = boost::asio;

TcpRelay::TcpRelay(Loop& loop, const transport::Transports& transports, std::string to)
    : loop_(loop), transports_(transports), to_(std::move(to)), tasks_(loop) {
  Result<std::unique_ptr<transport::Listener>> listener =
      transports_.listen(loop_, transport::Address::of("tcp", "127.0.0.1", 0), {});
  WAYPORT_ASSERT(listener, "a port of loopback is free");
  listener_.emplace(*std::move(listener));
  static_cast<void>(tasks_.spawn(accept(this)));
}

TcpRelay::~TcpRelay() {
  tasks_.cancel();
  cut();
}

std::string TcpRelay::address() const { return "127.0.0.1:" + std::to_string(listener_->address().port()); }

void TcpRelay::set_mode(Mode mode, std::string greeting) {
  mode_ = mode;
  greeting_ = std::move(greeting);
}

void TcpRelay::cut() {
  std::list<std::weak_ptr<Pair>> all;
  all.swap(pairs_);
  for (const std::weak_ptr<Pair>& weak : all) {
    if (const std::shared_ptr<Pair> pair = weak.lock()) {
      pair->in.reset();
      pair->out.reset();
    }
  }
}

asio::awaitable<void> TcpRelay::accept(TcpRelay* self) {
  for (;;) {
    Result<std::unique_ptr<transport::Stream>> stream = co_await self->listener_->accept();
    if (!stream) co_return;
    ++self->accepted_;
    if (self->mode_ == Mode::refuse) continue;
    const auto pair = std::make_shared<Pair>();
    pair->in.emplace(*std::move(stream));
    self->pairs_.push_back(pair);
    const bool silent = self->mode_ == Mode::silent;
    static_cast<void>(self->tasks_.spawn(silent ? swallow(pair, self->greeting_) : connect(self, pair)));
  }
}

asio::awaitable<void> TcpRelay::swallow(std::shared_ptr<Pair> pair, std::string greeting) {
  while (pair->in) {
    const Result<std::string> bytes = co_await pair->in->read_some();
    if (!bytes || bytes->empty()) break;
    if (pair->in && !greeting.empty()) static_cast<void>(co_await pair->in->write(std::exchange(greeting, {})));
  }
}

asio::awaitable<void> TcpRelay::connect(TcpRelay* self, std::shared_ptr<Pair> pair) {
  const Result<transport::Address> to = transport::Address::parse("tcp://" + self->to_);
  WAYPORT_ASSERT(to, "the relay's target is an address");
  Result<std::unique_ptr<transport::Stream>> stream = co_await transport::dial(self->transports_, self->loop_, *to);
  if (!stream || !pair->in) {
    pair->in.reset();
    co_return;
  }
  pair->out.emplace(*std::move(stream));
  static_cast<void>(self->tasks_.spawn(pump(pair, true)));
  static_cast<void>(self->tasks_.spawn(pump(pair, false)));
}

asio::awaitable<void> TcpRelay::pump(std::shared_ptr<Pair> pair, bool forward) {
  std::optional<transport::CoStream>& from = forward ? pair->in : pair->out;
  std::optional<transport::CoStream>& to = forward ? pair->out : pair->in;
  while (from) {
    Result<std::string> bytes = co_await from->read_some();
    if (!bytes || bytes->empty() || !to) break;
    if (const Result<void> wrote = co_await to->write(*std::move(bytes)); !wrote) break;
  }
  pair->in.reset();
  pair->out.reset();
}

}  // namespace wayport::rpc
