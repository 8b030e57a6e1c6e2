#include "wayport/rpc/peer_close.h"

#include <algorithm>

#include "wayport/rpc/guard.h"

namespace wayport::rpc {
namespace {

// How long coroutine handlers that were canceled get before a close gives up on them.
constexpr Duration kCancelTime = std::chrono::seconds(1);
constexpr Duration kLongestClose = std::chrono::hours(24 * 365);

// One graceful end. Lives on loop 0 and keeps itself alive until it is done.
class CloseOperation final : public Timer, public std::enable_shared_from_this<CloseOperation> {
 public:
  CloseOperation(PeerClosing what, std::move_only_function<void()> done)
      : loops_(std::move(what.loops)),
        listening_(std::move(what.listening)),
        home_(loops_.front()->environment.loop),
        log_(what.log),
        done_(std::move(done)) {}

  void start(bool graceful) {
    self_ = shared_from_this();
    // First, so that nobody comes to a peer that is going. Sessions may arrive until it is done.
    listening_->finish([self = self_] {
      if (self->loops_.empty()) return;
      self->table().when_empty([self] { self->home_.post([self] { self->finish(); }); });
    });
    // Those that are arriving follow the listeners' options, of which these are the usual ones.
    Duration longest = std::min<Duration>(table_owner().session_options->close_timeout, kLongestClose);
    for (const std::shared_ptr<SessionDriver>& session : table().all()) {
      longest = std::max(longest, std::min<Duration>(session->options().close_timeout, kLongestClose));
      SessionDriver& driver = *session;
      driver.on_loop([&driver, graceful] {
        CloseReason why = CloseReason::local(ErrorCode::local_closed, "the peer is closing");
        graceful ? driver.begin_close(std::move(why)) : driver.core().abort(std::move(why));
      });
    }
    for (const std::shared_ptr<LoopState>& state : loops_) {
      state->environment.loop.post([state, graceful] { graceful ? state->hurry_handshakes() : state->cancel_tasks(); });
    }
    home_.arm(*this, home_.now() + (graceful ? longest : Duration::zero()) + kCancelTime);
  }

 private:
  PeerShared& table_owner() { return *loops_.front()->shared; }
  SessionTable& table() { return table_owner().table; }

  void cancel_handlers() {
    for (const std::shared_ptr<LoopState>& state : loops_) {
      state->environment.loop.post([state] { state->cancel_tasks(); });
    }
  }
  void on_timer() override {
    if (!std::exchange(canceled_, true)) {
      table_owner().aborting.store(true);
      listening_->clear();
      for (const std::shared_ptr<SessionDriver>& session : table().all()) {
        SessionDriver& driver = *session;
        driver.on_loop([&driver] {
          driver.core().abort(CloseReason::local(ErrorCode::local_closed, "the peer's close_timeout is over"));
        });
      }
      cancel_handlers();
      home_.arm(*this, home_.now() + kCancelTime);
      return;
    }
    log_.write(
        LogLevel::error, "close gives up on handlers that do not end",
        {{"sessions", table().size()}, {"advice", "a blocking handler or a coroutine ignores its cancellation"}});
    finish();
  }
  void finish() {
    unlink();
    const std::shared_ptr<CloseOperation> keep = std::move(self_);
    if (!keep) return;
    loops_.clear();  // here, on a loop: what goes with them belongs to loops
    guarded(log_, "close", [this] { std::exchange(done_, {})(); });
  }

  std::vector<std::shared_ptr<LoopState>> loops_;
  const std::shared_ptr<Listening> listening_;
  Loop& home_;  // loop 0
  Log& log_;
  std::move_only_function<void()> done_;
  std::shared_ptr<CloseOperation> self_;
  bool canceled_ = false;
};

}  // namespace

void close_peer(PeerClosing what, std::move_only_function<void()> done) {
  const bool graceful = what.graceful;
  std::make_shared<CloseOperation>(std::move(what), std::move(done))->start(graceful);
}

}  // namespace wayport::rpc
