// Relay: joins a client's stream and a backend's, on one loop, until both directions have ended (spec/route.md 3.6).
//
//     client --on_bytes--> [ queue of the backend's stream ] --> backend
//            <-- [ queue of the client's stream ] <--on_bytes--
//
// Each direction is its own: the end of one side is sent on behind what waits, and the other direction goes on. A side is
// not read while the other one's queue is above its high water, so at most that and one read (or one message) waits.
// A side that breaks takes the other with it, and nothing that is cut short looks like an end in order: sockets are reset
// (below tls, too), kcp is dropped, a websocket gets Close 1011 first, for which it has `farewell`; one that has sent its own
// Close already takes any answer for an end in order, and is reset. Only a unix socket cannot be: it just ends. The side
// that broke a limit of messages gets Close 1009 (too large) or 1008 (too slow).
//
// Messages (a websocket whose stream keeps them, messages=1): what such a side sends is passed on as u32 little endian
// length and payload, for each message; what it is sent leaves as messages, as it was read.
//
// Zero copy (splice_pump.h): two plain sockets give away their descriptors, and bytes no longer pass through the process.
// Only while nothing waits and neither direction has ended.
//
// Errors: none of its own; how it ended is in the RelayReport, told once, at a turn's end. Bounds: RelayOptions.
// Threads: everything on the loop's thread. Dropping it drops both connections, and nothing is told.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "wayport/base/chain.h"
#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/base/timer_wheel.h"
#include "wayport/gateway/relay/pipe_pool.h"
#include "wayport/gateway/relay/splice_pump.h"
#include "wayport/transport/stream.h"

namespace wayport::relay {

enum class RelaySide : std::uint8_t { client = 0, backend = 1 };

enum class ZeroCopy : std::uint8_t {
  automatic,  // once a direction moves in bulk; small messages never pay for the change
  always,     // from the start
  never,
};

struct RelayOptions {
  // After the first end of a direction, and the last byte that moved since; both are reset then. An end counts from when
  // it was read, behind all bytes before it. Zero: for ever.
  Duration linger = std::chrono::minutes(5);
  // Without a byte either way, both are closed: as a reset, if something was on its way. Zero: off.
  Duration idle{0};
  // Messages that come in pieces are collected until they are whole. What one side may make a relay hold: a message of
  // message_bytes_max, for message_timeout; and what the other side does not take, which is that stream's high water and
  // one message with its length.
  std::size_t message_bytes_max = 1024 * 1024;
  // From the first piece to the last, however many come in between. Zero: for ever.
  Duration message_timeout = std::chrono::seconds(30);
  // How long a Close frame may take to leave when a websocket is broken off.
  Duration farewell = std::chrono::seconds(1);

  ZeroCopy zero_copy = ZeroCopy::automatic;
  PipePool* pipes = nullptr;  // of this loop; none: no zero copy
  // automatic: bytes that one direction moves in reads of splice_read_bytes or more; each smaller read halves the count.
  std::size_t splice_after_bytes = 256 * 1024;
  std::size_t splice_read_bytes = 4096;
};

struct RelayEndpoint {
  std::unique_ptr<transport::Stream> stream;
  bool started = false;    // somebody else consumed it until now; what that left unconsumed is carried first
  bool messages = false;   // see above
  bool half_close = true;  // false: it closes when our end was sent, in order (kcp)
};

enum class RelayMode : std::uint8_t { copy, splice };

enum class RelayEnd : std::uint8_t {
  both_ended,     // in order
  client_failed,  // reset, timed out, broke its protocol, ...: the reason of that side says
  backend_failed,
  lingered,  // RelayOptions::linger
  idle,      // RelayOptions::idle
  local,     // close()
};
const char* to_string(RelayEnd end) noexcept;
const char* to_string(RelayMode mode) noexcept;

struct RelayReport {
  RelayEnd end = RelayEnd::both_ended;
  RelayMode mode = RelayMode::copy;  // splice: at least the last part
  const char* mode_reason = "";      // static text: why not splice, or when
  std::optional<RelaySide> first_end;
  std::uint64_t bytes_from_client = 0;  // as they were read, without the preface and length prefixes
  std::uint64_t bytes_from_backend = 0;
  std::uint64_t bytes_spliced = 0;  // of both
  std::uint64_t client_waits = 0;   // times a slow backend stopped the reading of the client
  std::uint64_t backend_waits = 0;
  std::uint64_t message_timeouts = 0;  // messages that RelayOptions::message_timeout ended
  Duration duration{0};
  CloseReason client;
  CloseReason backend;
};

class Relay final : private TurnEnd, private Timer, private SplicePump::Events {
 public:
  using OnEnded = std::move_only_function<void(const RelayReport&)>;

  // Both streams are of one loop and alive. `on_ended` is the last that happens; it may destroy the relay.
  Relay(RelayEndpoint client, RelayEndpoint backend, const RelayOptions& options, OnEnded on_ended);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // `preface` is for the backend, before all else (a PROXY header); `kept` is what the client had sent already.
  void start(Chain kept = {}, Chain preface = {});
  // Both sides are closed so; a spliced one at once. Without a linger, what was on its way is cut short by a reset.
  // on_ended follows.
  void close(CloseReason reason, transport::Linger linger = {});

  RelayMode mode() const noexcept { return pump_ ? RelayMode::splice : RelayMode::copy; }
  std::uint64_t bytes_from(RelaySide side) const noexcept;
  const transport::Stream& stream(RelaySide side) const noexcept { return *legs_[static_cast<unsigned>(side)].stream; }

 private:
  struct Leg final : transport::StreamEvents {
    std::size_t on_bytes(MutableBytes bytes, bool message_end) override {
      return relay->handle_bytes(*this, bytes, message_end);
    }
    void on_writable() override { relay->handle_writable(*this); }
    void on_read_end() override { relay->handle_read_end(*this); }
    void on_closed(const CloseReason& reason) override { relay->handle_closed(*this, reason); }

    Relay* relay = nullptr;
    RelaySide side = RelaySide::client;
    std::unique_ptr<transport::Stream> stream;
    Chain collected;  // of an unfinished message
    std::optional<TimePoint> message_began;
    std::uint64_t read_bytes = 0;
    std::uint64_t waits = 0;
    std::size_t bulk = 0;  // see splice_after_bytes
    CloseReason closed_for;
    bool started = false;
    bool messages = false;
    bool half_close = true;
    bool paused = false;    // it is not read
    bool read_end = false;  // its end came
    bool end_sent = false;  // ours was handed to its stream
    bool closed = false;
  };
  // Waits for queues to drain before the change to splice.
  struct Retry final : Timer {
    explicit Retry(Relay& owner) : relay(owner) {}
    void on_timer() override { relay.schedule_switch(); }
    Relay& relay;
    Duration wait{0};
  };

  std::size_t handle_bytes(Leg& from, Bytes bytes, bool message_end);
  void handle_writable(Leg& leg);
  void handle_read_end(Leg& leg);
  void handle_closed(Leg& leg, const CloseReason& reason);
  bool take_message(Leg& from, Bytes bytes, bool message_end, Chain& out);
  void forward(Leg& from, Chain&& chain);
  void pass_end(Leg& from);
  void begin(Leg& leg);
  void begin_end(RelayEnd end);
  void abort(Leg& leg, CloseReason reason);
  void break_off_message(Leg& from, ErrorCode code, const std::string& what);
  TimePoint message_due(const Leg& leg) const;
  void pause(Leg& leg);
  void resume(Leg& leg);
  void on_turn_end() override;
  void on_timer() override;
  void arm();
  TimePoint linger_due() const;
  TimePoint idle_due() const;
  void judge_activity(TimePoint now);
  void finish();

  // relay_splice.cc
  void plan_splice();
  void count_bulk(Leg& from, std::size_t bytes);
  void schedule_switch();
  void try_switch();
  void give_up_splice(const char* why);
  void switch_over(Fd client, Fd backend);
  void on_pump_read_end(unsigned side) override;
  void on_pump_ended(std::optional<unsigned> failed, CloseReason reason) override;

  Leg& other(const Leg& leg) noexcept { return legs_[leg.side == RelaySide::client ? 1 : 0]; }
  Leg& client() noexcept { return legs_[0]; }
  Leg& backend() noexcept { return legs_[1]; }

  Loop& loop_;
  const RelayOptions options_;
  OnEnded on_ended_;
  std::array<Leg, 2> legs_;
  std::unique_ptr<SplicePump> pump_;
  Retry retry_{*this};
  TimePoint started_{};
  TimePoint last_activity_{};
  std::uint64_t message_timeouts_ = 0;
  std::size_t queued_before_ = 0;  // when activity was last judged
  std::optional<TimePoint> first_end_at_;
  std::optional<RelaySide> first_end_;
  RelayEnd end_ = RelayEnd::both_ended;
  const char* mode_reason_ = "";
  enum class Switch : std::uint8_t { no, when_bulk, next_turn_end, this_turn_end, draining } switch_ = Switch::no;
  bool ending_ = false;  // being broken off: bytes are dropped
};

}  // namespace wayport::relay
