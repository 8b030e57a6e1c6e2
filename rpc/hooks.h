// Hooks: where plugins look at, change or refuse what a session reads and writes (spec/teleport 11). One abstract class
// per hook; a plugin (plugin.h) derives from those it wants. Core: no I/O.
//
// Reading, in order:   PreReadHeader, then by type
//   pull               PostReadPullHeader, the route is looked up, CallGuard begins, PreReadPullBody, PostReadPullBody,
//                      the handler, PreWriteReply, PostWriteReply, CallGuard ends
//   push               PostReadPushHeader, the route is looked up, CallGuard begins, PreReadPushBody, PostReadPushBody,
//                      the handler, CallGuard ends
//   reply              PostReadReplyHeader, PreReadReplyBody, and of those with status 200 PostReadReplyBody
// Writing:             PreWritePull, PostWritePull; PreWritePush, PostWritePush
//
// A hook returns ok, or a status that ends the chain; what it throws counts as a status, too (StatusError its own,
// anything else 500). Effect of a status:
//   PreReadHeader                     the session closes; outstanding pulls end with 101
//   PostReadPullHeader, CallGuard,
//   PreReadPullBody, PostReadPullBody that is the reply; the handler does not run
//   the same of pushes                the push is dropped; the handler does not run
//   the three of replies              that is the outcome of the pull
//   PreWritePull                      nothing is sent; the pull ends with code 100 and {"code":N,"message":"..."}
//   PreWritePush                      nothing is sent; the push fails
//   PostWritePush                     the push fails although it went out
//   PostWritePull, Pre- and PostWriteReply  logged; the packet goes out
//
// Threads: on the session's loop. One plugin serves the sessions of all loops, so what it shares must be thread-safe.
// A hook that nobody implements costs a test of one pointer per message at most.
#pragma once

#include <vector>

#include "wayport/framing/body.h"
#include "wayport/framing/packet.h"
#include "wayport/rpc/call.h"
#include "wayport/rpc/status.h"

namespace wayport::rpc {

// A packet that leaves. A hook may change uri, gzip, status and codec; views must live until the packet is encoded.
struct OutgoingView {
  SessionCore& session;
  framing::OutgoingPacket& packet;
  const Call* call = nullptr;    // replies: the request; null for answers to nothing
  TimePoint started{};           // replies: when the request was read; else now
  std::size_t packet_bytes = 0;  // post hooks: as encoded
};

// A reply that came for a pull of ours.
struct IncomingReply {
  SessionCore& session;
  const framing::PacketView& packet;
  TimePoint started;  // when the pull was made
};

// clang-format off
class PreReadHeader { public: virtual Status pre_read_header(SessionCore& session) = 0; protected: ~PreReadHeader() = default; };

class PostReadPullHeader { public: virtual Status post_read_pull_header(Call& call) = 0; protected: ~PostReadPullHeader() = default; };
class PostReadPushHeader { public: virtual Status post_read_push_header(Call& call) = 0; protected: ~PostReadPushHeader() = default; };
class PreReadPullBody { public: virtual Status pre_read_pull_body(Call& call) = 0; protected: ~PreReadPullBody() = default; };
class PreReadPushBody { public: virtual Status pre_read_push_body(Call& call) = 0; protected: ~PreReadPushBody() = default; };
// `argument` has no ops when the handler takes the body as it came, or none.
class PostReadPullBody { public: virtual Status post_read_pull_body(Call& call, const framing::BodyTarget& argument) = 0; protected: ~PostReadPullBody() = default; };
class PostReadPushBody { public: virtual Status post_read_push_body(Call& call, const framing::BodyTarget& argument) = 0; protected: ~PostReadPushBody() = default; };

class PostReadReplyHeader { public: virtual Status post_read_reply_header(const IncomingReply& reply) = 0; protected: ~PostReadReplyHeader() = default; };
class PreReadReplyBody { public: virtual Status pre_read_reply_body(const IncomingReply& reply) = 0; protected: ~PreReadReplyBody() = default; };
class PostReadReplyBody { public: virtual Status post_read_reply_body(const IncomingReply& reply, const framing::BodyTarget& result) = 0; protected: ~PostReadReplyBody() = default; };

class PreWritePull { public: virtual Status pre_write_pull(OutgoingView& pull) = 0; protected: ~PreWritePull() = default; };
class PostWritePull { public: virtual Status post_write_pull(const OutgoingView& pull) = 0; protected: ~PostWritePull() = default; };
class PreWritePush { public: virtual Status pre_write_push(OutgoingView& push) = 0; protected: ~PreWritePush() = default; };
class PostWritePush { public: virtual Status post_write_push(const OutgoingView& push) = 0; protected: ~PostWritePush() = default; };
class PreWriteReply { public: virtual Status pre_write_reply(OutgoingView& reply) = 0; protected: ~PreWriteReply() = default; };
class PostWriteReply { public: virtual Status post_write_reply(const OutgoingView& reply) = 0; protected: ~PostWriteReply() = default; };
// clang-format on

// Not in the original: a pair, for calls that get as far as a route, or find that there is none (Call::route() is null
// then). What is refused before (a bad uri, a hook of headers, a closing session, output_bytes_max) has neither;
// PostWriteReply and SessionCounters tell of it. For each begin_call() that returned ok, end_call() runs exactly once:
// when the handler is done with the call, which may be after a deadline has answered it, when the call was refused, or
// when its session is gone. For what is counted per call: limits, statistics.
class CallGuard {
 public:
  virtual Status begin_call(Call& call) = 0;
  // `status_code` of the reply; 200 for pushes whose handler ran, 0 if no reply could be given.
  virtual void end_call(const Call& call, std::int32_t status_code) noexcept = 0;

 protected:
  ~CallGuard() = default;
};

// Not in the original: a pair for each pull of ours that was sent. end_pull() runs exactly once for each begin_pull(),
// whatever the outcome: a reply, a time-out, the end of the session. Peer level; at most two of them.
class PullGuard {
 public:
  // After PostWritePull. What it returns is handed to end_pull().
  virtual std::uint32_t begin_pull(const OutgoingView& pull) noexcept = 0;
  // `status_code`: of the reply as it came, or local (100, 101, 499, 503, 504, or what PostReadReplyHeader or
  // PreReadReplyBody said). A body that turns out not to decode (502) comes after this.
  virtual void end_pull(SessionCore& session, std::uint32_t tag, TimePoint started,
                        std::int32_t status_code) noexcept = 0;

 protected:
  ~PullGuard() = default;
};

// What runs for one route: hooks of the peer, of its groups, and its own, in this order.
struct RouteHooks {
  std::vector<CallGuard*> guards;  // at most 255
  std::vector<PreReadPullBody*> pre_read_pull_body;
  std::vector<PostReadPullBody*> post_read_pull_body;
  std::vector<PreReadPushBody*> pre_read_push_body;
  std::vector<PostReadPushBody*> post_read_push_body;
  std::vector<PreWriteReply*> pre_write_reply;
  std::vector<PostWriteReply*> post_write_reply;
};

// What runs for every session of a peer, because no route is known yet, or none is concerned.
struct PeerHooks {
  std::vector<PreReadHeader*> pre_read_header;
  std::vector<PostReadPullHeader*> post_read_pull_header;
  std::vector<PostReadPushHeader*> post_read_push_header;
  std::vector<PostReadReplyHeader*> post_read_reply_header;
  std::vector<PreReadReplyBody*> pre_read_reply_body;
  std::vector<PostReadReplyBody*> post_read_reply_body;
  std::vector<PreWritePull*> pre_write_pull;
  std::vector<PostWritePull*> post_write_pull;
  std::vector<PreWritePush*> pre_write_push;
  std::vector<PostWritePush*> post_write_push;
  std::vector<PullGuard*> pull_guards;  // at most PendingCall::kGuardsMax
  RouteHooks unrouted;                  // for what has no route: guards, and the hooks of its reply
};

}  // namespace wayport::rpc
