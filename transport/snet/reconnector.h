// Reconnector: the keeper of a dialed session. It dials again when the connection is lost, proves that the session is
// ours, and gives up after `wait`, when the server refuses, or when unread bytes exceeded a ring.
//
// The first attempt after a connection that lasted comes at once, later ones with back-off and jitter (100 ms doubling
// to 3 s, half of it random). Each attempt, from the dial to the server's answer, has a time limit. On the session's
// loop.
#pragma once

#include <memory>
#include <optional>

#include "wayport/base/log.h"
#include "wayport/transport/snet/handshake.h"
#include "wayport/transport/snet/snet_counters.h"
#include "wayport/transport/snet/snet_options.h"
#include "wayport/transport/snet/snet_stream.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

class Reconnector final : public SnetStream::Keeper, private Timer, private StreamEvents {
 public:
  static constexpr Duration kBackoffFirst = std::chrono::milliseconds(100);
  static constexpr Duration kBackoffMax = std::chrono::seconds(3);
  static constexpr Duration kLasted = std::chrono::seconds(1);  // a connection that lives so long was a good one
  static constexpr Duration kAttemptTimeout = std::chrono::seconds(10);  // if the dial had none

  struct Where {
    Transports all;
    std::string url;  // for people
    Address below;
    DialOptions dial;  // for below
    SnetOptions options;
  };
  // What is referred to outlives this.
  Reconnector(SnetStream& stream, Where where, snet::RandomSource& random, std::shared_ptr<SnetCounters> counters,
              Log& log);

 private:
  void on_detached(const Error& why) override;
  void on_attached() override;
  void retire() override;
  bool reconnect_now() override;
  void on_timer() override;

  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override {}
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;

  void attempt();
  void handle_dialed(Result<std::unique_ptr<Stream>> dialed);
  void handle_failure(Error why);
  void drop_attempt() noexcept;
  void arm_for(TimePoint due);
  void give_up(CloseReason::By by, ErrorCode code, const std::string& why);
  Duration backoff();
  std::string overrun_text() const;

  SnetStream& stream_;
  const Where where_;
  snet::RandomSource& random_;
  const std::shared_ptr<SnetCounters> counters_;
  Log& log_;
  LogLimit log_limit_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<Stream> lower_;
  std::optional<snet::ClientResume> resume_;
  Error last_error_;
  TimePoint give_up_at_ = kNever;
  TimePoint attached_at_{};
  unsigned failures_ = 0;
  bool at_once_ = false;  // the next loss does not wait
};

}  // namespace wayport::transport
