#include "wayport/tools/wayport/pipe.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "wayport/base/chain.h"
#include "wayport/base/socket.h"
#include "wayport/transport/default_transports.h"

namespace wayport::tools {
namespace {

using transport::Pressure;
using transport::Stream;

constexpr std::size_t kInputBytesMax = 64 * 1024;     // read, and not yet taken by the stream
constexpr std::size_t kOutputHighBytes = 256 * 1024;  // the stream is not read while so much waits for standard output
constexpr std::size_t kOutputLowBytes = 64 * 1024;
constexpr Duration kFarewell = std::chrono::seconds(1);  // what --quiet leaves a transport to say that it ends

// What passes between the loop and the thread that stands at the descriptors.
class Exchange {
 public:
  Exchange() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    WAYPORT_ASSERT(static_cast<bool>(wake_), "no descriptor for an eventfd");
  }

  struct State {
    bool may_read = true;      // the stream takes another piece of input
    Chain output{};            // from the peer, not yet written
    bool closed = false;       // nothing is added to `output` any more
    bool input_ended = false;  // standard input is at its end
    bool held_up = false;      // the stream is not read
    bool stop = false;
    std::optional<Error> error{};  // the first one
  };
  // Changes the state, and wakes the thread at the descriptors.
  template <class F>
  auto update(F change) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t one = 1;
    // Full means that it is awake already.
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
    return change(state_);
  }
  template <class F>
  auto look(F at) {
    const std::lock_guard lock(mutex_);
    return at(state_);
  }
  void fail(Error error) {
    update([&](State& state) {
      if (!state.error) state.error = std::move(error);
      state.stop = true;
    });
  }
  int wake_fd() const noexcept { return wake_.get(); }
  void awake() const {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t read = ::read(wake_.get(), &count, sizeof count);
  }

 private:
  Fd wake_;
  std::mutex mutex_;
  State state_;
};
using State = Exchange::State;

// The stream's side, on its loop.
class Connection final : private transport::StreamEvents, private Timer {
 public:
  Connection(Loop& loop, Exchange& exchange, Duration quiet) : loop_(loop), exchange_(exchange), quiet_(quiet) {}
  ~Connection() { loop_.disarm(*this); }

  void dial(const transport::Transports& all, const transport::Address& address, Duration timeout) {
    dial_ = all.dial(loop_, address, {.timeout = timeout}, [this](Result<std::unique_ptr<Stream>> dialed) {
      if (!dialed) {
        exchange_.fail(std::move(dialed.error()));
        return;
      }
      stream_ = *std::move(dialed);
      stream_->start(*this);
      if (!early_.empty()) write(std::exchange(early_, Chain()));
      if (ended_) end();
    });
  }
  void write(Chain input) {
    if (!stream_) {
      early_ = std::move(input);
      return;
    }
    if (stream_->write(std::move(input)) == Pressure::none) on_writable();
  }
  void end() {
    ended_ = true;
    if (!stream_) return;
    // One that would close with our end has an answer to wait for.
    if (quiet_ == Duration::zero() || stream_->half_closes()) stream_->shutdown_write();
    wait_for_quiet();
  }
  void read_on() {
    if (stream_) stream_->read(true);
  }

 private:
  std::size_t on_bytes(MutableBytes bytes, bool) override {
    const bool hold_up = exchange_.update([&](State& state) {
      state.output.append(bytes);
      return state.held_up = state.output.size() >= kOutputHighBytes;
    });
    if (hold_up) stream_->read(false);
    if (ended_) wait_for_quiet();
    return bytes.size();
  }
  void on_writable() override {
    exchange_.update([](State& state) { state.may_read = true; });
  }
  void on_read_end() override { peer_ended_ = true; }
  void on_closed(const CloseReason& reason) override {
    loop_.disarm(*this);
    const bool in_order = quiet_over_ || (peer_ended_ && ended_ && reason.error.code == ErrorCode::peer_closed);
    exchange_.update([&](State& state) {
      state.closed = true;  // what had come is still written
      if (!in_order && !state.error) state.error = reason.error;
    });
  }
  void wait_for_quiet() {
    if (quiet_ > Duration::zero()) loop_.arm(*this, after(loop_.now(), quiet_));
  }
  void on_timer() override {
    // Who has not sent everything, or does not read, does not know that it is quiet.
    const bool held_up = exchange_.look([](const State& state) { return state.held_up; });
    if (held_up || stream_->queued() > 0) return wait_for_quiet();
    quiet_over_ = true;
    stream_->close(CloseReason::local(ErrorCode::local_closed, "quiet after the input's end"), {kFarewell});
  }

  Loop& loop_;
  Exchange& exchange_;
  const Duration quiet_;
  std::unique_ptr<transport::Dial> dial_;
  std::unique_ptr<Stream> stream_;
  Chain early_;         // read before the stream was there
  bool ended_ = false;  // the input
  bool peer_ended_ = false;
  bool quiet_over_ = false;
};

// A write to a pipe or terminal that poll(2) calls writable does not wait, if it is at most this long.
std::size_t write_bytes_max(int out) {
  struct stat status;
  const bool waits = ::fstat(out, &status) != 0 || !S_ISREG(status.st_mode);
  return waits ? PIPE_BUF : kOutputHighBytes;
}

// Stands at the descriptors until both directions have ended, or something failed.
class Pump {
 public:
  Pump(Loop& loop, Connection& connection, Exchange& exchange, int in, int out)
      : loop_(loop),
        connection_(connection),
        exchange_(exchange),
        in_(in),
        out_(out),
        write_bytes_max_(write_bytes_max(out)),
        buffer_(kInputBytesMax) {}

  void run() {
    // A reader of ours that is gone is an error like others.
    sigset_t broken_pipe;
    ::sigemptyset(&broken_pipe);
    ::sigaddset(&broken_pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    for (;;) {
      enum class Want : std::uint8_t { end, wait };
      bool read = false, write = !writing_.empty();
      const Want want = exchange_.look([&](State& state) {
        if (state.stop) return Want::end;
        if (!write) {
          writing_ = std::exchange(state.output, Chain());
          write = !writing_.empty();
        }
        if (!write && state.closed) return Want::end;
        read = state.may_read && !state.input_ended && !state.closed;
        return Want::wait;
      });
      if (want == Want::end) return;
      std::array<pollfd, 3> polled{
          {{exchange_.wake_fd(), POLLIN, 0}, {read ? in_ : -1, POLLIN, 0}, {write ? out_ : -1, POLLOUT, 0}}};
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
        return exchange_.fail(system_error(errno, "poll"));
      }
      if (polled[0].revents != 0) exchange_.awake();
      if (polled[1].revents != 0) read_input();
      if (polled[2].revents != 0) write_output();
    }
  }

 private:
  void read_input() {
    const ssize_t got = ::read(in_, buffer_.data(), buffer_.size());
    if (got < 0) {
      if (errno != EINTR && errno != EAGAIN) exchange_.fail(system_error(errno, "standard input"));
      return;
    }
    if (got == 0) {
      exchange_.look([](State& state) { state.input_ended = true; });
      return loop_.post([&connection = connection_] { connection.end(); });
    }
    exchange_.look([](State& state) { state.may_read = false; });
    Chain input;
    input.append(std::string_view(buffer_.data(), static_cast<std::size_t>(got)));
    loop_.post([&connection = connection_, piece = std::move(input)]() mutable { connection.write(std::move(piece)); });
  }
  void write_output() {
    Bytes piece = writing_.front();
    piece = piece.first(std::min(piece.size(), write_bytes_max_));
    const ssize_t put = ::write(out_, piece.data(), piece.size());
    if (put < 0) {
      if (errno != EINTR && errno != EAGAIN) exchange_.fail(system_error(errno, "standard output"));
      return;
    }
    writing_.consume(static_cast<std::size_t>(put));
    const bool read_on = exchange_.look([&](State& state) {
      return state.held_up && writing_.size() + state.output.size() <= kOutputLowBytes &&
             std::exchange(state.held_up, false);
    });
    if (read_on) loop_.post([&connection = connection_] { connection.read_on(); });
  }

  Loop& loop_;
  Connection& connection_;
  Exchange& exchange_;
  const int in_;
  const int out_;
  const std::size_t write_bytes_max_;
  std::vector<char> buffer_;
  Chain writing_;
};

void run_on(Loop& loop, std::move_only_function<void()> work) {
  std::promise<void> done;
  loop.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace

int pipe(Runtime& runtime, const PipeOptions& options, int in, int out, std::ostream& err, Interrupt& interrupt) {
  const Result<transport::Address> address = transport::Address::parse(options.url);
  if (!address) {
    err << "error: " << address.error().to_string() << "\n";
    return kExitFailure;
  }
  const transport::Transports all = transport::default_transports(&runtime.log());
  Loop& loop = runtime.loop(0);
  Exchange exchange;
  auto connection = std::make_unique<Connection>(loop, exchange, options.quiet);
  Pump pump(loop, *connection, exchange, in, out);
  std::atomic<bool> ended = false;
  run_on(loop, [&] { connection->dial(all, *address, options.timeout); });
  std::thread thread([&] {
    pump.run();
    // Behind everything that it posted.
    run_on(loop, [&] { connection.reset(); });
    ended = true;
    interrupt.wake();
  });
  interrupt.wait([&] { return ended.load(); });
  if (!ended) exchange.fail({ErrorCode::canceled, "interrupted before both directions had ended", {}});
  thread.join();
  const std::optional<Error> error = exchange.look([](const State& state) { return state.error; });
  if (!error) return kExitSuccess;
  const std::string place = address->to_log();
  err << "error: " << place.substr(0, place.find('?')) << ": " << error->to_string() << "\n";
  return kExitFailure;
}

}  // namespace wayport::tools
