// One request as its handler sees it: the packet's fields, and the reply on its way back. Core: no I/O, no coroutines;
// typed handlers (handlers.h) are made of this.
//
// A Call lives on the stack of the session while a plain handler runs, and its views point into the read buffer. A
// handler that finishes later takes a DeferredCall, which owns what it shows and keeps the session's memory alive.
//
// Exactly one reply leaves per pull: the first of reply(), fail(), or 500 when the call goes away without either.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "wayport/base/time.h"
#include "wayport/base/timer_wheel.h"
#include "wayport/framing/protocol.h"
#include "wayport/rpc/status.h"
#include "wayport/rpc/uri.h"

namespace wayport::rpc {

class SessionCore;
class DeferredCall;
struct Route;

class Call {
 public:
  enum class Kind : std::uint8_t { pull, push };

  Kind kind() const noexcept { return kind_; }
  const framing::PacketHeader& header() const noexcept { return packet_.header; }
  std::uint8_t header_codec() const noexcept { return packet_.header_codec; }
  bool has_body() const noexcept { return packet_.has_body_codec; }
  std::uint8_t body_codec() const noexcept { return packet_.body_codec; }  // 0: no body
  const framing::PacketView& packet() const noexcept { return packet_; }
  std::string_view path() const noexcept { return uri_.path; }  // percent-decoded
  std::string_view raw_query() const noexcept { return uri_.raw_query; }
  SessionCore& session() const noexcept { return *session_; }
  // When the packet was read (its turn's time).
  TimePoint received() const noexcept { return received_; }
  // Before the route is looked up, and for paths without one: null.
  const Route* route() const noexcept { return route_; }
  // By when the route wants it answered; kNever: no matter.
  TimePoint deadline() const noexcept;
  // For PostReadPullHeader and PostReadPushHeader: which route to look up instead. Uri and query stay.
  void set_path(std::string_view path);

  // Decodes the body with the codec that the packet names. A failure is the peer's: the session closes when the handler
  // has returned, and no reply is sent (spec/teleport 13).
  Result<void> decode(const framing::BodyTarget& target);
  // Ends the session for a body that does not decode; what decode() calls.
  void refuse_body(const Error& error);
  // Runs the hooks that wait for a decoded argument (hooks.h). False: one refused, and the call has been answered.
  bool argument_read(const framing::BodyTarget& argument);

  // --- the reply; without effect on a push ---
  void set_reply_codec(std::uint8_t id) noexcept { reply_codec_ = id; }
  void set_reply_gzip(std::int32_t level) noexcept { reply_gzip_ = level; }
  void reply(const framing::BodyView& value);
  void reply_empty();
  // Bytes that are encoded already: with the codec id in front (verbatim), or under an id.
  void reply_verbatim(Bytes with_codec);
  void reply_encoded(std::uint8_t codec_id, Bytes body);
  // A reply that another peer gave, errors included: its body with codec id, gzip level and status as they were.
  void reply_forwarded(Bytes with_codec, std::int32_t gzip, std::int32_t status_code, std::string_view text);
  void fail(const Status& status);
  bool answered() const noexcept { return answered_; }

  // The call for later. Counts as a running handler until it is answered (pull) or dropped (push). nullptr: the bound
  // of running handlers is reached, and the call has been answered with 503.
  std::unique_ptr<DeferredCall> defer();

 protected:
  friend class SessionCore;
  Call(SessionCore& session, Kind kind, const framing::PacketView& packet, TimePoint received) noexcept
      : session_(&session),
        packet_(packet),
        received_(received),
        outcome_(kind == Kind::push ? code::kOk : 0),
        kind_(kind),
        answered_(kind == Kind::push) {}
  ~Call() = default;
  void fail_as(const Status& status, std::int32_t gzip);

  SessionCore* session_;
  framing::PacketView packet_;
  Uri uri_{};
  std::string path_storage_;
  const Route* route_ = nullptr;
  TimePoint received_;
  std::int32_t outcome_;                    // what CallGuard::end_call() is told
  std::uint8_t guards_ = 0;                 // of the route, that have begun
  std::optional<std::int32_t> reply_gzip_;  // default: as the request
  std::uint8_t reply_codec_ = 0;            // 0: as the request
  Kind kind_;
  bool answered_;
  bool deferred_ = false;
};

// Owns copies of the header strings and of the body. On the session's loop only, including its destruction; hand it to
// another thread by moving the pointer, and bring it back.
class DeferredCall final : public Call, private Timer {
 public:
  ~DeferredCall();

 private:
  friend class Call;
  DeferredCall(const Call& call, std::shared_ptr<void> keep_alive);
  void on_timer() override;           // the route's deadline
  std::shared_ptr<void> keep_alive_;  // the session's memory
  std::string storage_;
};

// What a route points to. Shared by all sessions and loops: run() may be entered by several threads at once.
class Handler {
 public:
  virtual ~Handler() = default;
  // On the session's loop. May throw: StatusError becomes that reply, anything else 500.
  virtual void run(Call& call) = 0;
};

}  // namespace wayport::rpc
