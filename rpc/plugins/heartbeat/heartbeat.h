// Heartbeat: closes sessions whose peer is gone without a word, which TCP alone notices late or never.
//
//   rpc::Heartbeat::add_to(client);                                              // before start()
//   rpc::Heartbeat::add_to(server, {.idle_timeout = std::chrono::minutes(10)});
//
// The side that pings (by default the one that dialled) sends an empty pull when nothing was received, or nothing was
// written, for `interval`: a peer that only sends needs to hear of us, too. It aborts the session when nothing whatever came
// for `timeout`: pulls that are outstanding then end at once, with 101. Any bytes count as a sign of life, and so does any
// answer: a peer without the route says 404 and is alive. The side that does not ping answers, and closes gracefully what was
// idle for `idle_timeout`: nothing came, it wrote nothing, none of its handlers ran for it and none of its own pulls was out.
//
// Costs one timer per session and nothing per message: traffic does not move the timer. One Heartbeat serves all loops.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "wayport/base/time.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/plugin.h"

namespace wayport::rpc {

struct HeartbeatOptions {
  Duration interval = std::chrono::seconds(30);     // of silence in either direction
  Duration timeout = std::chrono::seconds(75);      // longer than interval; the ping has the difference to be answered
  Duration idle_timeout = std::chrono::minutes(5);  // of sessions that this side does not ping; zero: never
  bool ping_dialled = true;                         // sessions that this peer dialled
  bool ping_accepted = false;                       // those that it accepted
  std::string route = "/heartbeat";                 // pulled by pings, and answered if add_to() added it
};

class Heartbeat final : public Plugin, public PostStart {
 public:
  // Adds the plugin and the route that answers. std::logic_error: `timeout` not longer than `interval`, a duration that is
  // zero or negative, a route that exists.
  static std::shared_ptr<Heartbeat> add_to(Peer& peer, HeartbeatOptions options = {});
  // Without the route: pings of others get 404, which is an answer.
  explicit Heartbeat(HeartbeatOptions options = {});

  // Any thread.
  struct Counters {
    std::atomic<std::uint64_t> pings_sent{0};
    std::atomic<std::uint64_t> pings_answered{0};  // with any status
    std::atomic<std::uint64_t> pings_received{0};
    std::atomic<std::uint64_t> sessions_dead{0};  // timeout
    std::atomic<std::uint64_t> sessions_idle{0};  // idle_timeout
  };
  const Counters& counters() const noexcept { return *counters_; }
  const HeartbeatOptions& options() const noexcept { return *options_; }

  std::string_view name() const noexcept override { return "heartbeat"; }
  void post_start(const Session& session) override;

 private:
  class Watch;
  const std::shared_ptr<const HeartbeatOptions> options_;
  const std::shared_ptr<Counters> counters_;
};

}  // namespace wayport::rpc
