// SplicePump: carries bytes both ways between two sockets without taking them into the process:
//
//     socket --splice--> pipe --splice--> socket
//
// One fill and one drain for each wake and direction; what a full socket does not take waits in the pipe, and its source
// is not read meanwhile (at most one pipe of bytes in flight for each direction). A small message leaves at once: no
// SPLICE_F_MORE. Where there is no pipe to be had, or the kernel cannot splice these sockets, the same is done through
// one chunk of memory.
//
// The end of one side is passed on when everything before it was; a failure of one side resets the other (unix sockets
// know no reset, and end), also while nobody reads it. Level-triggered: interest is only in what can be used, so nothing
// spins.
//
// Not thread-safe: everything on the loop's thread, in which SIGPIPE is blocked from the first start() on (splice() has no
// MSG_NOSIGNAL). Dropping it closes both sockets without a callback.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "wayport/base/chain.h"
#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/base/time.h"
#include "wayport/gateway/relay/pipe_pool.h"

namespace wayport::relay {

// Closes with a reset, if the socket is one that can.
void reset_socket(Fd fd) noexcept;

class SplicePump {
 public:
  // Hears of the pump from inside its callbacks, and does not destroy it there.
  class Events {
   public:
    virtual void on_pump_read_end(unsigned side) = 0;
    // Once, last: both directions have ended, or `failed` names the side that broke and `reason` how.
    virtual void on_pump_ended(std::optional<unsigned> failed, CloseReason reason) = 0;

   protected:
    ~Events() = default;
  };

  // Both sockets are connected and non-blocking.
  SplicePump(Loop& loop, PipePool& pipes, Events& events, Fd first, Fd second);
  ~SplicePump();
  SplicePump(const SplicePump&) = delete;
  SplicePump& operator=(const SplicePump&) = delete;

  void start();
  // Both sockets are closed, with resets or without; on_pump_ended() is not called.
  void stop(bool reset) noexcept;

  std::uint64_t bytes_from(unsigned side) const noexcept { return ways_[side].bytes; }
  std::uint64_t waits(unsigned side) const noexcept { return ways_[side].waits; }
  bool holds() const noexcept { return ways_[0].held() != 0 || ways_[1].held() != 0; }  // bytes of either way
  TimePoint last_activity() const noexcept { return last_activity_; }

 private:
  struct End final : FdEvents {
    void on_fd(std::uint32_t events) override { pump->handle(index, events); }
    SplicePump* pump = nullptr;
    unsigned index = 0;
    Fd fd;
    Interest interest = Interest::none;
  };
  // From ends_[i] to the other.
  struct Way {
    std::size_t held() const noexcept { return in_pipe + copied.size(); }
    std::optional<Pipe> pipe{};
    std::size_t in_pipe = 0;
    Chain copied{};
    std::uint64_t bytes = 0;
    std::uint64_t waits = 0;  // times the other side was full
    bool splices = true;
    bool read_end = false;
    bool end_sent = false;
  };

  void handle(unsigned side, std::uint32_t events);
  bool carry(unsigned from);
  bool fill(unsigned from);
  bool fill_pipe(unsigned from);
  bool fill_chunk(unsigned from);
  bool take(unsigned from, ssize_t received);
  bool drain(unsigned from);
  void release_pipe(Way& way);
  bool update_interest();
  void fail(unsigned side, int error, const char* doing);

  Loop& loop_;
  PipePool& pipes_;
  Events& events_;
  End ends_[2];
  Way ways_[2];
  TimePoint last_activity_;
  bool ended_ = false;
};

}  // namespace wayport::relay
