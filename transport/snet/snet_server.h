// The server side of snet on its loops: handshakes under way, the table of sessions, and what ends those that nobody
// comes back for. Internal to the listener.
//
//   ServerShared   one per listener: options, totals of all loops
//   ServerLoop     one per loop: its handshakes and sessions; on that loop only
//   ServerSession  one per session: keeps its SnetStream, and waits when the connection is lost
//   Half           one per connection whose handshake is not done
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/transport/incoming_gate.h"
#include "wayport/transport/snet/handshake.h"
#include "wayport/transport/snet/snet_counters.h"
#include "wayport/transport/snet/snet_options.h"
#include "wayport/transport/snet/snet_stream.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

class Half;
class ServerSession;

class ServerLoop {
 public:
  ServerLoop(Loop& loop, std::size_t index) noexcept : loop_(loop), index_(index) {}

  Loop& loop() const noexcept { return loop_; }
  ServerSession* find(std::uint64_t id) const noexcept;
  void add(std::uint64_t id, ServerSession& session) { sessions_.emplace(id, &session); }
  void remove(std::uint64_t id) noexcept { sessions_.erase(id); }
  // One that is not in use and leads to this loop.
  std::uint64_t draw_id(snet::RandomSource& random, std::size_t loops) const;

  void add(std::unique_ptr<Half> half);
  // At turn end: one of its callbacks is on the stack.
  void remove(Half& half);
  void clear_handshakes();

  List<ServerSession>& detached() noexcept { return detached_; }  // the one that waits longest first

 private:
  Loop& loop_;
  const std::size_t index_;
  std::unordered_map<std::uint64_t, ServerSession*> sessions_;
  List<ServerSession> detached_;
  std::list<std::unique_ptr<Half>> halves_;
};

struct ServerShared {
  ServerShared(Loop& home, const ListenOptions& how, const SnetOptions& snet_options, snet::RandomSource& source,
               std::shared_ptr<SnetCounters> counts);

  ServerLoop& here() const;
  ServerLoop& loop_of(std::uint64_t id) const { return *loops[id % loops.size()]; }
  void count(std::atomic<std::uint64_t> ListenerCounters::* counter) const {
    if (options.counters) (options.counters->*counter).fetch_add(1, std::memory_order_relaxed);
  }
  // Room for one more session, which is then counted; leave() gives it back.
  bool enter(const std::string& ip);
  void leave(const std::string& ip);

  IncomingGate gate;
  const ListenOptions options;
  const SnetOptions snet;
  snet::RandomSource& random;
  const std::shared_ptr<SnetCounters> counters;
  Log& log;
  LogLimit log_limit;
  std::vector<std::unique_ptr<ServerLoop>> loops;  // constant once made
  std::atomic<std::size_t> underway{0};
  std::atomic<std::size_t> sessions{0};
  std::atomic<std::size_t> detached{0};
  std::atomic<std::size_t> detached_bytes{0};
  std::atomic<bool> closed{false};  // the listener is gone: nobody can come back

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::size_t> per_address_;  // only if there is a bound
};

class ServerSession final : public SnetStream::Keeper, public ListNode<ServerSession>, private Timer {
 public:
  // `shared` has counted it.
  ServerSession(std::shared_ptr<ServerShared> shared, ServerLoop& home, SnetStream& stream, std::string ip);

  SnetStream& stream() noexcept { return stream_; }
  // A reconnect that was answered. Displaces the oldest, if there are too many.
  void add_attempt(Half& attempt);
  void remove_attempt(Half& attempt) noexcept { std::erase(attempts_, &attempt); }
  void close_attempts();
  void end(CloseReason::By by, ErrorCode code, const std::string& why);

 private:
  void on_detached(const Error& why) override;
  void on_attached() override;
  void on_growth() override;
  void retire() override;
  // It is the client who dials; the session waits for it as after any loss.
  bool reconnect_now() override { return true; }
  void on_timer() override;

  bool waiting() const noexcept { return ListNode<ServerSession>::linked(); }
  void stop_waiting() noexcept;

  const std::shared_ptr<ServerShared> shared_;
  ServerLoop& home_;
  SnetStream& stream_;
  const std::string ip_;
  std::vector<Half*> attempts_;
  std::size_t counted_bytes_ = 0;  // of ServerShared::detached_bytes
  Error lost_;
};

class Half final : private Timer, private StreamEvents, private TurnEnd {
 public:
  Half(std::shared_ptr<ServerShared> shared, ServerLoop& home, std::unique_ptr<Stream> stream,
       const snet::ServerHandshake& handshake, TimePoint due);
  ~Half();
  Half(const Half&) = delete;
  Half& operator=(const Half&) = delete;

  void begin();
  // Closes without a byte.
  void drop(const char* why);

 private:
  friend class ServerLoop;
  friend class ServerSession;

  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override {}
  void on_read_end() override { drop("the peer ended the connection"); }
  void on_closed(const CloseReason&) override { leave(); }
  void on_timer() override { drop("it took longer than handshake_timeout"); }
  void on_turn_end() override;

  bool step(MutableBytes rest);
  bool answer();
  void open();
  void establish(MutableBytes rest);
  void resume(MutableBytes rest);
  void refuse();
  void leave();
  void note(LogLevel level, std::string_view event, const char* why);

  const std::shared_ptr<ServerShared> shared_;
  ServerLoop& home_;
  std::unique_ptr<Stream> stream_;
  snet::ServerHandshake handshake_;
  const TimePoint due_;
  ServerSession* session_ = nullptr;  // that this would resume
  bool left_ = false;
  bool carried_ = false;  // a session has the connection, and what came over it
  std::list<std::unique_ptr<Half>>::iterator self_;
};

}  // namespace wayport::transport
