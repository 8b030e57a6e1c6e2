// SessionDriver: joins a SessionCore to its Stream. Internal to rpc; applications hold a Session (session.h).
//
// On the stream's loop, except where a member says otherwise. Held by shared_ptr: the peer's registry until the stream
// is closed, handles, and handlers that have not finished. The last one may go on any thread; the memory goes on the
// loop.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/base/task_group.h"
#include "wayport/base/worker_pool.h"
#include "wayport/rpc/session_core.h"
#include "wayport/rpc/session_store.h"
#include "wayport/transport/stream.h"

namespace wayport::rpc {

class SessionDriver;

// Where sessions are looked up by id; implemented by Peer. Any thread.
class SessionRegistry {
 public:
  virtual void rename(SessionDriver& session, std::string id) = 0;
  // The stream is closed.
  virtual void ended(SessionDriver& session) = 0;
  // Ended, and no handler runs any more. May drop the last reference.
  virtual void released(SessionDriver& session) = 0;

 protected:
  ~SessionRegistry() = default;
};

// What the sessions of one loop share. They own it together, so that handles may outlive the peer.
struct LoopEnvironment {
  Loop& loop;
  framing::ProtocolContext& context;
  SessionEnvironment session;
  TaskGroup& tasks;       // coroutine handlers
  std::size_t tasks_max;  // then they get 503
  WorkerPool& workers;    // blocking handlers
  SessionRegistry& registry;
};

class SessionDriver final : public SessionHost,
                            public transport::StreamEvents,
                            private TurnEnd,
                            public std::enable_shared_from_this<SessionDriver> {
 public:
  static std::shared_ptr<SessionDriver> create(std::unique_ptr<transport::Stream> stream,
                                               std::shared_ptr<LoopEnvironment> environment,
                                               std::shared_ptr<const SessionOptions> options, std::string id);
  // Reading begins. `started`: the stream was started by a handshake, which hands it over.
  void start(bool started);
  bool accepted = false;  // not dialled, nor wrapped
  // Ends the AcceptGuards that have begun for it (plugin.h); goes when the stream is closed.
  std::shared_ptr<void> accept_ticket;

  SessionCore& core() noexcept { return core_; }
  LoopEnvironment& environment() noexcept { return *environment_; }
  Loop& loop() const noexcept { return environment_->loop; }  // any thread
  const transport::PeerInfo& peer() const noexcept { return *peer_; }

  // --- any thread ---
  std::string id() const;
  void set_id(std::string id);  // by the registry
  bool healthy() const noexcept { return healthy_.load(std::memory_order_acquire); }
  SessionStore& store() noexcept { return store_; }
  const SessionOptions& options() const noexcept { return core_.options(); }
  const framing::CodecRegistry& codecs() const noexcept { return environment_->context.codecs; }
  std::optional<CloseReason> close_reason() const;
  // Runs `work` on the loop: at once when called there, else posted.
  template <class F>
  void on_loop(F&& work) {
    if (loop().in_loop_thread()) {
      work();
    } else {
      loop().post([self = shared_from_this(), work = std::forward<F>(work)]() mutable { work(); });
    }
  }
  // Commands of other threads that have not run yet; bounded by SessionOptions::calls_max.
  std::atomic<std::size_t> posted{0};
  // Their encoded bodies; bounded by SessionOptions::output_bytes_max.
  std::atomic<std::size_t> posted_bytes{0};

  // A graceful close.
  void begin_close(CloseReason reason);
  // On the loop, once, when the stream is closed; at turn end if it is already.
  void on_closed(std::move_only_function<void(const CloseReason&)> callback);

  // --- SessionHost ---
  TimePoint now() const noexcept override { return loop().now(); }
  TimePoint exact_now() const noexcept override { return loop().exact_now(); }
  void arm(Timer& timer, TimePoint due) override { loop().arm(timer, due); }
  void flush_soon() override;
  std::size_t unsent() const noexcept override { return stream_ ? stream_->queued() : 0; }
  void set_reading(bool on) override;
  void peer_drains() override { healthy_.store(false, std::memory_order_release); }
  void close_stream(const CloseReason& reason, Duration linger) override;
  std::shared_ptr<void> keep_alive() override { return shared_from_this(); }
  void handlers_finished() override { flush_soon(); }  // whose end releases
  std::string peer_name() const override { return peer_->remote_url(); }

 private:
  SessionDriver(std::unique_ptr<transport::Stream> stream, std::shared_ptr<LoopEnvironment> environment,
                std::shared_ptr<const SessionOptions> options, std::string id);
  ~SessionDriver() = default;

  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override;
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;
  void on_turn_end() override;

  struct Close {
    CloseReason reason;
    Duration linger;
  };

  const std::shared_ptr<LoopEnvironment> environment_;
  std::unique_ptr<transport::Stream> stream_;
  const transport::PeerInfo* peer_;
  SessionCore core_;
  SessionStore store_;
  std::atomic<bool> healthy_{true};
  bool ended_ = false;
  bool stream_full_ = false;  // above its high water mark since the last write
  // After the end nobody else may hold the driver until its outcomes are delivered.
  std::shared_ptr<SessionDriver> until_turn_end_;
  std::unique_ptr<Close> close_;  // asked for, not yet carried out
  std::vector<std::move_only_function<void(const CloseReason&)>> closed_callbacks_;
  mutable std::mutex mutex_;  // guards id_ and reason_
  std::string id_;
  std::unique_ptr<CloseReason> reason_;
};

}  // namespace wayport::rpc
