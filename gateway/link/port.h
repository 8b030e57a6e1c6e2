// Port: what a switch knows of one physical connection. The driver keeps the pointer and reads; only the switch writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "wayport/base/intrusive_list.h"
#include "wayport/base/time.h"
#include "wayport/base/timer_wheel.h"
#include "wayport/gateway/link/backlog.h"

namespace wayport::link {

class Switch;

enum class Side : std::uint8_t { client, server };

class Port final : private Timer, public ListNode<Port> {
 public:
  Port(Switch& owner, Side side, std::uint32_t index, void* context) noexcept
      : owner_(owner), context_(context), index_(index), side_(side) {}

  Side side() const noexcept { return side_; }
  // A client's is given by the gateway; a server's own choice is known once it has authenticated (0 before).
  std::uint32_t id() const noexcept { return id_; }
  // What the driver gave to handle_opened(): its link.
  void* context() const noexcept { return context_; }
  bool authenticated() const noexcept { return state_ != State::authenticating; }
  // The switch has done with it: bytes of it need no decoding any more.
  bool closing() const noexcept { return state_ >= State::closing; }
  // Not to be read: it sends to a slow server (SlowPolicy::pause).
  bool paused() const noexcept { return pauses_ != 0; }
  // A server whose id dials go to, as far as this loop knows; false once another took the id.
  bool registered() const noexcept { return registered_; }
  std::size_t virtual_count() const noexcept { return end_count_; }
  // Bytes sent and not reported as gone; at most what really waits when end_turn() was last called, and what came since.
  std::size_t queued() const noexcept { return queued_; }
  // Bytes were left over when it was flushed.
  bool slow() const noexcept { return backlog_ != nullptr; }
  TimePoint last_frame() const noexcept { return last_frame_; }

 private:
  friend class Switch;
  static constexpr std::uint32_t kNone = 0xffffffff;

  enum class State : std::uint8_t {
    authenticating,
    open,
    closing,   // takes and sends nothing any more; its ends still exist until the current event is done
    detached,  // nothing refers to it but the driver, who is to say handle_closed()
  };

  void on_timer() override;

  Switch& owner_;
  void* const context_;
  std::uint64_t registration_ = 0;
  TimePoint last_frame_{};
  std::size_t queued_ = 0;
  std::unique_ptr<Backlog> backlog_;  // while slow
  const std::uint32_t index_;
  std::uint32_t id_ = 0;
  std::uint32_t first_end_ = kNone;  // its virtual connections' ends: a list through their `next`
  std::uint32_t end_count_ = 0;
  std::uint32_t pauses_ = 0;          // ends of it that are paused, and one while marks_ is not 0
  std::uint32_t marks_ = 0;           // a client's, not answered by other loops
  std::uint32_t ahead_messages_ = 0;  // mailed since the last marks were answered, which may not have arrived
  std::size_t ahead_bytes_ = 0;
  std::uint32_t dials_ = 0;           // a server's, under way to another loop
  std::uint32_t touched_at_ = kNone;  // place in Switch::touched_
  const Side side_;
  State state_ = State::authenticating;
  bool registered_ = false;
};

}  // namespace wayport::link
