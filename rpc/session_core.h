// SessionCore: the rpc state machine of one connection. Bytes, commands and time go in; packets, calls of handlers and
// outcomes of pulls come out. No sockets, no clock, no threads: the host (session.cc, or a test) supplies them.
//
//   handle_*   the host tells what happened: bytes, end of stream, closed
//   commands   pull, push, cancel, close, and the replies of handlers
//   flush()    what to write; the host calls it at the end of a turn in which flush_soon() was asked for
//
//   open --close()--> closing --drained or close_timeout--> ended
//     \------------- stream closed, peer misbehaved -------/
//
// Every pull ends in exactly one outcome, also when the session ends first. In `closing` no new request is executed
// (pulls get 503; peers that know the drain notice are told so at once) and no new pull is taken; running handlers finish and are answered, outstanding pulls get their
// replies.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/chain.h"
#include "wayport/base/log.h"
#include "wayport/base/time.h"
#include "wayport/base/timer_wheel.h"
#include "wayport/framing/packet_reader.h"
#include "wayport/rpc/call.h"
#include "wayport/rpc/calls.h"
#include "wayport/rpc/options.h"
#include "wayport/rpc/router_core.h"

namespace wayport::rpc {

// What the core needs from its surroundings. Called on the session's loop, often from inside a handle_ or command call:
// an implementation only notes what to do.
class SessionHost {
 public:
  virtual TimePoint now() const noexcept = 0;
  // Read now, where now() may be the time at which the turn began.
  virtual TimePoint exact_now() const noexcept = 0;
  virtual void arm(Timer& timer, TimePoint due) = 0;
  // Call flush() at the end of this turn.
  virtual void flush_soon() = 0;
  // Bytes given to the stream that it has not got rid of.
  virtual std::size_t unsent() const noexcept = 0;
  virtual void set_reading(bool on) = 0;
  // The peer takes no more pulls and pushes; it will end the stream once it has answered what it read.
  virtual void peer_drains() = 0;
  // Close the stream; drain what is queued for at most `linger`. handle_closed() must follow.
  virtual void close_stream(const CloseReason& reason, Duration linger) = 0;
  // Keeps core and host alive while a handler that finishes later exists.
  virtual std::shared_ptr<void> keep_alive() = 0;
  // The session has ended and its last handler is done.
  virtual void handlers_finished() = 0;
  virtual std::string peer_name() const = 0;  // for logs and errors: "tcp://10.0.0.1:50112"

 protected:
  ~SessionHost() = default;
};

// Shared by the sessions of one loop; outlives them.
struct SessionEnvironment {
  framing::ProtocolContext& context;
  const RouterCore& router;
  SessionCounters& counters;
  Log& log;
  LogLimit& protocol_errors_limit;
  LogLimit& handler_errors_limit;
};

// A pull or push to send. Views need to live only until the command returns.
struct Request {
  std::string_view uri;
  framing::OutgoingBody body{};
  std::uint8_t header_codec = 0;  // 0: the session's
  std::int32_t gzip = 0;
  std::int32_t status_code = 0;
  std::string_view status{};
  Duration timeout{0};  // pulls; zero: none
};

// The codec for a value whose sender named none: `preferred` if it fits the type, else the first built-in one that
// does.
std::uint8_t fitting_codec(const framing::BodyOps& ops, std::uint8_t preferred) noexcept;

class SessionCore {
 public:
  enum class State : std::uint8_t { open, closing, ended };

  // `options` is shared by the sessions of a listener or dial.
  SessionCore(SessionHost& host, const SessionEnvironment& environment, std::shared_ptr<const SessionOptions> options);
  ~SessionCore();
  SessionCore(const SessionCore&) = delete;
  SessionCore& operator=(const SessionCore&) = delete;

  // --- events ---
  void handle_open();
  // Returns how many bytes were consumed; the rest must be shown again with more.
  std::size_t handle_bytes(Bytes bytes);
  void handle_read_end();
  // What output() held went to the stream; `full`: the stream is above its high water mark until handle_writable().
  void handle_written(bool full);
  void handle_writable();
  // The stream is gone. Outstanding pulls fail with 101, replies of running handlers will be dropped.
  void handle_closed(const CloseReason& reason);

  // --- commands ---
  // `call` gets exactly one outcome later. Returns its seq, for cancel(); no value if it was refused (the outcome is on
  // its way, too).
  std::optional<std::uint64_t> pull(const Request& request, std::unique_ptr<PendingCall> call);
  Result<void> push(const Request& request);
  // The call ends with 499; a reply that still comes is ignored. Unknown seqs are ignored.
  void cancel(std::uint64_t seq);
  // Graceful: see above. Repeating it does nothing.
  void close(CloseReason reason);
  // At once; what is unsent is lost.
  void abort(CloseReason reason);

  // --- output ---
  // Delivers outcomes that were waiting for the end of the turn, and gives what is to be written.
  Chain flush();

  State state() const noexcept { return state_; }
  const CloseReason& close_reason() const noexcept { return reason_; }  // once closing or ended
  const SessionOptions& options() const noexcept { return *options_; }
  const framing::Protocol& protocol() const noexcept { return protocol_; }
  framing::ProtocolContext& context() noexcept { return environment_.context; }
  const SessionEnvironment& environment() const noexcept { return environment_; }
  SessionHost& host() noexcept { return host_; }
  std::size_t running_handlers() const noexcept { return running_handlers_; }
  std::size_t outstanding_calls() const noexcept { return calls_.size(); }
  TimePoint last_packet() const noexcept { return last_packet_; }  // when the last whole one was read
  TimePoint last_bytes() const noexcept { return last_bytes_; }    // when anything at all was read
  TimePoint last_output() const noexcept { return last_output_; }  // when anything at all was written
  // Not read because the peer leaves too many of its replies untaken: silence says nothing about it.
  bool reading_paused() const noexcept { return reading_paused_; }
  void set_read_timeout(Duration timeout);
  void set_write_timeout(Duration timeout);

  // Answers a call whose handler threw, inline or later; for the layers that run handlers.
  void fail_with_exception(Call& call, std::exception_ptr exception);

 private:
  friend class Call;
  friend class DeferredCall;
  friend class PendingCall;

  // Runs one member of the core when it fires.
  class Deadline final : public Timer {
   public:
    Deadline(SessionCore& core, void (SessionCore::*act)()) noexcept : core_(core), act_(act) {}
    void on_timer() override { (core_.*act_)(); }

   private:
    SessionCore& core_;
    void (SessionCore::*act_)();
  };

  // --- hooks (session_hooks.cc); false: refused, and answered ---
  bool before_packet();
  bool after_request_header(const PeerHooks& hooks, Call& call);
  bool begin_guards(const RouteHooks& hooks, Call& call);
  void end_guards(Call& call) noexcept;
  bool before_body(const RouteHooks& hooks, Call& call);
  bool refuse_call(Call& call, const Status& status);
  const RouteHooks* hooks_of(const Call& call) const noexcept;  // null: none
  Status before_reply_body(const PeerHooks& hooks, const IncomingReply& reply);
  Status before_pull(const PeerHooks& hooks, OutgoingView& view);
  void after_pull(const PeerHooks& hooks, const OutgoingView& view);
  Result<void> before_push(const PeerHooks& hooks, OutgoingView& view);
  Result<void> after_push(const PeerHooks& hooks, const OutgoingView& view);
  void before_reply(const RouteHooks& hooks, OutgoingView& view);
  void after_reply(const RouteHooks& hooks, const OutgoingView& view);
  void begin_pull_guards(const PeerHooks& hooks, PendingCall& call, const OutgoingView& view) noexcept;
  void end_pull_guards(PendingCall& call, std::int32_t status_code) noexcept;
  void log_hook(const char* hook, std::string_view uri, const Status& status);

  bool handle_packet(const framing::PacketView& packet);
  void handle_reply(const framing::PacketView& packet);
  void handle_request(Call::Kind kind, const framing::PacketView& packet);
  void route_request(Call& call);
  bool handle_drain(const framing::PacketView& packet);
  void announce_drain();
  void handle_unsupported(const framing::PacketView& packet);
  void run_handler(Handler& handler, Call& call);
  // After a protocol error, replies that are already on their way out get this long to leave.
  static constexpr Duration kErrorLinger = std::chrono::seconds(1);
  bool may_read_on();
  bool should_pause();
  std::size_t reply_backlog();
  void set_reading(bool on);

  // A reply to `call`: one of the two bodies' forms, with a status.
  void send_reply(Call& call, const framing::OutgoingBody& body, std::int32_t status_code, std::string_view text,
                  std::int32_t gzip);
  void refuse_reply(Call& call, const Error& why);
  Result<void> append_reply(const framing::OutgoingPacket& packet);
  void send_value(Call& call, const framing::BodyView& value);
  void set_request(framing::OutgoingPacket& packet, const Request& request) const;
  Result<void> append(const framing::OutgoingPacket& packet);
  std::unexpected<Error> refuse_command(ErrorCode code, std::string why);

  void protocol_error(const Error& error);
  void fail_calls(const Status& status);
  void log_completion_exception();  // from inside a catch block
  void fail_later(std::unique_ptr<PendingCall> call, Status status);
  void time_out(PendingCall& call);
  void handler_done();
  void finish_if_drained();
  void end_stream(Duration linger);
  void on_read_deadline();
  void on_write_deadline();
  void on_close_deadline();

  SessionHost& host_;
  SessionEnvironment environment_;
  const std::shared_ptr<const SessionOptions> options_;
  const framing::Protocol& protocol_;

  framing::PacketReader reader_;
  Chain output_;
  CallTable calls_;
  std::vector<std::pair<std::unique_ptr<PendingCall>, Status>> failed_;  // outcomes to deliver at flush()
  std::uint64_t next_pull_seq_ = 0;
  std::uint64_t next_push_seq_ = 0;
  std::uint64_t pulls_read_end_ = 0;  // one more than the last pull's seq that was read while open
  std::size_t owed_replies_ = 0;      // pulls sent less replies received, also of pulls that have ended here

  std::size_t running_handlers_ = 0;  // that finish later
  int inline_handlers_ = 0;           // on the stack
  std::size_t unconsumed_ = 0;        // bytes of an unfinished packet that the stream holds for us
  TimePoint last_packet_{};
  TimePoint last_bytes_{};
  TimePoint last_output_{};
  TimePoint close_due_{};
  Duration read_timeout_;
  Duration write_timeout_;
  std::uint64_t taken_at_check_ = 0;
  std::uint64_t written_ = 0;  // bytes ever moved out of output_
  // Where in the output the last reply ends, and how many reply bytes were appended since all had left.
  std::uint64_t last_reply_end_ = 0;
  std::size_t reply_bytes_ = 0;

  State state_ = State::open;
  bool read_ended_ = false;
  bool peer_drains_ = false;
  bool reading_paused_ = false;
  bool stream_closing_ = false;
  CloseReason reason_;

  Deadline read_deadline_;
  Deadline write_deadline_;
  Deadline close_deadline_;
};

}  // namespace wayport::rpc
