// Session cores joined by byte queues and one virtual clock: whole conversations without sockets, threads or sleeps.
//
//   Pair pair;
//   pair.right.on_pull("/echo", echo);
//   pair.left.pull("/echo", "a");
//   pair.drive();                       // until nothing happens
//   EXPECT_EQ(pair.left.outcomes[0].text, "echo:a");
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/log_testing.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/rpc/session_core.h"

namespace wayport::rpc::testing {

// Runs a lambda as a handler.
class Function final : public Handler {
 public:
  explicit Function(std::function<void(Call&)> run) : run_(std::move(run)) {}
  void run(Call& call) override { run_(call); }

 private:
  std::function<void(Call&)> run_;
};

struct Outcome {
  bool replied = false;
  Status status;
  std::string text;
};

class Recorder final : public PendingCall {
 public:
  Recorder(std::vector<Outcome>& outcomes) : outcomes_(outcomes) {}
  void on_reply(const framing::PacketView& packet, framing::ProtocolContext& context) override {
    Outcome outcome{true, {}, {}};
    if (packet.has_body_codec) {
      const Result<void> decoded =
          framing::decode_body(packet, context, {&framing::body_ops<std::string>(), &outcome.text});
      if (!decoded) outcome.text = "undecodable: " + decoded.error().detail;
    }
    outcomes_.push_back(outcome);
  }
  void on_failed(Status status) override { outcomes_.push_back({false, std::move(status), {}}); }

 private:
  std::vector<Outcome>& outcomes_;
};

// One end: a core with everything it needs, whose stream is a string.
class End final : public SessionHost {
 public:
  explicit End(TimePoint& now, SessionOptions options = {})
      : now_(now),
        wheel_(now),
        context_{codecs_},
        environment_{context_, router, counters, log, protocol_errors_, handler_errors_},
        core_(std::make_unique<SessionCore>(*this, environment_, std::make_shared<const SessionOptions>(options))) {
    core_->handle_open();
  }

  void on_pull(std::string path, std::function<void(Call&)> run) {
    router.add(Call::Kind::pull, path, std::make_shared<Function>(std::move(run)));
  }
  void on_push(std::string path, std::function<void(Call&)> run) {
    router.add(Call::Kind::push, path, std::make_shared<Function>(std::move(run)));
  }
  std::optional<std::uint64_t> pull(std::string_view uri, const std::string& text = {}, Duration timeout = {}) {
    Request request;
    request.uri = uri;
    request.timeout = timeout;
    if (!text.empty()) request.body = string_body(text);
    return core_->pull(request, std::make_unique<Recorder>(outcomes));
  }
  Result<void> push(std::string_view uri, const std::string& text) {
    Request request;
    request.uri = uri;
    request.body = string_body(text);
    return core_->push(request);
  }
  static framing::OutgoingBody string_body(const std::string& text) {
    framing::OutgoingBody body;
    body.form = framing::OutgoingBody::Form::encoded;
    body.codec_id = framing::kCodecString;
    body.bytes = as_bytes(text);
    return body;
  }

  // Gives bytes as the stream would; what is not consumed is shown again.
  void receive(std::string_view bytes) {
    inbox_.append(bytes);
    show();
  }
  void show() {
    if (!reading || inbox_.empty() || closed) return;
    const std::size_t consumed = core_->handle_bytes(as_bytes(inbox_));
    inbox_.erase(0, consumed);
  }
  void turn() {
    wheel_.expire(now_);
    if (flush_wanted_) {
      flush_wanted_ = false;
      const Chain chain = core_->flush();
      if (!closed) {
        if (!chain.empty()) {
          outbox.append(chain.to_string());
          full = outbox.size() >= pressure_at;
        }
        core_->handle_written(full);
      }
    }
    // Less than pressure_at counts as sent: the kernel has taken it.
    if (closing_ && !closed && (now_ >= linger_due_ || outbox.size() < pressure_at)) {
      closed = true;
      core_->handle_closed(*closing_);
      flush_wanted_ = true;
    }
    show();
  }
  bool idle() const { return !flush_wanted_; }

  // --- SessionHost ---
  TimePoint now() const noexcept override { return now_; }
  TimePoint exact_now() const noexcept override { return now_; }
  void arm(Timer& timer, TimePoint due) override { wheel_.arm(timer, due); }
  void flush_soon() override { flush_wanted_ = true; }
  std::size_t unsent() const noexcept override { return outbox.size(); }
  void set_reading(bool on) override { reading = on; }
  void peer_drains() override { ++peer_drains_count; }
  void close_stream(const CloseReason& reason, Duration linger) override {
    closing_ = reason;
    linger_due_ = now_ + linger;
  }
  std::shared_ptr<void> keep_alive() override { return nullptr; }
  void handlers_finished() override { ++handlers_finished_count; }
  std::string peer_name() const override { return "mem://peer"; }

  SessionCore& core() { return *core_; }
  TimerWheel& wheel() { return wheel_; }

  RouterCore router;
  SessionCounters counters;
  MemoryLog log;
  std::vector<Outcome> outcomes;
  std::string outbox;  // written, not yet taken by the other end
  std::size_t pressure_at = 1 << 20;
  bool reading = true;
  bool full = false;  // pressure was told; on_writable is owed
  bool closed = false;
  int handlers_finished_count = 0;
  int peer_drains_count = 0;

 private:
  TimePoint& now_;
  TimerWheel wheel_;
  framing::CodecRegistry codecs_;
  framing::ProtocolContext context_;
  LogLimit protocol_errors_{1000, 1000};
  LogLimit handler_errors_{1000, 1000};
  SessionEnvironment environment_;
  std::string inbox_;
  bool flush_wanted_ = false;
  std::optional<CloseReason> closing_;
  TimePoint linger_due_{};
  std::unique_ptr<SessionCore> core_;
};

class Pair {
 public:
  explicit Pair(SessionOptions left_options = {}, SessionOptions right_options = {})
      : left(now, left_options), right(now, right_options) {}

  // Moves bytes and turns until nothing happens.
  void drive(std::size_t piece = 1 << 20) {
    for (int quiet = 0; quiet < 2;) {
      left.turn();
      right.turn();
      const bool to_right = move(left, right, piece);
      const bool to_left = move(right, left, piece);
      quiet = to_right || to_left || !left.idle() || !right.idle() ? 0 : quiet + 1;
    }
  }
  void advance(Duration by) {
    now += by;
    drive();
  }

  TimePoint now{std::chrono::hours(1)};
  End left;
  End right;
  bool partitioned = false;

 private:
  bool move(End& from, End& to, std::size_t piece) {
    if (partitioned || from.outbox.empty() || !to.reading) return false;
    const std::string bytes = from.outbox.substr(0, piece);
    from.outbox.erase(0, bytes.size());
    to.receive(bytes);
    if (from.full && from.outbox.size() < from.pressure_at / 2) {
      from.full = false;
      from.core().handle_writable();
    }
    return true;
  }
};

// The body as text; a body that is none refuses the call, as a typed handler would.
inline std::string body_of(Call& call) {
  std::string text;
  static_cast<void>(call.decode({&framing::body_ops<std::string>(), &text}));
  return text;
}
inline void reply_text(Call& call, const std::string& text) { call.reply({&framing::body_ops<std::string>(), &text}); }
inline void echo(Call& call) { reply_text(call, "echo:" + body_of(call)); }

// Writes one packet with json header as raw bytes.
inline std::string packet(std::string_view header, std::string_view body) {
  std::string bytes(4, '\0');
  store_be<std::uint32_t>(reinterpret_cast<std::byte*>(bytes.data()), static_cast<std::uint32_t>(header.size() + 1));
  bytes.append("j").append(header);
  std::string size(4, '\0');
  store_be<std::uint32_t>(reinterpret_cast<std::byte*>(size.data()), static_cast<std::uint32_t>(body.size()));
  return bytes + size + std::string(body);
}

}  // namespace wayport::rpc::testing
