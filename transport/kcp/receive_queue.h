// ReceiveQueue: what has arrived of one direction, in a ring indexed by sn.
//
//   read_ .. next_               in order, waiting for the reader      (takes from the advertised window)
//   next_ .. next_ + window      out of order, as far as it arrived
//
// At most 2 x window slots and as many packets, which are as long as their bytes need; the ring counts against the
// pool's bound, too. How far ahead of next_ a segment may be grows with what has come (kAheadMin), so that a few small
// datagrams do not make a long ring. Fragments must count down by one; what breaks that rule, or a message above its
// bound, is a violation, after which nothing is taken.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"
#include "wayport/transport/kcp/packet_pool.h"

namespace wayport::transport::kcp {

class ReceiveQueue {
 public:
  struct Options {
    std::uint32_t window = 32;
    bool stream = false;
    std::size_t message_bytes_max = 1u << 20;
    std::uint32_t first_sn = 0;
  };
  // Segments ahead of next(): so many at first, and kAheadPerSegment more for each that was stored. ikcp assumes a window
  // of 128 before it hears of another.
  static constexpr std::uint32_t kAheadMin = 128;
  static constexpr std::uint32_t kAheadPerSegment = 4;
  enum class Put : std::uint8_t { stored, duplicate, beyond_window, no_memory };

  ReceiveQueue(PacketPool& pool, Options options) noexcept
      : pool_(pool), options_(options), read_(options.first_sn), next_(options.first_sn) {}
  ~ReceiveQueue() {
    clear();
    release_memory();
  }
  ReceiveQueue(const ReceiveQueue&) = delete;
  ReceiveQueue& operator=(const ReceiveQueue&) = delete;

  Put put(std::uint32_t sn, std::uint8_t frg, Bytes payload);
  const std::optional<Error>& violation() const noexcept { return violation_; }

  std::uint32_t next() const noexcept { return next_; }  // all below has arrived
  std::uint32_t window_left() const noexcept { return options_.window - waiting(); }
  std::uint32_t waiting() const noexcept { return next_ - read_; }  // segments in order, unread
  std::size_t bytes_held() const noexcept { return bytes_held_; }   // of packets, with their overhead

  // Pieces of what can be read now: of the first message if it is complete, of all bytes in stream mode.
  struct Readable {
    std::size_t pieces = 0;
    std::size_t bytes = 0;
    bool message_end = false;  // the last piece ends the message; false in stream mode
    bool more = false;         // there is more than fitted into `to`
  };
  Readable readable(std::span<iovec> to);
  bool has_readable() noexcept;
  // REQUIRES: bytes <= those of the last readable() with enough pieces.
  void consume(std::size_t bytes);

  // Acknowledgement marks, so that a number is on the list once. REQUIRES: next() <= sn < next() + window, and stored.
  bool mark_ack(std::uint32_t sn, std::uint32_t ts) noexcept;
  std::uint32_t take_ack(std::uint32_t sn) noexcept;  // the ts

  void clear() noexcept;
  // Gives the ring back while nothing is held.
  void release_memory() noexcept {
    if (held_ != 0) return;
    pool_.discharge(ring_bytes());
    slots_ = {};
  }
  std::size_t slots() const noexcept { return slots_.size(); }
  std::size_t ring_bytes() const noexcept { return slots_.size() * sizeof(Slot); }

 private:
  struct Slot {
    Packet* packet = nullptr;  // null, and stored: an empty push
    std::uint32_t ts = 0;
    std::uint8_t frg = 0;
    bool stored = false;
    bool ack_pending = false;
    bool ends_message = false;  // counted in messages_
  };
  Slot& at(std::uint32_t sn) noexcept { return slots_[sn & (slots_.size() - 1)]; }
  bool make_room(std::uint32_t sn);  // false: the pool's bound is reached
  void advance();
  void drop_empty() noexcept;
  void free_first() noexcept;

  PacketPool& pool_;
  Options options_;
  std::uint32_t read_;
  std::uint32_t next_;
  std::size_t offset_ = 0;    // bytes of the first packet that were consumed
  std::size_t messages_ = 0;  // complete ones in order
  std::size_t message_bytes_ = 0;
  std::optional<std::uint8_t> expected_frg_;  // inside a message
  std::size_t held_ = 0;                      // slots in use
  std::size_t bytes_held_ = 0;
  std::uint64_t stored_ = 0;  // segments, ever
  std::optional<Error> violation_;
  std::vector<Slot> slots_;  // a power of two
};

}  // namespace wayport::transport::kcp
