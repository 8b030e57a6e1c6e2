#include "wayport/transport/stream_co.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "wayport/base/co.h"
#include "wayport/transport/drop_watch.h"

namespace wayport::transport {

// --- CoStream ---

// The stream is read only while somebody awaits bytes, and only what is awaited is consumed: the rest stays with it.
struct CoStream::State final : StreamEvents, DropWatched, std::enable_shared_from_this<State> {
  explicit State(std::unique_ptr<Stream> which) : stream(std::move(which)) {}

  std::size_t on_bytes(MutableBytes bytes, bool) override {
    DropWatch watch(*this);
    const std::size_t all = bytes.size();
    while (reader && !bytes.empty()) {
      const std::size_t taken = std::min(bytes.size(), wanted - collected.size());
      collected += as_text(bytes.first(taken));
      bytes = bytes.subspan(taken);
      if (!exactly || collected.size() == wanted) {
        end_read(std::exchange(collected, {}));  // resumes the coroutine, which may read again, or drop us
        if (watch.dropped()) return all;
      }
    }
    if (!reader && !closed && stream) stream->read(false);
    return all - bytes.size();
  }
  void on_writable() override {
    if (Completion<void> done = std::move(writer)) done({});
  }
  void on_read_end() override {
    ended = true;
    if (reader) tell_end();
  }
  void on_closed(const CloseReason& reason) override {
    closed = reason.error;
    DropWatch watch(*this);
    if (reader) end_read(fail(reason.error));
    if (watch.dropped()) return;
    if (Completion<void> done = std::move(writer)) done(fail(reason.error));
    if (watch.dropped()) return;
    if (Completion<void> done = std::move(closer)) done({});
  }

  void tell_end() {
    const std::size_t got = collected.size();
    if (exactly) {
      end_read(fail(ErrorCode::peer_closed,
                    "the stream ended after " + std::to_string(got) + " of " + std::to_string(wanted) + " bytes"));
    } else {
      end_read(std::string());
    }
  }
  void end_read(Result<std::string> result) {
    collected.clear();
    Completion<std::string> done = std::move(reader);
    done(std::move(result));
  }

  asio::awaitable<Result<std::string>> read(std::size_t size, bool all_of_it) {
    WAYPORT_ASSERT(!reader, "two reads of one stream are awaited");
    if (closed) co_return fail(*closed);
    if (size == 0) co_return std::string();
    wanted = size;
    exactly = all_of_it;
    co_return co_await async_callback<std::string>([this](Completion<std::string> done) {
      reader = std::move(done);
      if (ended) {
        tell_end();
      } else {
        stream->read(true);
      }
      return [weak = weak_from_this()] {
        const auto alive = weak.lock();
        if (!alive) return;  // the CoStream was dropped meanwhile; the completion is on its way
        // What a canceled read_exactly() had collected is lost with it.
        alive->collected.clear();
        const Completion<std::string> dropped = std::move(alive->reader);
      };
    });
  }

  std::unique_ptr<Stream> stream;
  std::optional<Error> closed;
  bool ended = false;
  Completion<std::string> reader;
  std::size_t wanted = 0;
  bool exactly = false;
  std::string collected;
  Completion<void> writer;
  Completion<void> closer;
};

CoStream::CoStream(std::unique_ptr<Stream> stream, bool started) : state_(std::make_shared<State>(std::move(stream))) {
  if (started) {
    state_->stream->replace_events(*state_);
  } else {
    state_->stream->start(*state_);
  }
  state_->stream->read(false);
}

CoStream::CoStream(CoStream&&) noexcept = default;
CoStream& CoStream::operator=(CoStream&&) noexcept = default;
CoStream::~CoStream() = default;

asio::awaitable<Result<std::string>> CoStream::read_some(std::size_t bytes_max) {
  return state_->read(bytes_max, false);
}
asio::awaitable<Result<std::string>> CoStream::read_exactly(std::size_t size) { return state_->read(size, true); }

asio::awaitable<Result<void>> CoStream::write(Chain bytes) {
  State& state = *state_;
  WAYPORT_ASSERT(!state.writer, "two writes of one stream are awaited");
  if (state.closed) co_return fail(*state.closed);
  if (state.stream->write(std::move(bytes)) == Pressure::none) co_return Result<void>();
  co_return co_await async_callback<void>([&state](Completion<void> done) {
    state.writer = std::move(done);
    return [weak = state.weak_from_this()] {
      if (const auto alive = weak.lock()) const Completion<void> dropped = std::move(alive->writer);
    };
  });
}

asio::awaitable<Result<void>> CoStream::write(std::string bytes) {
  Chain chain;
  chain.append(std::move(bytes));
  return write(std::move(chain));
}

asio::awaitable<Result<void>> CoStream::flush() {
  State& state = *state_;
  while (!state.closed && state.stream->queued() != 0) {
    if (Result<void> slept = co_await sleep_for(loop(), std::chrono::milliseconds(1)); !slept) co_return slept;
  }
  if (state.closed) co_return fail(*state.closed);
  co_return Result<void>();
}

void CoStream::shutdown_write() { state_->stream->shutdown_write(); }

asio::awaitable<Result<void>> CoStream::close(Linger linger) {
  State& state = *state_;
  if (state.closed) co_return Result<void>();
  state.stream->close(CloseReason::local(ErrorCode::local_closed, "closed by this side"), linger);
  co_return co_await async_callback<void>([&state](Completion<void> done) {
    state.closer = std::move(done);
    return [weak = state.weak_from_this()] {
      if (const auto alive = weak.lock()) const Completion<void> dropped = std::move(alive->closer);
    };
  });
}

const PeerInfo& CoStream::peer() const noexcept { return state_->stream->peer(); }
Loop& CoStream::loop() const noexcept { return state_->stream->loop(); }

std::unique_ptr<Stream> CoStream::release() {
  WAYPORT_ASSERT(!state_->reader && !state_->writer && !state_->closer, "something is awaited of this stream");
  if (state_->closed) return nullptr;
  state_->stream->read(false);
  return std::move(state_->stream);
}

// --- dialing ---

asio::awaitable<Result<std::unique_ptr<Stream>>> dial(const Transports& all, Loop& loop, Address address,
                                                      DialOptions options) {
  std::unique_ptr<Dial> dialing;
  co_return co_await async_callback<std::unique_ptr<Stream>>([&](Completion<std::unique_ptr<Stream>> done) {
    dialing =
        all.dial(loop, address, options,
                 [done = std::move(done)](Result<std::unique_ptr<Stream>> stream) mutable { done(std::move(stream)); });
    return [&dialing] { dialing.reset(); };
  });
}

// --- CoListener ---

struct CoListener::State : std::enable_shared_from_this<State> {
  std::unique_ptr<Listener> listener;
  std::deque<std::unique_ptr<Stream>> waiting;
  Completion<std::unique_ptr<Stream>> acceptor;
};

CoListener::CoListener(std::unique_ptr<Listener> listener) : state_(std::make_shared<State>()) {
  State& state = *state_;
  state.listener = std::move(listener);
  state.listener->start([&state](std::unique_ptr<Incoming> incoming) {
    if (Completion<std::unique_ptr<Stream>> done = std::move(state.acceptor)) return done(incoming->accept());
    state.waiting.push_back(incoming->accept());
    if (state.waiting.size() >= kWaitingMax) state.listener->pause(true);
  });
}

CoListener::CoListener(CoListener&&) noexcept = default;
CoListener& CoListener::operator=(CoListener&&) noexcept = default;
CoListener::~CoListener() = default;

asio::awaitable<Result<std::unique_ptr<Stream>>> CoListener::accept() {
  State& state = *state_;
  WAYPORT_ASSERT(!state.acceptor, "two accepts of one listener are awaited");
  if (!state.waiting.empty()) {
    std::unique_ptr<Stream> stream = std::move(state.waiting.front());
    state.waiting.pop_front();
    if (state.waiting.size() + 1 == kWaitingMax) state.listener->pause(false);
    co_return stream;
  }
  co_return co_await async_callback<std::unique_ptr<Stream>>([&state](Completion<std::unique_ptr<Stream>> done) {
    state.acceptor = std::move(done);
    return [weak = state.weak_from_this()] {
      if (const auto alive = weak.lock())
        const Completion<std::unique_ptr<Stream>> dropped = std::move(alive->acceptor);
    };
  });
}

const Address& CoListener::address() const noexcept { return state_->listener->address(); }

}  // namespace wayport::transport
