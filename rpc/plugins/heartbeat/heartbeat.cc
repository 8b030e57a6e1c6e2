#include "wayport/rpc/plugins/heartbeat/heartbeat.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "wayport/base/loop.h"
#include "wayport/base/timer_wheel.h"
#include "wayport/rpc/session_driver.h"

namespace wayport::rpc {
namespace {

// Between the verdict and the end: a loop that stood still reads what waits for it first.
constexpr Duration kLastChance = std::chrono::milliseconds(10);

std::shared_ptr<const HeartbeatOptions> checked(HeartbeatOptions options) {
  const auto refuse = [](const std::string& why) { throw std::logic_error("heartbeat: " + why); };
  if (options.interval <= Duration::zero())
    refuse("interval " + format_duration(options.interval) + " is not positive");
  if (options.timeout <= options.interval) {
    refuse("timeout " + format_duration(options.timeout) + " is not longer than interval " +
           format_duration(options.interval) + ", so that no ping could be answered in time");
  }
  if (options.idle_timeout < Duration::zero()) refuse("idle_timeout is negative; zero means never");
  if (!options.route.starts_with('/')) refuse("route " + options.route + " does not begin with a slash");
  return std::make_shared<const HeartbeatOptions>(std::move(options));
}

}  // namespace

// Of one session, on its loop. The session's close callback owns it, so it lives no longer than the driver.
class Heartbeat::Watch final : public Timer, public std::enable_shared_from_this<Watch> {
 public:
  Watch(SessionDriver& driver, bool pings, std::shared_ptr<const HeartbeatOptions> options,
        std::shared_ptr<Counters> counters)
      : driver_(driver),
        options_(std::move(options)),
        counters_(std::move(counters)),
        started_(driver.loop().now()),
        pings_(pings) {}

  void start() { schedule(started_); }
  void stop() { unlink(); }

 private:
  Duration limit() const noexcept { return pings_ ? options_->timeout : options_->idle_timeout; }

  // When something was last heard, or could not have been; of sessions that we do not ping, also when we used them.
  TimePoint last(TimePoint now) {
    SessionCore& core = driver_.core();
    const bool busy = !pings_ && (core.running_handlers() > 0 || core.outstanding_calls() > 0);
    if (busy || core.reading_paused()) excused_ = now;
    const TimePoint heard = std::max({core.last_bytes(), core.last_packet(), started_, excused_});
    return pings_ ? heard : std::max(heard, core.last_output());
  }

  void on_timer() override {
    // A close is bounded by its own time-out.
    if (driver_.core().state() != SessionCore::State::open) return;
    const TimePoint now = driver_.loop().now();
    const TimePoint heard = last(now);
    if (now >= after(heard, limit())) {
      if (std::exchange(condemned_, true)) return end(now - heard);
      return driver_.loop().arm(*this, now + kLastChance);
    }
    condemned_ = false;
    if (pings_ && !pinging_ && now >= next_ping(heard)) ping(now);
    schedule(heard);
  }

  // Due when either direction was silent for the interval: a peer that only sends must hear of us, too.
  TimePoint next_ping(TimePoint heard) const {
    const TimePoint said = std::max({driver_.core().last_output(), started_, excused_});
    return std::max(after(std::min(heard, said), options_->interval), not_before_);
  }
  void schedule(TimePoint heard) {
    const TimePoint end = after(heard, limit());
    driver_.loop().arm(*this, pings_ && !pinging_ ? std::min(end, next_ping(heard)) : end);
  }

  void ping(TimePoint now) {
    pinging_ = true;
    not_before_ = after(now, options_->interval);  // also if it fails at once
    counters_->pings_sent.fetch_add(1, std::memory_order_relaxed);
    CallOptions call;
    call.timeout = options_->timeout;
    Session(driver_.shared_from_this())
        .pull_async<void>(options_->route, framing::NoBody{}, call,
                          [self = shared_from_this()](const Reply<void>& reply) { self->ponged(reply); });
  }

  void ponged(const Reply<void>& reply) {
    pinging_ = false;
    if (reply.ok() || reply.status().origin == Status::Origin::remote) {
      counters_->pings_answered.fetch_add(1, std::memory_order_relaxed);
    }
    // The next ping is due before the end for which the timer is armed.
    if (driver_.core().state() == SessionCore::State::open) schedule(last(driver_.loop().now()));
  }

  void end(Duration silence) {
    if (pings_) {
      counters_->sessions_dead.fetch_add(1, std::memory_order_relaxed);
      return driver_.core().abort(CloseReason::local(
          ErrorCode::timed_out, "heartbeat: nothing came from " + driver_.peer_name() + " for " +
                                    format_duration(silence) + ", not even an answer to a ping (timeout " +
                                    format_duration(options_->timeout) + ")"));
    }
    counters_->sessions_idle.fetch_add(1, std::memory_order_relaxed);
    driver_.begin_close(CloseReason::local(ErrorCode::timed_out, "heartbeat: " + driver_.peer_name() +
                                                                     " sent nothing and was sent nothing for " +
                                                                     format_duration(silence) + " (idle_timeout " +
                                                                     format_duration(options_->idle_timeout) + ")"));
  }

  SessionDriver& driver_;
  const std::shared_ptr<const HeartbeatOptions> options_;
  const std::shared_ptr<Counters> counters_;
  const TimePoint started_;
  TimePoint excused_{};
  TimePoint not_before_{};
  const bool pings_;
  bool pinging_ = false;    // a ping is on its way
  bool condemned_ = false;  // the time is over; ends if nothing comes at once
};

Heartbeat::Heartbeat(HeartbeatOptions options)
    : options_(checked(std::move(options))), counters_(std::make_shared<Counters>()) {}

std::shared_ptr<Heartbeat> Heartbeat::add_to(Peer& peer, HeartbeatOptions options) {
  auto heartbeat = std::make_shared<Heartbeat>(std::move(options));
  peer.plugins().add(heartbeat);
  peer.router().on_pull(heartbeat->options().route, [counters = heartbeat->counters_] {
    counters->pings_received.fetch_add(1, std::memory_order_relaxed);
  });
  return heartbeat;
}

void Heartbeat::post_start(const Session& session) {
  SessionDriver& driver = *session.driver();
  const bool accepted = driver.accepted;
  const bool pings = accepted ? options_->ping_accepted : options_->ping_dialled;
  if (!pings && options_->idle_timeout == Duration::zero()) return;
  const auto watch = std::make_shared<Watch>(driver, pings, options_, counters_);
  session.on_closed([watch](const CloseReason&) { watch->stop(); });
  watch->start();
}

}  // namespace wayport::rpc
