// SessionStreams: joins a StreamCore to its session: pushes what the core says, resumes who waits. Internal to streams.
//
// On the session's loop, except where a member says otherwise. Held by the service until the session is closed, and by
// the handles of its streams.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "wayport/base/chain.h"
#include "wayport/base/co.h"
#include "wayport/base/loop.h"
#include "wayport/rpc/session.h"
#include "wayport/rpc/streams/stream_core.h"

namespace wayport::rpc::detail {

class SessionStreams;

// What the reader, the writer and the Stream of one stream share.
class StreamHandle final : public std::enable_shared_from_this<StreamHandle> {
 public:
  StreamHandle(std::shared_ptr<SessionStreams> home_of, StreamId its_id, std::string its_target)
      : home(std::move(home_of)), id(its_id), target(std::move(its_target)) {}

  // Any thread.
  Loop& loop() const noexcept;
  template <class F>
  void on_loop(F work) {
    if (loop().in_loop_thread()) return work();
    loop().post([self = shared_from_this(), work = std::move(work)]() mutable { work(); });
  }
  void release_reader();
  void release_writer();
  void finish();
  void abort(Status status);

  // On the loop. What can be had at once.
  std::optional<Reply<Chain>> try_read(std::size_t bytes_max);
  std::optional<Reply<std::size_t>> try_write(Bytes bytes);
  // `done` gets the outcome, now or later. `bytes` live until then, or `owned` holds them.
  void start_read(std::size_t bytes_max, Completion<Reply<Chain>> done);
  void start_write(Bytes bytes, std::string owned, Completion<Reply<std::size_t>> done);
  // Resumes whoever can go on. May drop the last reference but the caller's.
  void serve();

  const std::shared_ptr<SessionStreams> home;
  const StreamId id;
  const std::string target;
  std::string path;
  std::string raw_query;

 private:
  struct Read {
    std::size_t bytes_max;
    Completion<Reply<Chain>> done;
  };
  struct Write {
    Bytes bytes;
    std::string owned;
    Completion<Reply<std::size_t>> done;
    Bytes all() const noexcept { return owned.empty() ? bytes : as_bytes(owned); }
  };
  std::optional<Read> reading_;
  std::optional<Write> writing_;
};

class SessionStreams final : public std::enable_shared_from_this<SessionStreams>, private TurnEnd {
 public:
  // `keep` keeps `options` and `counters`.
  static std::shared_ptr<SessionStreams> create(Session session, const StreamOptions& options, StreamCounters& counters,
                                                std::shared_ptr<void> keep);

  StreamCore& core() noexcept { return core_; }
  const Session& session() const noexcept { return session_; }
  const StreamOptions& options() const noexcept { return options_; }
  Loop& loop() const noexcept { return session_.loop(); }
  TimePoint now() const noexcept { return loop().now(); }

  std::shared_ptr<StreamHandle> add(StreamId id, std::string target);
  void handle(const StreamMessage& message);
  void handle_violation(StreamId id, std::string rule);
  void handle_lost(const Status& status);
  // After anything was done to the core's stream: says what is to be said, serves, forgets.
  void settle(StreamId id);
  // One data push. nullopt: not now, for want of credit or of room in the session's output.
  std::optional<Reply<std::size_t>> try_write(StreamId id, Bytes bytes);
  void idle_from_now();

 private:
  SessionStreams(Session session, const StreamOptions& options, StreamCounters& counters, std::shared_ptr<void> keep);
  ~SessionStreams() = default;

  class Deadline final : public Timer {
   public:
    Deadline(SessionStreams& owner, void (SessionStreams::*act)()) noexcept : owner_(owner), act_(act) {}
    void on_timer() override { (owner_.*act_)(); }

   private:
    SessionStreams& owner_;
    void (SessionStreams::*act_)();
  };

  void on_turn_end() override;
  void on_idle();
  void resume();
  bool output_has_room() const;
  void block();
  void pump();
  void serve(StreamId id);
  Result<void> push(const StreamMessage& message);
  // True: the stream, or all of them, have failed. False: not now.
  bool take_refusal(const Error& error, StreamId id);

  const std::shared_ptr<void> keep_;
  const StreamOptions& options_;
  StreamCounters& counters_;
  const Session session_;
  StreamCore core_;
  std::map<StreamId, std::shared_ptr<StreamHandle>> handles_;
  std::string uri_;         // reused
  std::size_t pushed_ = 0;  // bytes in this turn, which the session's unsent() does not count yet
  bool blocked_ = false;    // something waits for the session's output
  bool lost_ = false;
  StreamId last_served_{};
  Deadline idle_;
  Deadline retry_;
};

}  // namespace wayport::rpc::detail
