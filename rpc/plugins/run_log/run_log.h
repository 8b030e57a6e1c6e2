// RunLog: a line for each pull, push and reply that is sent or received, as the original's run log; and a warning for
// each slow call. README.md shows the lines.
//
//   peer.plugins().add(std::make_shared<rpc::plugins::RunLog>(log));  // first, so that it sees what others refuse
//
//   info  pull received peer=tcp://10.0.0.7:50112 seq=7 uri="/home/sum?x=1" header_codec=json body_codec=json
//         packet_bytes=61 body_bytes=5
//   info  reply sent peer=tcp://10.0.0.7:50112 seq=7 cost=41µs uri="/home/sum?x=1" status_code=200 status=OK ...
//
// Fields that say nothing (no gzip, no status of a request, no body) are left out. What came from a peer is shortened
// and escaped. Each of the six kinds of lines has a rate limit of its own and slow calls have another; what was held
// back is told by the next line (suppressed=N). A line that is not written costs a few atomic operations; no text is
// made for it.
//
// Uris, with their queries, and bodies (print_body) may hold secrets: whoever reads the log reads them.
//
// Peer level. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/base/log.h"
#include "wayport/base/time.h"
#include "wayport/framing/packet.h"
#include "wayport/rpc/plugin.h"

namespace wayport::rpc::plugins {

struct RunLogOptions {
  LogLevel level = LogLevel::info;  // of ordinary lines; slow calls are warnings
  // Reads the clock when a call ends: the field cost. False: no cost, unless slow_call is set.
  bool count_time = true;
  // Calls that took so long, as callee or as caller, and pushes whose handler did. Zero or less: none is slow.
  Duration slow_call{0};
  bool print_body = false;  // a value that is sent is encoded once more for it, one received inflated once more
  std::size_t body_bytes_max = 256;  // of a body that are shown; at most kRunLogTextBytesMax
  std::size_t uri_bytes_max = 256;   // the same of uris and status texts
  // Of each of the six kinds.
  double lines_per_second = 100;
  unsigned lines_burst = 200;
  // Of slow calls of all kinds.
  double slow_lines_per_second = 10;
  unsigned slow_lines_burst = 50;
};
inline constexpr std::size_t kRunLogTextBytesMax = 1000;  // what a line of the log shows of one field (log.h)

class RunLog final : public Plugin,
                     public PostReadPullHeader,
                     public CallGuard,
                     public PostWriteReply,
                     public PostWritePull,
                     public PostReadReplyHeader,
                     public PostWritePush {
 public:
  // `log` outlives it.
  explicit RunLog(Log& log, RunLogOptions options = {});

  std::string_view name() const noexcept override { return "run_log"; }
  const RunLogOptions& options() const noexcept { return options_; }

  Status post_read_pull_header(Call& call) override;
  Status begin_call(Call&) override { return {}; }
  // Pushes are told of when their handler is done, as the original does.
  void end_call(const Call& call, std::int32_t status_code) noexcept override;
  Status post_write_reply(const OutgoingView& reply) override;
  Status post_write_pull(const OutgoingView& pull) override;
  Status post_read_reply_header(const IncomingReply& reply) override;
  Status post_write_push(const OutgoingView& push) override;

 private:
  enum Kind { pull_received, reply_sent, push_received, pull_sent, reply_received, push_sent };
  static constexpr std::size_t kKinds = 6;
  // One packet as a line shows it.
  struct Line;

  bool times() const noexcept { return options_.count_time || options_.slow_call > Duration::zero(); }
  void sent(Kind kind, const OutgoingView& view);
  void received(Kind kind, SessionCore& session, const framing::PacketView& packet, const Duration* cost,
                std::int32_t status_code);
  // False: no line is due.
  bool due(Kind kind, TimePoint now, Line& line);
  void write(Kind kind, const Line& line);

  Log& log_;
  const RunLogOptions options_;
  std::array<LogLimit, kKinds> limits_;
  LogLimit slow_limit_;
};

}  // namespace wayport::rpc::plugins
