// Calls that this side made and that wait for their reply: a table from sequence number to call, and how each ends.
//
// Core: no I/O. Sequence numbers are ours and nearly consecutive, so the number itself is the hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "wayport/base/timer_wheel.h"
#include "wayport/framing/protocol.h"
#include "wayport/rpc/status.h"

namespace wayport::rpc {

class SessionCore;

// One outstanding pull. Exactly one of on_reply, on_failed and an on_error_reply that
// returns true runs, once, on the session's loop, never from inside the
// call that started it; then it is destroyed.
class PendingCall : private Timer {
 public:
  virtual ~PendingCall() = default;
  // A reply with status 200. Views live until return; decode with framing::decode_body.
  virtual void on_reply(const framing::PacketView& packet, framing::ProtocolContext& context) = 0;
  virtual void on_failed(Status status) = 0;
  // A reply with another status, body included. True: that was the outcome; false: on_failed() runs with its code and text.
  virtual bool on_error_reply(const framing::PacketView& packet) {
    static_cast<void>(packet);
    return false;
  }
  TimePoint started() const noexcept { return started_; }  // when it was sent
  Duration cost() const noexcept;                          // since then; zero: it was never sent

 protected:
  // For on_reply(), after the body was decoded: runs the hooks that wait for it (hooks.h). A status is the outcome.
  Status result_read(const framing::PacketView& packet, const framing::BodyTarget& result);

 private:
  friend class CallTable;
  friend class SessionCore;
  void on_timer() final;

  SessionCore* session_ = nullptr;
  PendingCall* next_in_bucket_ = nullptr;
  std::uint64_t seq_ = 0;
  Duration timeout_{0};
  TimePoint started_{};
  // What PullGuards were given for it (hooks.h).
  static constexpr std::size_t kGuardsMax = 2;
  std::uint32_t guard_tags_[kGuardsMax] = {};
  bool guarded_ = false;
};

// Owns its calls. Not thread-safe.
class CallTable {
 public:
  CallTable() = default;
  ~CallTable();
  CallTable(const CallTable&) = delete;
  CallTable& operator=(const CallTable&) = delete;

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  void insert(std::uint64_t seq, std::unique_ptr<PendingCall> call);  // REQUIRES: seq is not in the table
  std::unique_ptr<PendingCall> take(std::uint64_t seq) noexcept;      // nullptr: unknown
  // Empties the table; oldest first.
  std::vector<std::unique_ptr<PendingCall>> take_all();
  // Those with `seq` or a later number; oldest first. Looks at every call.
  std::vector<std::unique_ptr<PendingCall>> take_from(std::uint64_t seq);

 private:
  void grow();
  std::vector<PendingCall*> buckets_;  // power of two, or empty while nothing was ever called
  std::size_t size_ = 0;
};

}  // namespace wayport::rpc
