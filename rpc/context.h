// Context: what a handler may ask and decide about the call it is running.
//
// Lives while its handler runs (a coroutine's until it returns). On the session's loop, except in `blocking` handlers,
// which own theirs on a worker thread. Views live as long as the context.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "wayport/framing/body_ops.h"
#include "wayport/rpc/call.h"
#include "wayport/rpc/session.h"

namespace wayport::rpc {

class Context {
 public:
  explicit Context(Call& call) noexcept : call_(call) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // --- the request ---
  bool is_push() const noexcept { return call_.kind() == Call::Kind::push; }
  std::uint64_t seq() const noexcept { return call_.header().seq; }
  std::string_view uri() const noexcept { return call_.header().uri; }  // as it came
  std::string_view path() const noexcept { return call_.path(); }       // percent-decoded
  std::string_view raw_query() const noexcept { return call_.raw_query(); }
  Query query() const { return parse_query(call_.raw_query()); }
  const framing::PacketHeader& header() const noexcept { return call_.header(); }
  std::uint8_t header_codec() const noexcept { return call_.header_codec(); }

  // --- the body of an unknown route, bound late ---
  bool has_body() const noexcept { return call_.has_body(); }
  std::uint8_t body_codec() const noexcept { return call_.body_codec(); }  // 0: no body
  std::string_view body_codec_name() const;                                // empty: not registered, or no body
  // Codec id in front, still compressed when header().gzip != 0: what to pass on.
  Bytes body() const noexcept { return call_.packet().body_with_codec; }
  template <class T>
  Result<T> bind() const {
    T value{};
    WAYPORT_TRY(bind_to({&framing::body_ops<T>(), &value}));
    return value;
  }

  // --- where it came from ---
  Session session() const;
  std::string ip() const;  // of the remote end, without port; empty for unix sockets
  SessionStore& store() const { return session().store(); }
  // By when the route wants the pull answered (HandlerOptions::deadline); kNever: it does not say. Against
  // session().loop().now().
  TimePoint deadline() const noexcept { return call_.deadline(); }

  // --- the reply ---
  void set_reply_codec(std::uint8_t id) noexcept { call_.set_reply_codec(id); }
  void set_reply_gzip(std::int32_t level) noexcept { call_.set_reply_gzip(level); }

  Call& call() noexcept { return call_; }

 private:
  Result<void> bind_to(const framing::BodyTarget& target) const;
  Call& call_;
};

}  // namespace wayport::rpc
