#include "wayport/transport/link/channel_co.h"

#include <optional>
#include <utility>

#include "wayport/base/co.h"
#include "wayport/transport/drop_watch.h"

namespace wayport::link {

// Read only while somebody awaits a message.
struct CoChannel::State final : VirtualEvents, transport::DropWatched {
  explicit State(std::unique_ptr<VirtualConnection> which) : connection(std::move(which)) {}

  void on_message(MutableBytes message) override {
    connection->read(false);
    Completion<std::string> done = std::move(receiver);
    if (done) done(std::string(as_text(message)));  // resumes the coroutine, which may drop us
  }
  void on_writable() override {
    if (Completion<void> done = std::move(sender)) done({});
  }
  void on_closed(const CloseReason& reason) override {
    closed = reason.error;
    transport::DropWatch watch(*this);
    if (Completion<std::string> done = std::move(receiver)) done(fail(reason.error));
    if (watch.dropped()) return;
    if (Completion<void> done = std::move(sender)) done(fail(reason.error));
    if (watch.dropped()) return;
    if (Completion<void> done = std::move(closer)) done({});
  }

  std::unique_ptr<VirtualConnection> connection;
  std::optional<Error> closed;
  Completion<std::string> receiver;
  Completion<void> sender;
  Completion<void> closer;
};

CoChannel::CoChannel(std::unique_ptr<VirtualConnection> connection)
    : state_(std::make_unique<State>(std::move(connection))) {
  state_->connection->start(*state_);
  state_->connection->read(false);
}
CoChannel::CoChannel(CoChannel&&) noexcept = default;
CoChannel& CoChannel::operator=(CoChannel&&) noexcept = default;
CoChannel::~CoChannel() = default;

VirtualConnection& CoChannel::connection() noexcept { return *state_->connection; }

asio::awaitable<Result<std::string>> CoChannel::receive() {
  State& state = *state_;
  WAYPORT_ASSERT(!state.receiver, "two receives of one channel are awaited");
  if (state.closed) co_return fail(*state.closed);
  co_return co_await async_callback<std::string>([&state](Completion<std::string> done) {
    state.receiver = std::move(done);
    state.connection->read(true);
    return [&state] {
      const Completion<std::string> dropped = std::move(state.receiver);
      state.connection->read(false);
    };
  });
}

asio::awaitable<Result<void>> CoChannel::send(std::string message) {
  Chain chain;
  chain.append(std::move(message));
  return send_chain(std::move(chain));
}

asio::awaitable<Result<void>> CoChannel::send_chain(Chain message) {
  State& state = *state_;
  WAYPORT_ASSERT(!state.sender, "two sends of one channel are awaited");
  if (state.closed) co_return fail(*state.closed);
  const std::size_t size = message.size();
  if (size <= state.connection->message_bytes_max()) {
    while (!state.connection->has_room(size)) {
      Result<void> room = co_await async_callback<void>([&state](Completion<void> done) {
        state.sender = std::move(done);
        return [&state] { const Completion<void> dropped = std::move(state.sender); };
      });
      if (!room) co_return room;
    }
  }
  const Result<Pressure> sent = state.connection->send(std::move(message));
  if (!sent) co_return fail(sent.error());
  co_return Result<void>();
}

asio::awaitable<Result<void>> CoChannel::close(Linger linger) {
  State& state = *state_;
  if (state.closed) co_return Result<void>();
  co_return co_await async_callback<void>([&state, linger](Completion<void> done) {
    state.closer = std::move(done);
    state.connection->close(CloseReason::local(ErrorCode::local_closed, "closed here"), linger);
    return [&state] { const Completion<void> dropped = std::move(state.closer); };
  });
}

asio::awaitable<Result<CoChannel>> dial(Endpoint& endpoint, std::uint32_t remote, Duration timeout) {
  std::unique_ptr<VirtualDial> dialing;
  Result<std::unique_ptr<VirtualConnection>> made = co_await async_callback<std::unique_ptr<VirtualConnection>>(
      [&](Completion<std::unique_ptr<VirtualConnection>> done) {
        dialing = endpoint.dial(remote, timeout,
                                [moved = std::move(done)](Result<std::unique_ptr<VirtualConnection>> result) mutable {
                                  moved(std::move(result));
                                });
        return [&dialing] { dialing.reset(); };
      });
  if (!made) co_return fail(made.error());
  co_return CoChannel(*std::move(made));
}

}  // namespace wayport::link
