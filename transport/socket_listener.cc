#include "wayport/transport/socket_listener.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "wayport/transport/fd_stream.h"
#include "wayport/transport/sockets.h"

namespace wayport::transport {
namespace {

constexpr Duration kBackoffMin = std::chrono::milliseconds(50);
constexpr Duration kBackoffMax = std::chrono::seconds(1);

Fd open_reserve() { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

class FdIncoming final : public Incoming {
 public:
  FdIncoming(Loop& loop, Fd fd, PeerInfo peer, const StreamOptions& options)
      : loop_(loop), fd_(std::move(fd)), peer_(std::move(peer)), options_(options) {}

  const PeerInfo& peer() const noexcept override { return peer_; }
  std::unique_ptr<Stream> accept() override {
    WAYPORT_ASSERT(fd_, "an incoming connection is accepted or rejected once");
    return make_fd_stream(loop_, std::move(fd_), std::move(peer_), options_);
  }
  void reject(const Error&) override { fd_.reset(); }

 private:
  Loop& loop_;
  Fd fd_;
  PeerInfo peer_;
  StreamOptions options_;
};

bool exhausted(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

}  // namespace

struct SocketListener::Shared {
  Shared(Loop& home, const ListenOptions& options, AdoptSocket how)
      : gate(home),
        adopt(std::move(how)),
        stream(options.stream),
        underway_max(options.handshakes_max),
        counters(options.counters) {}

  // On the connection's loop.
  void adopt_and_deliver(Loop& loop, Fd fd, const SocketAddress& remote) {
    Result<PeerInfo> peer = adopt(fd.get(), remote);
    if (!peer) return;  // the peer left before we came to it
    gate.deliver(std::make_unique<FdIncoming>(loop, std::move(fd), *std::move(peer), stream));
  }

  IncomingGate gate;
  const AdoptSocket adopt;
  const StreamOptions stream;
  const std::size_t underway_max;
  std::atomic<std::size_t> underway{0};  // on their way to other loops
  ListenerCounters* const counters;
};

SocketListener::SocketListener(Loop& loop, Fd fd, Address address, const ListenOptions& options, AdoptSocket adopt)
    : loop_(loop),
      backlog_(options.backlog),
      fd_(std::move(fd)),
      address_(std::move(address)),
      loops_(options.loops),
      log_(options.log ? options.log : &null_log()),
      shared_(std::make_shared<Shared>(loop, options, std::move(adopt))),
      reserve_(open_reserve()) {
  if (loops_.empty()) loops_.push_back(&loop_);
}

SocketListener::~SocketListener() {
  if (watched_) loop_.unwatch(fd_.get(), *this);
  shared_->gate.close();
}

void SocketListener::start(OnIncoming on_incoming) {
  WAYPORT_ASSERT(!started_, "a listener is started once");
  started_ = true;
  shared_->gate.open(std::move(on_incoming));
  update_watch();
}

void SocketListener::pause(bool paused) {
  paused_ = paused;
  update_watch();
}

std::vector<int> SocketListener::inheritable_fds() const {
  handed_over_ = true;
  return {fd_.get()};
}

// The hand-overs to other loops that may be under way when a listener finishes.
struct SocketListener::Finish {
  std::size_t loops = 0;
  std::move_only_function<void()> done;

  static void loop_is_done(const std::weak_ptr<Finish>& weak) {
    const std::shared_ptr<Finish> self = weak.lock();
    if (!self || --self->loops != 0) return;
    std::move_only_function<void()> done = std::move(self->done);
    done();  // may destroy the listener
  }
};

void SocketListener::finish(std::move_only_function<void()> done) {
  WAYPORT_ASSERT(!finish_, "a listener finishes once");
  finish_ = std::make_shared<Finish>(Finish{1, std::move(done)});
  const DropWatch watch(*this);
  // Closing the socket resets those who wait in its queue; a successor's copy keeps it.
  for (int i = 0; started_ && !handed_over_ && i <= backlog_; ++i) {
    if (!accept_one()) break;
    if (watch.dropped()) return;
  }
  loop_.disarm(*this);
  update_watch();
  fd_.reset();
  // Work posted to a loop runs in order: behind this one no hand-over is under way.
  Loop* const home = &loop_;
  for (Loop* const loop : loops_) {
    if (loop == home) continue;
    ++finish_->loops;
    loop->post([home, weak = std::weak_ptr(finish_)]() mutable {
      home->post([weak = std::move(weak)] { Finish::loop_is_done(weak); });
    });
  }
  home->post([weak = std::weak_ptr(finish_)] { Finish::loop_is_done(weak); });
}

void SocketListener::on_fd(std::uint32_t) {
  // A callback may destroy this listener.
  const DropWatch watch(*this);
  for (int i = 0; i < kAcceptsPerTurn && !paused_; ++i) {
    if (!accept_one() || watch.dropped()) return;
  }
}

bool SocketListener::accept_one() {
  const std::shared_ptr<Shared> shared = shared_;  // a callback may destroy this listener
  for (;;) {
    if (shared->underway.load(std::memory_order_relaxed) >= shared->underway_max) {
      rest(kBackoffMin);
      return false;
    }
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    Fd accepted(::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
      if (exhausted(errno)) {
        handle_exhaustion(errno);
        return false;
      }
      if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK || errno == EOPNOTSUPP || errno == EFAULT) {
        note(LogLevel::error, "accept failed", errno);  // not a listening socket any more: someone shut it down
        rest(kBackoffMax);
        return false;
      }
      continue;  // the connection failed while it waited (ECONNABORTED, EPERM, network errors): the next one
    }
    backoff_ = Duration::zero();
    if (shared->counters) shared->counters->accepted.fetch_add(1, std::memory_order_relaxed);
    hand_over(std::move(accepted), kernel_address(from, size));
    return true;  // `this` may be gone
  }
}

void SocketListener::hand_over(Fd fd, const SocketAddress& remote) {
  Loop& loop = *loops_[next_loop_];
  next_loop_ = (next_loop_ + 1) % loops_.size();
  if (&loop == &loop_) return shared_->adopt_and_deliver(loop, std::move(fd), remote);
  shared_->underway.fetch_add(1, std::memory_order_relaxed);
  loop.post([shared = shared_, &loop, fd = std::move(fd), remote]() mutable {
    shared->underway.fetch_sub(1, std::memory_order_relaxed);
    shared->adopt_and_deliver(loop, std::move(fd), remote);
  });
}

void SocketListener::handle_exhaustion(int error) {
  if (shared_->counters) shared_->counters->exhausted.fetch_add(1, std::memory_order_relaxed);
  note(LogLevel::warning, "accept failed, resting", error);
  if ((error == EMFILE || error == ENFILE) && reserve_) {
    // Whoever waits first learns at once that there is no place.
    reserve_.reset();
    Fd shed(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    shed.reset();
    reserve_ = open_reserve();
  }
  backoff_ = std::clamp(backoff_ * 2, kBackoffMin, kBackoffMax);
  rest(backoff_);
}

void SocketListener::rest(Duration how_long) {
  loop_.arm(*this, loop_.now() + how_long);
  update_watch();
}

void SocketListener::on_timer() {
  if (!reserve_) reserve_ = open_reserve();
  update_watch();
}

void SocketListener::update_watch() {
  const bool wanted = started_ && !paused_ && !finish_ && !armed();
  if (wanted == watched_) return;
  if (watched_) {
    loop_.unwatch(fd_.get(), *this);
    watched_ = false;
  } else if (const Result<void> done = loop_.watch(fd_.get(), Interest::read, *this); done) {
    watched_ = true;
  } else {
    log_->write(log_limit_, loop_.now(), LogLevel::error, "cannot watch the listening socket",
                {{"address", address_.to_log()}, {"error", done.error().to_string()}});
    loop_.arm(*this, loop_.now() + kBackoffMax);
  }
}

void SocketListener::note(LogLevel level, std::string_view event, int error) {
  log_->write(log_limit_, loop_.now(), level, event,
              {{"address", address_.to_log()}, {"error", std::generic_category().message(error)}});
}

}  // namespace wayport::transport
