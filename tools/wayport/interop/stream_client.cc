#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/co.h"
#include "wayport/base/timer_wheel.h"
#include "wayport/tools/wayport/interop/failure.h"
#include "wayport/tools/wayport/interop/generator.h"
#include "wayport/tools/wayport/interop/on_loop.h"
#include "wayport/tools/wayport/interop/stream_cases.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/stream_co.h"

namespace wayport::tools::interop {
namespace {

using boost::asio::awaitable;
using transport::Address;
using transport::Stream;

constexpr std::size_t kPieceBytes = 16 * 1024;  // one message, where there are messages
constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kSlowBytesPerTick = 64 * 1024 / 20;
constexpr Duration kSlowTick = std::chrono::milliseconds(50);
constexpr Duration kSlowTime = std::chrono::seconds(2);
constexpr Duration kLingerTime = std::chrono::seconds(1);  // kcp and snet do not tell their end

// Bytes that may be on their way: sent, and not come back.
std::uint64_t window_of(const Address& address) {
  // What a cut takes away comes again from the rings of both sides, 64 KiB each.
  if (has_layer(address, "snet")) return 32 * 1024;
  // A link has no flow control: what its ends do not read in time costs the connection.
  if (has_layer(address, "link")) return 256 * 1024;
  return std::numeric_limits<std::uint64_t>::max();
}

// Through a route over a websocket each message comes back with its length in front (spec/route.md 1).
bool gets_lengths(const Address& address) {
  return has_layer(address, "route") && (has_layer(address, "ws") || has_layer(address, "wss"));
}

// What comes back, against what was sent.
class Comparison {
 public:
  Comparison(std::uint32_t seed, std::uint64_t total, bool lengths)
      : expected_(seed), total_(total), lengths_(lengths) {}

  void sent(std::size_t bytes) {
    if (lengths_) messages_.push_back(static_cast<std::uint32_t>(bytes));
  }
  // Throws Failure at the first byte that is not the expected one.
  void check(Bytes came) {
    for (const std::byte byte : came) {
      if (lengths_ && left_ == 0) {
        check_length(byte);
        continue;
      }
      if (received_ == total_) throw Failure("expected " + std::to_string(total_) + " bytes back; came: more");
      const std::uint8_t expected = expected_.byte();
      if (byte != std::byte{expected}) wrong("byte " + std::to_string(received_), expected, byte);
      ++received_;
      if (lengths_) --left_;
    }
  }
  std::uint64_t received() const noexcept { return received_; }

 private:
  void check_length(std::byte byte) {
    expect(!messages_.empty(), std::to_string(received_) + " bytes back", "more");
    const auto expected = static_cast<std::uint8_t>(messages_.front() >> (8 * length_at_));
    if (byte != std::byte{expected}) wrong("the length in front of byte " + std::to_string(received_), expected, byte);
    if (++length_at_ < kLengthBytes) return;
    length_at_ = 0;
    left_ = messages_.front();
    messages_.pop_front();
  }
  [[noreturn]] static void wrong(const std::string& what, std::uint8_t expected, std::byte came) {
    throw Failure("expected " + what + " to be " + std::to_string(expected) +
                  "; came: " + std::to_string(std::to_integer<int>(came)));
  }

  Generator expected_;
  const std::uint64_t total_;
  const bool lengths_;
  std::deque<std::uint32_t> messages_;  // lengths of those that have not begun to come back
  std::size_t length_at_ = 0;
  std::uint32_t left_ = 0;
  std::uint64_t received_ = 0;
};

// The gateway was there, and ended the connection or said that it will. Codes do not tell that from a host that is not
// there, or has another certificate; words of transport/route do, and a status of HTTP.
bool was_refused_by_gateway(const Error& error) {
  return error.detail.contains("the gateway answered \"error\"") || error.detail.contains("the gateway closed the ") ||
         error.cause.category().name() == std::string_view("http");
}

// Sends, compares, and says once how it went. On one loop; lives in the frame of who awaits it.
class Transfer final : private transport::StreamEvents, private Timer {
 public:
  Transfer(Settings settings, std::shared_ptr<Progress> progress)
      : settings_(std::move(settings)),
        progress_(std::move(progress)),
        window_(window_of(settings_.address)),
        random_(settings_.seed),
        comparison_(settings_.seed, settings_.bytes, gets_lengths(settings_.address)) {}
  ~Transfer() {
    if (stream_) stream_->loop().disarm(*this);
  }

  awaitable<Result<void>> run(std::unique_ptr<Stream> stream) {
    stream_ = std::move(stream);
    co_return co_await async_callback<void>([this](Completion<void> done) {
      done_ = std::move(done);
      if (settings_.what == Case::stream_slow) begin_slowly();
      stream_->start(*this);
      fill();
      finish_if_complete();
    });
  }

 private:
  std::size_t on_bytes(MutableBytes bytes, bool) override {
    if (outcome_) return bytes.size();
    const std::size_t taken = slow_ ? std::min(bytes.size(), slow_budget_) : bytes.size();
    if (slow_) {
      slow_budget_ -= taken;
      if (slow_budget_ == 0) stream_->read(false);
    }
    const std::uint64_t before = comparison_.received();
    try {
      comparison_.check(bytes.first(taken));
    } catch (const Failure& failure) {
      finish(fail(ErrorCode::malformed, failure.what()));
      return taken;
    }
    if (before >> kProgressShift != comparison_.received() >> kProgressShift) tell_progress();
    fill();
    finish_if_complete();
    return taken;
  }
  void on_writable() override {
    pressed_ = false;
    fill();
  }
  void on_read_end() override {
    ended_ = true;
    if (outcome_) return;
    if (!is_complete()) return finish(fail(ErrorCode::peer_closed, short_of("the end of the stream")));
    finish({});
  }
  void on_closed(const CloseReason& reason) override {
    closed_ = true;
    if (outcome_) return tell();
    // Both directions have ended in order; the end of reading may have no call of its own.
    ended_ = ended_ || reason.error.code == ErrorCode::peer_closed;
    if (!is_complete()) return finish(fail(ErrorCode::peer_closed, short_of(to_string(reason))));
    finish({});
  }

  void begin_slowly() {
    slow_ = true;
    slow_budget_ = kSlowBytesPerTick;
    slow_until_ = after(stream_->loop().now(), kSlowTime);
    stream_->loop().arm(*this, after(stream_->loop().now(), kSlowTick));
  }
  void on_timer() override {
    if (outcome_) return;
    slow_ = stream_->loop().now() < slow_until_;
    slow_budget_ = kSlowBytesPerTick;
    if (slow_) stream_->loop().arm(*this, after(stream_->loop().now(), kSlowTick));
    if (!closed_) stream_->read(true);
  }

  void fill() {
    while (!outcome_ && !closed_ && !pressed_ && sent_ < settings_.bytes && sent_ - comparison_.received() < window_) {
      const std::uint64_t room = std::min(settings_.bytes - sent_, window_ - (sent_ - comparison_.received()));
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(room, kPieceBytes));
      Chain piece;
      piece.append(random_.bytes(size));
      sent_ += size;
      comparison_.sent(size);
      pressed_ = stream_->write(std::move(piece), true) == transport::Pressure::high;
    }
    if (!half_closed_ && !outcome_ && !closed_ && settings_.what == Case::stream_half && sent_ == settings_.bytes) {
      half_closed_ = true;
      stream_->shutdown_write();
    }
  }
  bool is_complete() const noexcept {
    return comparison_.received() == settings_.bytes && (ended_ || settings_.what != Case::stream_half);
  }
  void finish_if_complete() {
    if (outcome_) return;
    if (is_complete()) return finish({});
    if (comparison_.received() == settings_.bytes) progress_->waits_for("the end of the server's side");
  }
  void finish(Result<void> result) {
    outcome_ = std::move(result);
    if (closed_) return tell();
    stream_->read(true);  // a drain ends with the peer's end
    stream_->close(CloseReason::local(ErrorCode::local_closed, "done"), {*outcome_ ? kLingerTime : Duration{0}});
  }
  // Resumes the coroutine, which drops us.
  void tell() {
    Completion<void> done = std::move(done_);
    done(*outcome_);
  }
  void tell_progress() {
    progress_->waits_for("byte " + std::to_string(comparison_.received()) + " of " + std::to_string(settings_.bytes));
  }
  std::string short_of(const std::string& came) const {
    return "expected " + std::to_string(settings_.bytes) +
           " bytes back; came: " + std::to_string(comparison_.received()) + ", then " + came;
  }

  static constexpr unsigned kProgressShift = 16;

  const Settings settings_;
  const std::shared_ptr<Progress> progress_;
  const std::uint64_t window_;
  Generator random_;
  Comparison comparison_;
  std::unique_ptr<Stream> stream_;
  Completion<void> done_;
  std::optional<Result<void>> outcome_;  // what is told when the stream has closed
  std::uint64_t sent_ = 0;
  bool pressed_ = false;
  bool half_closed_ = false;
  bool ended_ = false;
  bool closed_ = false;
  bool slow_ = false;
  std::size_t slow_budget_ = 0;
  TimePoint slow_until_{};
};

awaitable<void> run(Loop& loop, Settings settings, std::shared_ptr<Progress> progress) {
  const transport::Transports all = transport::default_transports();
  const transport::DialOptions dialing{.timeout = settings.timeout};
  Result<std::unique_ptr<Stream>> stream = co_await transport::dial(all, loop, settings.address, dialing);
  if (settings.what == Case::route_refused) {
    const bool refused = !stream && was_refused_by_gateway(stream.error());
    expect(refused, "the refusal of the gateway", stream ? "a connection" : stream.error().to_string());
    co_return;
  }
  Transfer transfer(settings, progress);
  const Result<void> done = co_await transfer.run(take(std::move(stream), "a connection"));
  if (!done) throw Failure(done.error().detail);
}

}  // namespace

void run_stream_case(Runtime& runtime, const Settings& settings) {
  Loop& loop = runtime.loop(0);
  const auto progress = std::make_shared<Progress>();
  run_case_on(loop, run(loop, settings, progress), settings.timeout, *progress);
}

}  // namespace wayport::tools::interop
